/** Makes records of a chunk, as many at a time as are asked for. */
import { isSluiceError, SluiceError } from '@sluice/core'
import type { RecordChunk, RecordCursor } from '@sluice/kafka-wire'
import { COMPONENT } from '../component.js'
import { Undecodable, type KafkaRecord } from '../record.js'
import type { Deserializer } from './deserializer.js'
import { messageOf } from './message.js'
import { bytes } from './deserializer.js'
import { DecodeFailure, headersOf, partsOf, RecordView, type Parts } from './record-view.js'

export interface DecodeOptions<K, V, T> {
  readonly key?: Deserializer<K> | undefined
  readonly value?: Deserializer<V> | undefined
  readonly handler?: ((record: KafkaRecord<K | null, V | null>) => T) | undefined
  /** Whether what does not decode becomes an {@link Undecodable}, and does not fail the batch. */
  readonly keepsUndecodable: boolean
}

/** Makes the record on which the cursor stands. */
type Make<T> = () => T

/** How the records of one stream are made. */
export interface Decoding<T> {
  decoder(chunk: RecordChunk): ChunkDecoder<T>
}

export function decodingOf<K, V, T>(options: DecodeOptions<K, V, T>): Decoding<T> {
  return new OptionsDecoding(options)
}

class OptionsDecoding<K, V, T> implements Decoding<T> {
  readonly #options: DecodeOptions<K, V, T>
  readonly #parts: Parts<K, V>
  /** Whether a key or value may have to wait for something. */
  readonly #prepares: boolean

  constructor(options: DecodeOptions<K, V, T>) {
    const { key, value, handler } = options
    this.#options = options
    // A handler sees views; records that are handed out have bytes of their own.
    const plain = handler === undefined ? (bytes as unknown) : undefined
    this.#parts = partsOf(
      key ?? (plain as Deserializer<K> | undefined),
      value ?? (plain as Deserializer<V> | undefined),
    )
    this.#prepares = prepareOf(key) !== undefined || prepareOf(value) !== undefined
  }

  decoder(chunk: RecordChunk): ChunkDecoder<T> {
    const cursor = chunk.records()
    const options = this.#options
    return new ChunkDecoder({
      chunk,
      cursor,
      make: this.#maker(chunk, cursor),
      prepare: this.#prepares ? () => pending(options, cursor) : undefined,
      keepsUndecodable: options.keepsUndecodable,
    })
  }

  #maker(chunk: RecordChunk, cursor: RecordCursor): Make<T> {
    const { handler } = this.#options
    const { topic, partition } = chunk
    const parts = this.#parts
    if (handler === undefined) return () => recordOf(topic, partition, cursor, parts) as T
    const view = new RecordView(chunk, cursor, parts)
    return () => {
      const made = handler(view)
      if ((made as unknown) === view) throw keptView()
      return made
    }
  }
}

function recordOf<K, V>(
  topic: string,
  partition: number,
  cursor: RecordCursor,
  parts: Parts<K, V>,
): KafkaRecord<K | null, V | null> {
  return {
    topic,
    partition,
    offset: cursor.offset,
    timestamp: cursor.timestampMs,
    key: parts.key(cursor),
    value: parts.value(cursor),
    headers: headersOf(cursor),
  }
}

function pending(
  { key, value }: Pick<DecodeOptions<unknown, unknown, unknown>, 'key' | 'value'>,
  cursor: RecordCursor,
): Promise<void> | undefined {
  return pendingPart(key, cursor.key) ?? pendingPart(value, cursor.value)
}

function pendingPart(deserializer: Deserializer<unknown> | undefined, data: Buffer | null): Promise<void> | undefined {
  return data === null ? undefined : prepareOf(deserializer)?.(data)
}

function prepareOf(
  deserializer: Deserializer<unknown> | undefined,
): ((data: Buffer) => Promise<void> | undefined) | undefined {
  return deserializer?.from === 'bytes' ? deserializer.prepare?.bind(deserializer) : undefined
}

interface DecoderParts<T> {
  readonly chunk: RecordChunk
  readonly cursor: RecordCursor
  readonly make: Make<T>
  readonly prepare: (() => Promise<void> | undefined) | undefined
  readonly keepsUndecodable: boolean
}

export class ChunkDecoder<T> {
  readonly #parts: DecoderParts<T>
  /** What the record on which the cursor stands waits for. */
  #pending: Promise<void> | undefined
  #isDone = false
  #isChecked = false

  constructor(parts: DecoderParts<T>) {
    this.#parts = parts
  }

  get isDone(): boolean {
    return this.#isDone
  }

  /** Await it before the next `take`. */
  get pending(): Promise<void> | undefined {
    return this.#pending
  }

  /** At most so many records; fewer at the end of the chunk, and where one has to wait. */
  take(most: number): (T | Undecodable)[] {
    const records: (T | Undecodable)[] = []
    while (records.length < most) {
      try {
        if (!this.#fill(records, most)) return records
      } catch (error) {
        records.push(this.#undecodable(error))
      }
    }
    return records
  }

  /** False when no more is to be had now. */
  #fill(records: (T | Undecodable)[], most: number): boolean {
    const { make, prepare } = this.#parts
    while (records.length < most) {
      // A record that had to wait is still the one on which the cursor stands.
      if (this.#pending === undefined && !this.#next()) return false
      if (prepare !== undefined) {
        this.#pending = prepare()
        if (this.#pending !== undefined) return false
      }
      const made = make()
      if (!this.#isChecked) this.#check(made)
      records.push(made)
    }
    return true
  }

  /** The first record tells whether something is asynchronous that must not be. */
  #check(made: T): void {
    this.#isChecked = true
    const { key, value } = (made ?? {}) as Partial<KafkaRecord<unknown, unknown>>
    if ([made, key, value].some(isPromise)) throw asynchronous()
  }

  #next(): boolean {
    let has: boolean
    try {
      has = this.#parts.cursor.next()
    } catch (error) {
      throw new ReadFailure(error)
    }
    this.#isDone = !has
    return has
  }

  #undecodable(error: unknown): Undecodable {
    if (error instanceof ReadFailure) throw error.cause
    if (!this.#parts.keepsUndecodable || isSluiceError(error)) throw this.#explained(error)
    const { chunk, cursor } = this.#parts
    const { topic, partition } = chunk
    const record = recordOf(topic, partition, cursor, partsOf(bytes, bytes))
    return new Undecodable({ ...record, message: messageOf(error) })
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

/** What reading threw: never the fault of one record. */
class ReadFailure extends Error {
  constructor(cause: unknown) {
    super('reading failed', { cause })
  }
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
