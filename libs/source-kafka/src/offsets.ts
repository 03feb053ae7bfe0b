/** Where reading begins. */
import { SluiceError } from '@sluice/core'
import type { CallOptions, KafkaClient, OffsetMoment, TopicMetadata, TopicPartitionOffset } from '@sluice/kafka-wire'
import { COMPONENT } from './component.js'

/** Where a partition begins that nothing else tells of. */
export type StartMoment = 'earliest' | 'latest' | { readonly timestampMs: number }

export type StartFrom = StartMoment | 'committed' | { readonly offsets: readonly TopicPartitionOffset[] }

/** Next offsets by topic and partition, as plain data: what a restart must know. */
export type NextOffsets = Readonly<Record<string, Readonly<Record<string, bigint>>>>

export interface StartParts {
  readonly client: KafkaClient
  readonly topics: readonly TopicMetadata[]
  readonly from: StartFrom
  readonly otherwise: StartMoment | 'fail'
  /** What is stored, by partition as in {@link partitionName}. */
  readonly stored: Readonly<Record<string, string>>
  /** `latest` at a first start: what was `latest` for a start that never came to its first plan. */
  readonly latest: OffsetMoment
  readonly options: CallOptions
}

/** As an offset store knows a partition, e.g. `orders-3`. */
export function partitionName(topic: string, partition: number): string {
  return `${topic}-${String(partition)}`
}

/** Where each partition of all topics begins at a first start. */
export async function startOffsets(parts: StartParts): Promise<TopicPartitionOffset[]> {
  await requireGiven(parts)
  return (await Promise.all(parts.topics.map((topic) => startOfTopic(topic, parts)))).flat()
}

async function startOfTopic({ topic, partitions }: TopicMetadata, parts: StartParts): Promise<TopicPartitionOffset[]> {
  const given = givenOffsets(topic, parts)
  const known = partitions.some(({ partition }) => given.has(partition))
  const missing = partitions.map(({ partition }) => partition).filter((partition) => !given.has(partition))
  const found = missing.length === 0 ? new Map<number, bigint>() : await list(topic, missing, known, parts)
  return partitions.map(({ partition }) => ({
    topic,
    partition,
    offset: given.get(partition) ?? (found.get(partition) as bigint),
  }))
}

function givenOffsets(topic: string, { from, stored }: StartParts): ReadonlyMap<number, bigint> {
  const given = new Map<number, bigint>()
  if (typeof from === 'object' && 'offsets' in from) {
    for (const each of from.offsets) if (each.topic === topic) given.set(each.partition, each.offset)
  }
  if (from === 'committed') {
    const prefix = `${topic}-`
    for (const [name, text] of Object.entries(stored)) {
      const partition = name.slice(prefix.length)
      if (name.startsWith(prefix) && /^\d+$/.test(partition)) given.set(Number(partition), parseOffset(name, text))
    }
  }
  return given
}

/** `known`: partitions that were added to a topic since its offsets were stored are read from their beginning. */
async function list(
  topic: string,
  partitions: readonly number[],
  known: boolean,
  { client, from, otherwise, latest, options }: StartParts,
): Promise<ReadonlyMap<number, bigint>> {
  const moment = typeof from === 'object' && 'offsets' in from ? otherwise : from === 'committed' ? otherwise : from
  if (from === 'committed' && known) return client.listOffsets(topic, partitions, 'earliest', options)
  if (moment === 'fail') {
    throw invalid(
      `nothing tells where to begin with ${partitions.map((each) => partitionName(topic, each)).join(', ')}; ` +
        `say so in 'otherwise', or in from: { offsets }`,
    )
  }
  return client.listOffsets(topic, partitions, moment === 'latest' ? latest : moment, options)
}

/** Offsets given by hand must be there: a slip would make the stream wait for ever. */
async function requireGiven({ client, topics, from, options }: StartParts): Promise<void> {
  if (typeof from !== 'object' || !('offsets' in from)) return
  for (const { topic, partition, offset } of from.offsets) {
    const name = partitionName(topic, partition)
    const found = topics.find((each) => each.topic === topic)
    if (found?.partitions.some((each) => each.partition === partition) !== true) {
      throw invalid(`from.offsets has ${name}, which the stream does not read; see to topics`)
    }
    const end = (await client.listOffsets(topic, [partition], 'latest', options)).get(partition) ?? offset
    if (offset < 0n || offset > end) {
      throw invalid(`from.offsets has ${String(offset)} for ${name}, which ends at ${String(end)}; give one up to that`)
    }
  }
}

/** Throws `DATA_CORRUPT` for what is no offset. */
function parseOffset(name: string, text: string): bigint {
  if (/^\d+$/.test(text)) return BigInt(text)
  throw new SluiceError({
    code: 'DATA_CORRUPT',
    component: COMPONENT,
    message: `the offset store has '${text}' for ${name}, which is no offset; is another application writing there?`,
  })
}

function invalid(message: string): SluiceError {
  return new SluiceError({ code: 'ARGUMENT_INVALID', component: COMPONENT, message })
}
