/** Makes records of a chunk, as many at a time as are asked for. */
import { isSluiceError, SluiceError } from '@sluice/core'
import type { RecordChunk, RecordCursor, RecordHeader } from '@sluice/kafka-wire'
import { COMPONENT } from '../component.js'
import { Undecodable, type KafkaRecord } from '../record.js'
import { compileLoop, type Fill, type LoopState } from './compile-decoding.js'
import type { Deserializer } from './deserializer.js'
import { messageOf } from './message.js'

export interface DecodeOptions<K, V, T> {
  readonly key?: Deserializer<K> | undefined
  readonly value?: Deserializer<V> | undefined
  readonly handler?: ((record: KafkaRecord<K | null, V | null>) => T) | undefined
  /** Whether what does not decode becomes an {@link Undecodable}, and does not fail the batch. */
  readonly keepsUndecodable: boolean
}

/** How the records of one stream are made. */
export interface Decoding<T> {
  decoder(chunk: RecordChunk): ChunkDecoder<T>
}

export function decodingOf<K, V, T>({ key, value, handler, keepsUndecodable }: DecodeOptions<K, V, T>): Decoding<T> {
  const loopOf = compileLoop(
    { key, value, handler, prepare: prepareOf(key, value) },
    { headersOf, decodeFailed, keptView },
  )
  return {
    decoder(chunk) {
      const cursor = chunk.records()
      return new ChunkDecoder<T>({ chunk, cursor, fill: loopOf(chunk, cursor), keepsUndecodable })
    },
  }
}

/** What a key or value has to wait for, where one of them may. */
function prepareOf(
  key: Deserializer<unknown> | undefined,
  value: Deserializer<unknown> | undefined,
): ((cursor: RecordCursor) => Promise<void> | undefined) | undefined {
  const keyPrepare = key?.from === 'bytes' ? key.prepare?.bind(key) : undefined
  const valuePrepare = value?.from === 'bytes' ? value.prepare?.bind(value) : undefined
  if (keyPrepare === undefined && valuePrepare === undefined) return undefined
  const pending = (prepare: typeof keyPrepare, data: Buffer | null): Promise<void> | undefined =>
    data === null ? undefined : prepare?.(data)
  return (cursor) => pending(keyPrepare, cursor.key) ?? pending(valuePrepare, cursor.value)
}

interface DecoderParts {
  readonly chunk: RecordChunk
  readonly cursor: RecordCursor
  readonly fill: Fill
  readonly keepsUndecodable: boolean
}

class ChunkDecoder<T> {
  readonly #parts: DecoderParts
  readonly #state: LoopState = { isReading: false, isDone: false, made: 0, pending: undefined }
  #isChecked = false

  constructor(parts: DecoderParts) {
    this.#parts = parts
  }

  get isDone(): boolean {
    return this.#state.isDone
  }

  /** Await it before the next `take`. */
  get pending(): Promise<void> | undefined {
    return this.#state.pending
  }

  /** At most so many records; fewer at the end of the chunk, and where one has to wait. */
  take(most: number): (T | Undecodable)[] {
    const state = this.#state
    // Made at once: an array that grows is copied each time.
    const records = new Array<T | Undecodable>(most)
    state.made = 0
    while (state.made < most) {
      try {
        if (!this.#parts.fill(records, state)) break
      } catch (error) {
        records[state.made] = this.#undecodable(error)
        state.made++
      }
    }
    records.length = state.made
    if (!this.#isChecked) this.#check(records[0])
    return records
  }

  /** The first record tells whether something is asynchronous that must not be. */
  #check(first: T | Undecodable | undefined): void {
    if (first === undefined) return
    this.#isChecked = true
    const { key, value } = (first ?? {}) as Partial<KafkaRecord<unknown, unknown>>
    if ([first, key, value].some(isPromise)) throw asynchronous()
  }

  #undecodable(error: unknown): Undecodable {
    if (this.#state.isReading) throw error
    if (!this.#parts.keepsUndecodable || isSluiceError(error)) throw this.#explained(error)
    const { chunk, cursor } = this.#parts
    return new Undecodable({
      topic: chunk.topic,
      partition: chunk.partition,
      offset: cursor.offset,
      timestamp: cursor.timestampMs,
      key: cursor.keyCopy,
      value: cursor.valueCopy,
      headers: headersOf(cursor),
      message: messageOf(error),
    })
  }

  #explained(error: unknown): SluiceError {
    const { chunk, cursor } = this.#parts
    const at = `${chunk.topic}/${String(chunk.partition)} at offset ${String(cursor.offset)}`
    if (isSluiceError(error)) return error
    const isDecoding = error instanceof DecodeFailure
    return new SluiceError({
      code: isDecoding ? 'RECORD_UNDECODABLE' : 'USER_FUNCTION_FAILED',
      component: COMPONENT,
      message: isDecoding
        ? `${at}: ${error.message}; repair the producer, or give onDecodeError: { deadLetter: sink }`
        : `the handler threw for ${at}: ${messageOf(error)}; see the cause's stack, or give onDecodeError: { deadLetter: sink }`,
      cause: isDecoding ? error.cause : error,
    })
  }
}

/** What a deserializer threw, told apart from what a handler throws by itself. */
class DecodeFailure extends Error {}

function decodeFailed(part: string, error: unknown): Error {
  return new DecodeFailure(`the ${part} does not decode: ${messageOf(error)}`, { cause: error })
}

const NO_HEADERS: readonly RecordHeader[] = []

function headersOf(cursor: RecordCursor): readonly RecordHeader[] {
  const { headers } = cursor
  return headers.length === 0 ? NO_HEADERS : headers
}

function keptView(): SluiceError {
  return new SluiceError({
    code: 'ARGUMENT_INVALID',
    component: COMPONENT,
    message:
      'the handler returned the record that it was given, which is only valid during the call; return what you need of it, ' +
      'e.g. record.value, or leave the handler out',
  })
}

function asynchronous(): SluiceError {
  return new SluiceError({
    code: 'ASYNC_FUNCTION',
    component: COMPONENT,
    message: 'a handler or deserializer returned a promise; make it synchronous, or use mapAsync on the stream',
  })
}

function isPromise(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
