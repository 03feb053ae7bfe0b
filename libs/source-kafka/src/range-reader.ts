/** Reads ranges of offsets: fetches ahead of the tasks, within a budget of bytes, and hands out records in short arrays. */
import { isSluiceError, SluiceError, type Clock, type Logger } from '@sluice/core'
import { lostRangeOf, type Isolation, type KafkaClient, type RecordChunk } from '@sluice/kafka-wire'
import { COMPONENT } from './component.js'
import type { Decoding } from './decode/chunk-decoder.js'
import { messageOf } from './decode/message.js'
import type { OffsetRange } from './plan.js'
import type { Undecodable } from './record.js'

interface ReadOptions {
  readonly isolation: Isolation
  readonly deadlineMs: number
  readonly maxRetries: number
  readonly fetchBytes: number
  readonly readAheadBytes: number
}

export interface RangeReaderParts<T> extends ReadOptions {
  readonly client: KafkaClient
  readonly decoding: Decoding<T>
  readonly clock: Clock
  readonly logger: Logger
}

/** Records of the first arrays of a range: `first`, `take` and `isEmpty` decode hardly more than they need. */
const FIRST_RECORDS = 1
const GROWTH = 16
/** Few enough to be decoded in a moment, enough that an array costs nothing. */
const MOST_RECORDS = 1_024
/** Milliseconds after which others have their turn. */
const TURN_MS = 5
/** A fetch in use, and the one behind it. */
const FETCHES_HELD = 2

/** A range that is being fetched. */
interface Opened {
  readonly chunks: AsyncGenerator<RecordChunk>
  /** Asked for before anybody reads. */
  readonly first: Promise<IteratorResult<RecordChunk>>
  /** Why it was ended before its end; whoever reads it must not take that for the end of the range. */
  ended?: { readonly reason: unknown }
  end(reason: unknown): Promise<void>
}

export class RangeReader<T> {
  readonly #parts: RangeReaderParts<T>
  /** Fetched before a task asks for them, by range. */
  readonly #ahead = new Map<string, Opened>()
  readonly #all = new Set<Opened>()

  constructor(parts: RangeReaderParts<T>) {
    this.#parts = parts
  }

  /** Begins to fetch ranges that will be read soon, as many as the budget has room for. */
  readAhead(ranges: readonly OffsetRange[]): void {
    const { fetchBytes, readAheadBytes } = this.#parts
    for (const range of ranges) {
      if (range.from >= range.until) continue
      if ((this.#all.size + 1) * FETCHES_HELD * fetchBytes > readAheadBytes) return
      this.#ahead.set(keyOf(range), this.#open(range))
    }
  }

  /** What was fetched ahead and is not wanted any more: the batch is done. */
  async release(ranges: readonly OffsetRange[]): Promise<void> {
    await Promise.all(ranges.map(async (range) => this.#taken(range)?.end(released())))
  }

  /** Ends all that is under way. */
  async close(reason: unknown): Promise<void> {
    this.#ahead.clear()
    await Promise.all([...this.#all].map((opened) => opened.end(reason)))
  }

  /** The records of a range, in order. */
  async *read(range: OffsetRange, signal?: AbortSignal): AsyncGenerator<readonly (T | Undecodable)[]> {
    const { clock, decoding } = this.#parts
    let most = FIRST_RECORDS
    let turn = clock.monotonic()
    for await (const chunk of this.#chunks(range, signal)) {
      const decoder = decoding.decoder(chunk)
      while (!decoder.isDone) {
        const records = decoder.take(most)
        if (records.length > 0) yield records
        if (decoder.pending !== undefined) await decoder.pending
        most = Math.min(most * GROWTH, MOST_RECORDS)
        if (clock.monotonic() - turn < TURN_MS) continue
        await clock.yield()
        turn = clock.monotonic()
      }
    }
  }

  /** By the headers of batches. */
  async count(range: OffsetRange, signal?: AbortSignal): Promise<number> {
    let count = 0
    for await (const chunk of this.#chunks(range, signal)) count += chunk.count()
    return count
  }

  async *#chunks(range: OffsetRange, signal: AbortSignal | undefined): AsyncGenerator<RecordChunk> {
    if (range.from >= range.until) return
    const opened = this.#taken(range) ?? this.#open(range)
    const abort = (): void => void opened.end(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    try {
      signal?.throwIfAborted()
      let next = await opened.first
      while (next.done !== true) {
        yield next.value
        next = await opened.chunks.next()
      }
      if (opened.ended !== undefined) throw opened.ended.reason
    } finally {
      signal?.removeEventListener('abort', abort)
      await opened.end(released())
    }
  }

  /** Each is read once: whoever reads the range again fetches it again. */
  #taken(range: OffsetRange): Opened | undefined {
    const key = keyOf(range)
    const opened = this.#ahead.get(key)
    this.#ahead.delete(key)
    return opened
  }

  #open(range: OffsetRange): Opened {
    const controller = new AbortController()
    const chunks = this.#retried(range, controller.signal)
    const first = chunks.next()
    // It may fail long before a task asks for it, or nobody may.
    first.catch(() => undefined)
    const opened: Opened = {
      chunks,
      first,
      end: async (reason) => {
        if (!this.#all.delete(opened)) return
        opened.ended = { reason }
        controller.abort(reason)
        // A generator that waits for a fetch ends when that has been aborted.
        await chunks.return(undefined).catch(() => undefined)
      },
    }
    this.#all.add(opened)
    return opened
  }

  async *#retried(range: OffsetRange, signal: AbortSignal): AsyncGenerator<RecordChunk> {
    const { client, isolation, deadlineMs, maxRetries, fetchBytes, logger } = this.#parts
    const { topic, partition, until } = range
    let at = range.from
    for (let retry = 1; at < until; retry++) {
      try {
        const wanted = { topic, partition, from: at, to: until, isolation, deadlineMs, maxBytes: fetchBytes, signal }
        for await (const chunk of client.readRange(wanted)) {
          at = chunk.position
          yield chunk
        }
        return
      } catch (error) {
        if (signal.aborted || retry > maxRetries || !isSluiceError(error) || !error.retryable) throw explained(error)
        logger.warn(`[${COMPONENT}] ${messageOf(error)}; begins anew (${String(retry)} of ${String(maxRetries)} times)`)
      }
    }
  }
}

function keyOf({ topic, partition, from, until }: OffsetRange): string {
  return `${topic}/${String(partition)}/${String(from)}/${String(until)}`
}

function released(): SluiceError {
  return new SluiceError({ code: 'ABORTED', component: COMPONENT, message: 'the range is not read any more' })
}

/** What a batch had planned and is gone fails it for good (E15): somebody has to decide. */
function explained(error: unknown): unknown {
  const lost = lostRangeOf(error)
  if (lost === undefined) return error
  return new SluiceError({
    code: 'OFFSETS_LOST',
    component: COMPONENT,
    message:
      `${messageOf(error)}. The batch had planned them and cannot be run any more; give this input's part of it up with ` +
      `sluice-checkpoint amend, or start without the checkpoint`,
    cause: error,
  })
}
