/** For tests: a streaming context whose batches come when the test says so. */
import { seconds, StreamingContext, systemClock, type Logger, type StreamingContextOptions } from '@sluice/core'
import { ManualClock, memoryFileSystem } from '@sluice/core/testing'

export interface TestContext {
  readonly ssc: StreamingContext
  readonly clock: ManualClock
  /** What it has logged, e.g. `warn: [source-kafka] …`. */
  readonly log: readonly string[]
  /** Lets one interval pass and waits until its batch is done; rejects with the error that ends the application. */
  batch(): Promise<void>
  stop(): Promise<void>
}

type FileSystem = ReturnType<typeof memoryFileSystem>

export interface TestContextOptions extends Partial<StreamingContextOptions> {
  /** What a restart finds again. */
  readonly disk?: FileSystem | undefined
  readonly startMs?: number | undefined
}

const DEADLINE_MS = 60_000

export function testContext({ disk, startMs, ...options }: TestContextOptions = {}): TestContext {
  const clock = new ManualClock(startMs ?? 1_800_000_000_000)
  const log: string[] = []
  const at = (level: string) => (message: string) => void log.push(`${level}: ${message}`)
  const logger: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  const ssc = new StreamingContext({
    batchInterval: seconds(1),
    clock,
    logger,
    localFileSystem: disk ?? memoryFileSystem({ clock }),
    signals: false,
    ...options,
  })
  let completed = 0
  let ended: { readonly error: unknown } | undefined
  ssc.addListener({ onBatchCompleted: () => void completed++ })
  let isWatched = false
  return {
    ssc,
    clock,
    log,
    async batch() {
      if (!isWatched) {
        isWatched = true
        ssc.awaitTermination().then(
          () => (ended = { error: new Error('it has stopped') }),
          (error: unknown) => (ended = { error }),
        )
      }
      const before = completed
      await clock.advance(ssc.batchInterval)
      await until(() => completed > before || ended !== undefined, 'the batch is done')
      if (ended !== undefined) throw ended.error
    },
    stop: () => ssc.stop({ graceful: false }),
  }
}

/** Resolves when `condition` holds; rejects after a generous time, naming it. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = systemClock.monotonic() + DEADLINE_MS
  while (!(await condition())) {
    if (systemClock.monotonic() > end) throw new Error(`never came true: ${what}`)
    await systemClock.sleep(5)
  }
}
