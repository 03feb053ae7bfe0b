/** Drives a sink as the engine does, without one: open, write, and again as long as an error says that this may help. */
import {
  isSluiceError,
  systemClock,
  type BatchPartitionId,
  type Logger,
  type Sink,
  type SinkContext,
} from '@sluice/core'

let apps = 0

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export class Drive {
  readonly app = `drive-${String(process.pid)}-${String(++apps)}`

  context(context: Partial<SinkContext> = {}): SinkContext {
    return {
      ...{ app: this.app, output: 'drive-0', epoch: 1, lastPlanned: 1_000_000, logger: silent, clock: systemClock },
      signal: new AbortController().signal,
      ...context,
    }
  }

  async open<T>(sink: Sink<T>, context?: Partial<SinkContext>): Promise<void> {
    await sink.open?.(this.context(context))
  }

  id(id: Partial<BatchPartitionId> = {}): BatchPartitionId {
    return {
      ...{ app: this.app, output: 'drive-0', batchTime: 1_000, partition: 0, partitions: 1 },
      ...{ planDigest: 'plan', epoch: 1, attempt: 0, ...id },
    }
  }

  /** Gives what was rejected. */
  async write<T>(sink: Sink<T>, records: readonly T[], id: Partial<BatchPartitionId> = {}): Promise<number[]> {
    const rejected: number[] = []
    async function* chunks(): AsyncGenerator<readonly T[]> {
      await Promise.resolve()
      for (let at = 0; at < records.length; at += 1_000) yield records.slice(at, at + 1_000)
    }
    await sink.writePartition(this.id(id), chunks(), {
      signal: new AbortController().signal,
      reject: (index) => rejected.push(index),
      settleRejects: () => Promise.resolve(),
    })
    return rejected
  }
}

const TRIES = 100

/** Gives how often it failed. */
export async function untilDone(work: (attempt: number) => Promise<unknown>): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    try {
      await work(attempt)
      return attempt
    } catch (error) {
      if (!isSluiceError(error) || !error.retryable || attempt > TRIES) throw error
      await systemClock.sleep(20)
    }
  }
}
