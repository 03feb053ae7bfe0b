/** Reads exactly a range of a partition, by as many fetches as it takes. */
import { abortReason, isSluiceError } from '@sluice/core'
import type { Clock, SluiceError } from '@sluice/core'
import type { FetchAnswer, KafkaClient, RangeRequest } from '../client.js'
import type { Codecs } from '../codecs/codecs.js'
import { invalid, offsetsLost, timedOut } from '../errors.js'
import { batchesOf } from './record-batches.js'
import type { Batches } from './record-batches.js'
import { recordChunk } from './record-chunk.js'
import type { EndingChunk } from './record-chunk.js'
import type { RecordChunk } from '../record.js'
import { mayPass } from '../waiting.js'

const DEFAULT_DEADLINE_MS = 60_000
const DEFAULT_MAX_BYTES = 1024 * 1024
/** The broker waits so long for what is not there yet. */
const MAX_WAIT_MS = 500
const EMPTY_PAUSE_MS = 10
const RETRY_PAUSE_MS = 100

/** The broker's answer to a fetch below the begin of the partition, or beyond its end. */
export const OUT_OF_RANGE = 'OFFSET_OUT_OF_RANGE'

export interface ReaderParts {
  readonly client: Pick<KafkaClient, 'fetch' | 'listOffsets'>
  readonly clock: Clock
  readonly codecs: Codecs
  /** How long a fetch may take: when it is over, it is tried again. */
  readonly callTimeoutMs: number
  /** Whether `error`, which `fetch` threw, says that the offset lies outside the partition. */
  readonly isOutOfRange: (error: unknown) => boolean
}

interface Read {
  readonly chunk: EndingChunk
  readonly hasRecords: boolean
  /** See {@link FetchAnswer}. */
  readonly release: FetchAnswer['release']
}

