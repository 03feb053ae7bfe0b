/** Crashes as test data: a record at which the engine is gone, `[1, 2, ABORT, 3]`. The idea is from Bytewax. */
import {
  seconds,
  SluiceError,
  type BatchTime,
  type DStream,
  type InputSource,
  type Rec,
  type StreamingContext,
} from '@sluice/core'
import {
  absent,
  memoryFileSystem,
  Collector,
  runBatches,
  type Collected,
  type CollectedRecords,
  type CollectedStreams,
  type RunBatchesOptions,
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
 * // runs: [{ seen: [[2, 4]], abortedAt: 2_000 }, { seen: [[6, 8], [10]], abortedAt: undefined }]
 * ```
 *
 * A crash is what a stop at once leaves behind: records before the marker have gone through the operators, and into sinks as
 * far as these had asked for them; those behind it have not; the batch is not committed; later batches do not run. The sinks
 * of the graph are closed.
 *
 * After each crash `graph` is called again, as in a new process, and the application goes on from its checkpoint, which is on a disk
 * in memory unless the options say otherwise: the batch that crashed comes first, with the same time and records, and its marker
 * lets it pass. `runs` has one entry for each life. Rejects as `runBatches` does when a batch fails by itself.
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
  inputs: AbortingScript<unknown> | Scripts,
  graph: (streams: never, ssc: StreamingContext) => CollectedStreams,
  options: RunBatchesOptions = {},
): Promise<{ readonly runs: readonly AbortedRun<CollectedStreams>[] }> {
  const isSingle = Array.isArray(inputs)
  const lives = new Lives(isSingle ? { input: inputs as AbortingScript<unknown> } : (inputs as Scripts), options)
  const runs: AbortedRun<CollectedStreams>[] = []
  do {
    runs.push(await lives.next((streams, ssc) => graph((isSingle ? streams['input'] : streams) as never, ssc)))
  } while (runs.at(-1)?.abortedAt !== undefined)
  return { runs }
}

/** Stands for one {@link ABORT} of a script. */
class Marker {
  hasCrashed = false
}

type Scripts = Readonly<Record<string, AbortingScript<unknown>>>
type Streams = Readonly<Record<string, DStream<unknown>>>
type MarkedScript = readonly (readonly unknown[] | typeof absent)[]

/** The lives of an application, one after another on one disk. */
class Lives {
  readonly #scripts: readonly (readonly [name: string, script: MarkedScript])[]
  readonly #options: RunBatchesOptions
  readonly #intervalMs: number
  readonly #firstTime: BatchTime
  /** Of all lives. */
  readonly #records: CollectedRecords = new Map()
  /** Batches to come. */
  #left: number
  #nowMs: number

  constructor(scripts: Scripts, options: RunBatchesOptions) {
    this.#scripts = Object.entries(scripts).map(([name, script]) => [name, script.map(withMarkers)])
    this.#options = { localFileSystem: memoryFileSystem(), checkpoint: 'checkpoint', ...options }
    this.#intervalMs = options.batchInterval ?? seconds(1)
    this.#nowMs = options.startMs ?? 0
    this.#firstTime = (Math.floor(this.#nowMs / this.#intervalMs) + 1) * this.#intervalMs
    this.#left = options.batches ?? Math.max(0, ...Object.values(scripts).map((script) => script.length))
  }

  async next(
    graph: (streams: Streams, ssc: StreamingContext) => CollectedStreams,
  ): Promise<AbortedRun<CollectedStreams>> {
    const life = new Life()
    let collector: Collector | undefined
    await runBatches(
      {},
      (_, ssc) => {
        ssc.addListener(life)
        const streams = this.#scripts.map(([name, script]) => {
          const stream = ssc.inputStream(this.#sourceOf(name, script), { name })
          return [name, life.aborting(stream, ssc)] as const
        })
        collector = new Collector(graph(Object.fromEntries(streams), ssc), this.#records)
      },
      { ...this.#options, batches: this.#left, startMs: this.#nowMs },
    )
    this.#left -= life.completed.length
    this.#nowMs = life.abortedAt ?? this.#nowMs
    const seen = collector?.result(life.completed) as Collected<CollectedStreams>
    return { seen, abortedAt: life.abortedAt }
  }

  /** Batch n has the n-th element of the script, whichever life plans it. */
  #sourceOf(name: string, script: MarkedScript): InputSource<unknown, number> {
    const { inputPartitions: partitions = 1 } = this.#options
    return {
      '~sluice': 'input/1',
      name,
      replayable: true,
      plan: (time) => {
        const index = Math.round((time - this.#firstTime) / this.#intervalMs)
        const batch = script[index] ?? []
        return batch === absent ? undefined : { data: index, records: batch.length }
      },
      partitions: (index) => split((script[index] ?? []) as readonly unknown[], partitions),
      read: (partition: readonly unknown[]) => [partition],
    }
  }
}

function withMarkers(batch: readonly unknown[] | typeof absent): readonly unknown[] | typeof absent {
  return batch === absent ? absent : batch.map((record) => (record === ABORT ? new Marker() : record))
}

function split(records: readonly unknown[], partitions: number): readonly (readonly unknown[])[] {
  const from = (partition: number): number => Math.floor((partition * records.length) / partitions)
  return Array.from({ length: partitions }, (_, i) => records.slice(from(i), from(i + 1)))
}

/** From a start to a crash, or to the end of the script. */
class Life {
  abortedAt: BatchTime | undefined
  readonly completed: BatchTime[] = []
  #running: BatchTime | undefined

  onBatchStarted({ batchTime }: { readonly batchTime: BatchTime }): void {
    this.#running = batchTime
  }

  onBatchCompleted({ batchTime }: { readonly batchTime: BatchTime }): void {
    this.completed.push(batchTime)
  }

  /** The stream without markers: coming to one for the first time is the end. */
  aborting(stream: DStream<unknown>, ssc: StreamingContext): DStream<unknown> {
    return stream.filter((record) => {
      if (!(record instanceof Marker)) return true
      if (record.hasCrashed) return false
      record.hasCrashed = true
      this.abortedAt ??= this.#running
      void ssc.stop({ graceful: false })
      // The task must not go on to later records; its error is not looked at, as the context is stopping.
      throw new SluiceError({ code: 'ABORTED', component: 'testkit', message: 'the script has a crash here' })
    })
  }
}
