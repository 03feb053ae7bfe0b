/** From records of a stream to those of Kafka. Throws `RECORD_REJECTED` for what Kafka would not take, or would not keep as it is. */
import { isSluiceError } from '@sluice/core'
import { batchSizeBytes, type RecordToProduce } from '@sluice/kafka-wire'
import { rejected } from './errors.js'
import { isTopicName, type KafkaSinkOptions } from './kafka-sink.config.js'
import { kindOf, text, type Content } from './serializers.js'
import type { TopicInfo, Topics } from './topics.js'

/** A record and where it goes. */
export interface OutgoingRecord {
  readonly topic: string
  readonly record: RecordToProduce
}

const identity = (record: unknown): unknown => record

export class RecordMapper {
  readonly #options: KafkaSinkOptions<never>

  constructor(options: KafkaSinkOptions<never>) {
    this.#options = options
  }

  topicOf(given: unknown): string {
    const { topic } = this.#options
    if (typeof topic === 'string') return topic
    const name: unknown = called('topic', () => topic(given as never))
    if (isTopicName(name)) return name
    throw rejected(`topic gives ${kindOf(name)} that is no name of a topic; repair the function, or the record`)
  }

  map(given: unknown, topic: string, info: TopicInfo, nowMs: number): RecordToProduce {
    const { key, value = identity, headers, partition, timestamp, serializers = {} } = this.#options
    const record: { -readonly [name in keyof RecordToProduce]: RecordToProduce[name] } = {
      value: contentOf('value', topic, serializers.value ?? text, value as typeof identity, given),
    }
    if (key !== undefined) record.key = contentOf('key', topic, serializers.key ?? text, key as typeof identity, given)
    if (headers !== undefined) record.headers = called('headers', () => headersOf(headers(given as never)))
    if (partition !== undefined) record.partition = partitionOf(partition(given as never), info, topic)
    if (timestamp !== undefined) record.timestampMs = timeOf(timestamp(given as never), info, nowMs)
    this.#check(record, topic, info)
    return record
  }

  #check(record: RecordToProduce, topic: string, { isCompacted, maxBytes }: TopicInfo): void {
    const { key = null } = record
    if (isCompacted && key === null)
      throw rejected(`topic ${topic} is compacted, and the record has no key; give \`key\``)
    const sizeBytes = batchSizeBytes(record)
    if (sizeBytes <= maxBytes) return
    throw rejected(
      `the record has ${String(sizeBytes)} bytes, and topic ${topic} takes ${String(maxBytes)}; raise max.message.bytes, or make it smaller`,
    )
  }
}

/** All records of a partition, in their order; `reject` is told of those that do not fit. */
export async function mapRecords(
  chunks: AsyncIterable<readonly unknown[]>,
  mapper: RecordMapper,
  topics: Topics,
  { nowMs, signal, reject }: { nowMs: number; signal: AbortSignal; reject: (index: number, error: Error) => void },
): Promise<(OutgoingRecord | undefined)[]> {
  const all: (OutgoingRecord | undefined)[] = []
  let known: { readonly topic: string; readonly info: TopicInfo } | undefined
  for await (const chunk of chunks) {
    signal.throwIfAborted()
    for (const given of chunk) {
      const index = all.length
      try {
        const topic = mapper.topicOf(given)
        if (known?.topic !== topic) known = { topic, info: await required(topics, topic) }
        all.push({ topic, record: mapper.map(given, topic, known.info, nowMs) })
      } catch (error) {
        if (!isSluiceError(error, 'RECORD_REJECTED')) throw error
        all.push(undefined)
        reject(index, error)
      }
    }
  }
  signal.throwIfAborted()
  return all
}

async function required(topics: Topics, topic: string): Promise<TopicInfo> {
  const info = await topics.get(topic)
  if (info === undefined) throw rejected(`there is no topic ${topic}; create it, or see to the name`)
  return info
}

function contentOf(
  name: string,
  topic: string,
  serializer: (value: unknown, topic: string) => Content,
  field: (record: unknown) => unknown,
  given: unknown,
): Content {
  const content: unknown = called(name, () => serializer(field(given), topic))
  if (typeof content === 'string') return wholeText(name, content)
  if (content === null || content instanceof Uint8Array) return content
  throw rejected(`${name} gives ${kindOf(content)}; give a string, bytes or null`)
}

/** Halves of characters would be written as another one. */
function wholeText(name: string, given: string): string {
  // Of ES2024; Node has it.
  if ((given as unknown as { isWellFormed(): boolean }).isWellFormed()) return given
  throw rejected(`${name} has half a character in its text; give bytes, or repair it`)
}

function headersOf(headers: unknown): NonNullable<RecordToProduce['headers']> {
  if (typeof headers !== 'object' || headers === null)
    throw rejected(`headers gives ${kindOf(headers)}; give an object`)
  const pairs: readonly (readonly unknown[])[] = Array.isArray(headers) ? headers : Object.entries(headers)
  return pairs.map(([name, value]) => {
    if (typeof name !== 'string') throw rejected(`the name of a header is ${kindOf(name)}; give a string`)
    if (typeof value === 'string') return [wholeText('a header', name), wholeText('a header', value)]
    if (value instanceof Uint8Array) return [wholeText('a header', name), value]
    throw rejected(`a header is ${kindOf(value)}; give a string or bytes`)
  })
}

function partitionOf(partition: unknown, { partitions }: TopicInfo, topic: string): number | undefined {
  if (partition === undefined) return undefined
  if (Number.isInteger(partition) && (partition as number) >= 0 && (partition as number) < partitions)
    return partition as number
  throw rejected(
    `partition gives ${kindOf(partition)}, and topic ${topic} has ${String(partitions)}; give one from 0 on, or undefined`,
  )
}

function timeOf(time: unknown, { maxBeforeMs, maxAfterMs }: TopicInfo, nowMs: number): number {
  const ms: unknown = time instanceof Date ? time.getTime() : time
  if (!Number.isSafeInteger(ms) || (ms as number) < 0)
    throw rejected(`timestamp gives ${kindOf(time)}; give a Date, or whole milliseconds since 1970`)
  const behind = nowMs - (ms as number)
  if (behind <= maxBeforeMs && -behind <= maxAfterMs) return ms as number
  throw rejected(
    'timestamp is further from now than the topic takes; set message.timestamp.before.max.ms or after.max.ms',
  )
}

/** What a function of the user throws is the record's fault. */
function called<T>(name: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (isSluiceError(error, 'RECORD_REJECTED')) throw error
    throw rejected(
      `${name} failed: ${error instanceof Error ? error.message : String(error)}; repair it, or the record`,
      error,
    )
  }
}