export async function* readRange(
  parts: ReaderParts,
  request: RangeRequest,
): AsyncGenerator<RecordChunk, void, undefined> {
  const { from, to, signal } = request
  if (from < 0n || from > to)
    throw invalid(`a range from ${String(from)} to ${String(to)}; from must not be above to, nor below 0`)
  const ended = new AbortController()
  const onAbort = (): void => {
    ended.abort(signal?.reason)
  }
  if (signal?.aborted === true) throw abortReason(signal)
  signal?.addEventListener('abort', onAbort, { once: true })
  const reader = new RangeReader(parts, request, ended.signal)
  try {
    let ahead = from < to ? outcome(reader.next(from)) : undefined
    while (ahead !== undefined) {
      const { chunk, hasRecords, release } = unwrap(await ahead)
      ahead = chunk.position < to ? outcome(reader.next(chunk.position)) : undefined
      if (hasRecords) yield chunk
      if (chunk.end()) release?.()
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
    ended.abort()
  }
}

/** What is read ahead may fail before anybody waits for it. */
type Outcome = { readonly value: Read } | { readonly error: unknown }

function outcome(read: Promise<Read>): Promise<Outcome> {
  return read.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
}

function unwrap(settled: Outcome): Read {
  if ('error' in settled) throw settled.error
  return settled.value
}

class RangeReader {
  readonly #parts: ReaderParts
  readonly #request: RangeRequest
  readonly #signal: AbortSignal
  readonly #deadlineMs: number

  constructor(parts: ReaderParts, request: RangeRequest, signal: AbortSignal) {
    this.#parts = parts
    this.#request = request
    this.#signal = signal
    this.#deadlineMs = request.deadlineMs ?? DEFAULT_DEADLINE_MS
  }

  /** What one fetch from `position` gives, as soon as there is one that goes beyond it. */
  async next(position: bigint): Promise<Read> {
    const { clock } = this.#parts
    const end = clock.monotonic() + this.#deadlineMs
    for (;;) {
      const tried = await this.#try(position, Math.max(end - clock.monotonic(), 1))
      if ('chunk' in tried) return tried
      if (clock.monotonic() + tried.pauseMs >= end)
        throw timedOut(this.#doing(position), this.#deadlineMs, tried.problem)
      await clock.sleep(tried.pauseMs, this.#signal)
    }
  }

  async #try(
    position: bigint,
    leftMs: number,
  ): Promise<Read | { readonly problem: unknown; readonly pauseMs: number }> {
    let answer: FetchAnswer
    try {
      answer = await this.#fetch(position, leftMs)
    } catch (error) {
      if (this.#signal.aborted) throw abortReason(this.#signal)
      if (this.#parts.isOutOfRange(error)) return this.#outOfRange(position, leftMs, error)
      if (!mayPass(error, this.#deadlineMs - leftMs, this.#request.newTopicMs)) throw error
      return { problem: error, pauseMs: RETRY_PAUSE_MS }
    }
    const range = { ...this.#request, from: position }
    const batches = batchesOf(answer, range)
    if (batches.position > position) return this.#read(answer, batches)
    const { lastStableOffset, highWatermark } = answer
    const ends = `it ends at ${String(highWatermark)}, and at ${String(lastStableOffset)} for what is committed`
    return { problem: `the partition has nothing there; ${ends}`, pauseMs: EMPTY_PAUSE_MS }
  }

  #fetch(offset: bigint, leftMs: number): Promise<FetchAnswer> {
    const { topic, partition, isolation = 'committed', maxBytes = DEFAULT_MAX_BYTES } = this.#request
    // So that an answer that there is nothing comes in time, and is what is told of.
    const maxWaitMs = Math.min(MAX_WAIT_MS, Math.floor(leftMs / 2))
    const timeoutMs = Math.min(this.#parts.callTimeoutMs, leftMs - maxWaitMs)
    const signal = this.#signal
    return this.#parts.client.fetch({ topic, partition, offset, isolation, maxBytes, maxWaitMs, timeoutMs, signal })
  }

  #read({ records, release }: FetchAnswer, { batches, position }: Batches): Read {
    const { codecs } = this.#parts
    const chunk = recordChunk({ range: this.#request, batches, position, sizeBytes: records.byteLength, codecs })
    return { chunk, hasRecords: batches.length > 0, release }
  }

  /** A changed leader may not know the latest end for a moment: only what the partition's ends prove is lost. */
  async #outOfRange(position: bigint, leftMs: number, cause: unknown): Promise<{ problem: unknown; pauseMs: number }> {
    const { to } = this.#request
    let ends: { earliest: bigint; latest: bigint }
    try {
      ends = await this.#ends(leftMs)
    } catch (error) {
      if (this.#signal.aborted) throw abortReason(this.#signal)
      if (!isSluiceError(error) || !error.retryable) throw error
      return { problem: error, pauseMs: RETRY_PAUSE_MS }
    }
    const { earliest, latest } = ends
    if (position < earliest) throw this.#lost(position, earliest < to ? earliest : to, ends)
    if (position > latest) throw this.#lost(latest, to, ends)
    return { problem: cause, pauseMs: RETRY_PAUSE_MS }
  }

  #lost(from: bigint, to: bigint, ends: { earliest: bigint; latest: bigint }): SluiceError {
    const { topic, partition } = this.#request
    return offsetsLost({ topic, partition, from, to, ...ends })
  }

  async #ends(leftMs: number): Promise<{ earliest: bigint; latest: bigint }> {
    const { topic, partition } = this.#request
    const timeoutMs = Math.min(this.#parts.callTimeoutMs, leftMs)
    const options = { signal: this.#signal, timeoutMs }
    const [earliest, latest] = await Promise.all([
      this.#parts.client.listOffsets(topic, [partition], 'earliest', options),
      this.#parts.client.listOffsets(topic, [partition], 'latest', options),
    ])
    return { earliest: earliest.get(partition) ?? 0n, latest: latest.get(partition) ?? 0n }
  }

  #doing(position: bigint): string {
    const { topic, partition } = this.#request
    return `reading ${topic}/${String(partition)} from offset ${String(position)}`
  }
}
