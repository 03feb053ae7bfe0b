/** For core's own tests: a streaming context on a manual clock and a memory disk, and what it says of itself. */
import { StreamingContext, type StreamingContextOptions } from '../context/streaming-context.js'
import type { InputContext } from '../input/input.js'
import type { StreamingListener } from '../observe/listener.js'
import type { Logger } from '../observe/logger.js'
import type { FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { seconds } from '../time/duration.js'
import { ManualClock } from '../time/manual-clock.js'
import { systemClock } from '../time/system-clock.js'

const DEADLINE_MS = 20_000

/** Resolves when `condition` holds; rejects after a generous time, naming it. */
export async function until(condition: () => boolean, what = String(condition)): Promise<void> {
  const end = systemClock.monotonic() + DEADLINE_MS
  while (!condition()) {
    if (systemClock.monotonic() > end) throw new Error(`never came true: ${what}`)
    await systemClock.yield()
  }
}

/** Something that happens later, when a test says so. */
export class Gate {
  readonly opened: Promise<void>
  open: () => void = () => undefined

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve
    })
  }
}

/** A logger that keeps its lines. */
export function memoryLogger(): Logger & { readonly lines: string[] } {
  const lines: string[] = []
  const at = (level: string) => (message: string) => void lines.push(`${level}: ${message}`)
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** What the engine gives to a source of files that starts for the first time. */
export function firstStart(clock: InputContext['clock']): InputContext {
  const { signal } = new AbortController()
  return { streamId: 0, id: 'files', appName: 'test', clock, logger: memoryLogger(), signal }
}

/** The events of a run as text: `batch-started 1000`. */
export function recordEvents(events: string[]): StreamingListener {
  return {
    onStreamingStarted: () => events.push('streaming-started'),
    onStreamingStopped: () => events.push('streaming-stopped'),
    onReceiverStarted: ({ name }) => events.push(`receiver-started ${name}`),
    onReceiverError: ({ lastErrorMessage }) => events.push(`receiver-error ${String(lastErrorMessage)}`),
    onReceiverStopped: ({ name }) => events.push(`receiver-stopped ${name}`),
    onBatchSubmitted: ({ batchTime }) => events.push(`submitted ${String(batchTime)}`),
    onBatchStarted: ({ batchTime }) => events.push(`started ${String(batchTime)}`),
    onBatchCompleted: ({ batchTime }) => events.push(`completed ${String(batchTime)}`),
    onBatchFailed: ({ batchTime }) => events.push(`failed ${String(batchTime)}`),
    onOutputStarted: ({ batchTime, id }) => events.push(`output-started ${String(batchTime)} ${id}`),
    onOutputCompleted: ({ batchTime, id }) => events.push(`output-completed ${String(batchTime)} ${id}`),
  }
}

export interface Harness {
  readonly clock: ManualClock
  readonly disk: FileSystem
  readonly ssc: StreamingContext
  readonly log: string[]
  readonly printed: string[]
  readonly events: string[]
  /** Times of the batches that were completed. */
  readonly completed: number[]
  /** Lets one interval of a second pass and waits until the batch of its end is completed. */
  batch(): Promise<void>
  batches(count: number): Promise<void>
  /** The error that ends the application; undefined when it ends without. Counts as awaiting termination. */
  end(): Promise<unknown>
}

/** A context with batches of 1 s from time 0. */
export function harness(options: Partial<StreamingContextOptions> = {}): Harness {
  const clock = (options.clock as ManualClock | undefined) ?? new ManualClock()
  const disk = memoryFileSystem({ clock })
  const logger = memoryLogger()
  const printed: string[] = []
  const ssc = new StreamingContext({
    batchInterval: seconds(1),
    clock,
    logger,
    localFileSystem: disk,
    signals: false,
    stdout: (text) => void printed.push(text),
    ...options,
  })
  const events: string[] = []
  const completed: number[] = []
  ssc.addListener(recordEvents(events))
  ssc.addListener({ onBatchCompleted: ({ batchTime }) => void completed.push(batchTime) })
  const batch = async (): Promise<void> => {
    const before = completed.length
    await clock.advance(ssc.batchInterval)
    await until(() => completed.length > before, 'the batch is completed')
  }
  const batches = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await batch()
  }
  const end = (): Promise<unknown> =>
    ssc.awaitTermination().then(
      () => undefined,
      (error: unknown) => error,
    )
  return { clock, disk, ssc, log: logger.lines, printed, events, completed, batch, batches, end }
}
