/** Crashes as test data: a record at which the engine is gone, `[1, 2, ABORT, 3]`. The idea is from Bytewax. */
import { SluiceError, type BatchTime, type DStream, type Rec, type StreamingContext } from '@sluice/core'
import {
  runBatches,
  type absent,
  type Collected,
  type CollectedStreams,
  type RunBatchesOptions,
  type Script,
} from '@sluice/core/testing'

/** In a script: when the engine comes to this record, it stops at once. The batch is not committed. */
export const ABORT = Symbol('abort')

/** A {@link Script} with crashes in it. */
export type AbortingScript<T> = readonly (readonly (T | typeof ABORT)[] | typeof absent)[]

/** One life of the application: from its start to its crash, or to the end of the script. */
export interface AbortedRun<G> {
  /** What the streams had in each batch that was completed, in the shape in which the graph returned them. */
  readonly seen: Collected<G>
  /** Time of the batch in which it crashed; undefined when it came to the end of the script. */
  readonly abortedAt: BatchTime | undefined
}

/**
 * Runs `graph` on scripted inputs, as `runBatches` does, in which {@link ABORT} marks crashes:
 *
 * ```ts
 * const { runs } = await runWithAborts([[1, 2], [3, ABORT, 4], [5]], (numbers) => numbers.map((n) => n * 2))
 * // runs: [{ seen: [[2, 4]], abortedAt: 2_000 }]
 * ```
 *
 * A crash is what a stop at once leaves behind: records before the marker have gone through the operators, and into sinks as
 * far as these had asked for them; those behind it have not; the batch is not committed; later batches do not run. The sinks
 * of the graph are closed.
 *
 * `runs` has one entry for each life of the application. The engine has no batch log yet, so that nothing could be resumed:
 * the first crash is the end, and `runs` has exactly one entry. With a log, the graph will be built again after each crash
 * and go on with the rest of the script. Rejects as `runBatches` does when a batch fails by itself.
 */
export function runWithAborts<T extends Rec, G extends CollectedStreams>(
  input: AbortingScript<T>,
  graph: (stream: DStream<T>, ssc: StreamingContext) => G,
  options?: RunBatchesOptions,
): Promise<{ readonly runs: readonly AbortedRun<G>[] }>
export function runWithAborts<I extends Readonly<Record<string, Rec>>, G extends CollectedStreams>(
  inputs: { readonly [K in keyof I]: AbortingScript<I[K]> },
  graph: (streams: { readonly [K in keyof I]: DStream<I[K]> }, ssc: StreamingContext) => G,
  options?: RunBatchesOptions,
): Promise<{ readonly runs: readonly AbortedRun<G>[] }>
export async function runWithAborts(
  inputs: AbortingScript<unknown> | Readonly<Record<string, AbortingScript<unknown>>>,
  graph: (streams: never, ssc: StreamingContext) => CollectedStreams,
  options?: RunBatchesOptions,
): Promise<{ readonly runs: readonly AbortedRun<CollectedStreams>[] }> {
  const named = Array.isArray(inputs) ? { input: inputs as AbortingScript<unknown> } : inputs
  const crash = new Crash()
  const seen = await runBatches(
    named as Readonly<Record<string, Script<unknown>>>,
    (streams: Readonly<Record<string, DStream<unknown>>>, ssc: StreamingContext) => {
      crash.watch(ssc)
      const aborting = Object.fromEntries(
        Object.entries(streams).map(([name, stream]) => [name, crash.aborting(stream, ssc)]),
      )
      return graph((Array.isArray(inputs) ? aborting['input'] : aborting) as never, ssc)
    },
    options,
  )
  return { runs: [{ seen: seen as Collected<CollectedStreams>, abortedAt: crash.at }] }
}

/** The one crash of a run. */
class Crash {
  at: BatchTime | undefined
  #running: BatchTime | undefined

  watch(ssc: StreamingContext): void {
    ssc.addListener({
      onBatchStarted: ({ batchTime }) => {
        this.#running = batchTime
      },
    })
  }

  /** The stream without markers: coming to one is the end. */
  aborting(stream: DStream<unknown>, ssc: StreamingContext): DStream<unknown> {
    return stream.filter((record) => {
      if (record !== ABORT) return true
      this.at ??= this.#running
      void ssc.stop({ graceful: false })
      // The task must not go on to later records; its error is not looked at, as the context is stopping.
      throw new SluiceError({ code: 'ABORTED', component: 'testkit', message: 'the script has a crash here' })
    })
  }
}
