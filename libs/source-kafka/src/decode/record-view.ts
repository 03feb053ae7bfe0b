/** The record on which a cursor stands, decoded where it is looked at. */
import type { RecordCursor, RecordHeader } from '@sluice/kafka-wire'
import { messageOf } from './message.js'
import type { Deserializer } from './deserializer.js'
import type { KafkaRecord } from '../record.js'

export interface Place {
  readonly topic: string
  readonly partition: number
}

/** What a deserializer threw, told apart from what a handler throws by itself. */
export class DecodeFailure extends Error {}

type Part<T> = (cursor: RecordCursor) => T | null

/** How the parts of a record are decoded; `undefined` gives views of the bytes. */
export interface Parts<K, V> {
  readonly key: Part<K>
  readonly value: Part<V>
}

export function partsOf<K, V>(key: Deserializer<K> | undefined, value: Deserializer<V> | undefined): Parts<K, V> {
  return {
    key: partOf(
      'key',
      (cursor) => cursor.keyText,
      (cursor) => cursor.key,
      key,
    ),
    value: partOf(
      'value',
      (cursor) => cursor.valueText,
      (cursor) => cursor.value,
      value,
    ),
  }
}

function partOf<T>(
  part: string,
  textOf: (cursor: RecordCursor) => string | null,
  bytesOf: (cursor: RecordCursor) => Buffer | null,
  deserializer: Deserializer<T> | undefined,
): Part<T> {
  if (deserializer === undefined) return bytesOf as unknown as Part<T>
  if (deserializer.from === 'text') return decoded(part, textOf, (text) => deserializer.decode(text))
  return decoded(part, bytesOf, (bytes) => deserializer.decode(bytes))
}

function decoded<D, T>(part: string, dataOf: (cursor: RecordCursor) => D | null, decode: (data: D) => T): Part<T> {
  return (cursor) => {
    const data = dataOf(cursor)
    if (data === null) return null
    try {
      return decode(data)
    } catch (error) {
      throw new DecodeFailure(`the ${part} does not decode: ${messageOf(error)}`, { cause: error })
    }
  }
}

/** One for each chunk, moved from record to record: a handler must not keep it. */
export class RecordView<K, V> implements KafkaRecord<K | null, V | null> {
  readonly topic: string
  readonly partition: number
  readonly #cursor: RecordCursor
  readonly #parts: Parts<K, V>

  constructor({ topic, partition }: Place, cursor: RecordCursor, parts: Parts<K, V>) {
    this.topic = topic
    this.partition = partition
    this.#cursor = cursor
    this.#parts = parts
  }

  get offset(): bigint {
    return this.#cursor.offset
  }

  get timestamp(): number {
    return this.#cursor.timestampMs
  }

  get key(): K | null {
    return this.#parts.key(this.#cursor)
  }

  get value(): V | null {
    return this.#parts.value(this.#cursor)
  }

  get headers(): readonly RecordHeader[] {
    return headersOf(this.#cursor)
  }
}

const NO_HEADERS: readonly RecordHeader[] = []

/** In buffers of their own. */
export function headersOf(cursor: RecordCursor): readonly RecordHeader[] {
  const { headers } = cursor
  return headers.length === 0
    ? NO_HEADERS
    : headers.map(({ name, value }) => ({ name, value: value === null ? null : Buffer.from(value) }))
}
