/** What the suite of clients works with: a broker's administrator, readers that are not ours, and names of its own. */
import { systemClock } from '@sluice/core'
import { makeTopic } from '@sluice/services'
import type { Admin, ITopicConfig } from 'kafkajs'
import { expect } from 'vitest'
import type { KafkaClient, RangeRequest, RecordToProduce } from '../client.js'

interface OracleRow {
  readonly partition: number
  readonly offset: bigint
  readonly key: string | null
  readonly value: string | null
}

/** Reads the committed rows of a topic, with bytes as base64. */
type Oracle = (topic: string) => Promise<readonly OracleRow[]>

export interface SuiteOptions {
  /** A client for the broker under test; closed by the suite. */
  newClient(options?: { callTimeoutMs?: number }): KafkaClient
  /** Connected, to make topics and delete records. */
  readonly admin: Admin
  readonly oracles: Readonly<Record<string, Oracle>>
  /** Runs kcat as a producer of `lines`, with further arguments. */
  kcat(topic: string, lines: string, args: readonly string[]): Promise<void>
}

export interface Kit extends SuiteOptions {
  readonly client: KafkaClient
  /** A name that nobody else has. */
  name(): string
  newTopic(partitions?: number, configEntries?: Readonly<Record<string, string>>): Promise<string>
}

export async function createTopic(
  admin: Admin,
  topic: string,
  numPartitions = 1,
  settings: Readonly<Record<string, string>> = {},
): Promise<string> {
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }))
  const config: ITopicConfig = { topic, numPartitions, configEntries }
  await makeTopic(admin, config)
  return topic
}

export interface Row {
  readonly offset: bigint
  readonly key: string | null
  readonly value: string | null
}

const base64 = (bytes: Buffer | null): string | null => (bytes === null ? null : bytes.toString('base64'))

/** Reads a range, and checks on the way that counts and positions fit what is read. */
export async function readRows(
  client: KafkaClient,
  topic: string,
  range: Partial<RangeRequest> & Pick<RangeRequest, 'to'>,
): Promise<Row[]> {
  const rows: Row[] = []
  let position = range.from ?? 0n
  for await (const chunk of client.readRange({ topic, partition: 0, from: 0n, ...range })) {
    const before = rows.length
    const cursor = chunk.records()
    while (cursor.next()) {
      expect(cursor.offset).toBeGreaterThanOrEqual(position)
      rows.push({ offset: cursor.offset, key: base64(cursor.key), value: base64(cursor.value) })
    }
    expect(chunk.count()).toBe(rows.length - before)
    expect(chunk.position).toBeLessThanOrEqual(range.to)
    expect(chunk.position).toBeGreaterThan(rows.at(-1)?.offset ?? -1n)
    position = chunk.position
  }
  return rows
}

export async function endOf(
  client: KafkaClient,
  topic: string,
  moment: 'latest' | 'last-stable' = 'latest',
): Promise<bigint> {
  return (await client.listOffsets(topic, [0], moment)).get(0) as bigint
}

/** Transactions end a moment after their producer was told so. */
export async function untilStable(client: KafkaClient, topic: string): Promise<bigint> {
  return until(async () => {
    const [stable, latest] = [await endOf(client, topic, 'last-stable'), await endOf(client, topic)]
    return stable === latest ? latest : undefined
  })
}

/** Asks again and again until there is an answer; the test's own time-out is the limit. */
export async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await systemClock.sleep(20)
  }
}

export const rowOf = (text: string | null): string | null =>
  text === null ? null : Buffer.from(text).toString('base64')

/** What every oracle reads of partition 0. */
export async function oracleRows({ oracles }: SuiteOptions, topic: string): Promise<Row[]> {
  const all: Row[][] = []
  for (const read of Object.values(oracles)) {
    all.push((await read(topic)).map(({ offset, key, value }) => ({ offset, key, value })))
  }
  for (const rows of all.slice(1)) expect(rows).toEqual(all[0])
  return all[0] as Row[]
}

export const valuesOf = (count: number, prefix = 'row'): RecordToProduce[] =>
  Array.from({ length: count }, (_, i) => ({ partition: 0, value: `${prefix} ${String(i)}` }))
