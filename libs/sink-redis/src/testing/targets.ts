/** What the conformance tests of all modes write, and how it is read past the sink. */
import type { Sink } from '@sluice/core'
import { Redis, type Cluster } from 'ioredis'
import { redisSink } from '../redis-sink.js'
import type { RedisPlace, RedisSinkOptions, RedisWrite } from '../redis-sink.config.js'

export interface Item {
  readonly id: string
  readonly value: Uint8Array
}

export const item = (id: string, value: Uint8Array = Buffer.from(id)): Item => ({ id, value: Uint8Array.from(value) })

/** As the conformance suite wants it. */
interface Target {
  readonly sink: Sink<Item>
  reopen(): Sink<Item>
  readBack(): Promise<readonly Item[]>
  close(): Promise<void>
}

export type Reader = Redis | Cluster

export interface ModeCase {
  readonly write: (key: string) => RedisWrite<Item>
  readonly read: (reader: Reader, key: string) => Promise<Item[]>
  readonly refused: readonly Item[]
  readonly isOrdered: boolean
  readonly manyRecords: number
}

const refusedValues = [NaN, null, undefined, { nested: 1 }, ['x'], 'half a \ud800 character', new Date(NaN)]
export const badValues = refusedValues.map((value, index): Item => ({
  id: `bad ${String(index)}`,
  value: value as never,
}))
const badKeys = [null, undefined, {}].map((id): Item => ({ id: id as never, value: Buffer.from('x') }))

export const packed = ({ id, value }: Item): string => {
  if (!(value instanceof Uint8Array)) return value
  return JSON.stringify([id, Buffer.from(value).toString('base64')])
}
export const unpacked = (text: string): Item => {
  const [id, value] = JSON.parse(text) as [string, string]
  return item(id, Buffer.from(value, 'base64'))
}

export const cases: Readonly<Record<string, ModeCase>> = {
  set: {
    write: (key) => ({ mode: 'set', key: `${key}:<id>`, value: 'value' }),
    read: async (reader, key) => {
      const keys = await keysOf(reader, key)
      const values = await valuesOf(reader, keys)
      return keys.map((each, i) => item(each.slice(key.length + 1), values[i] ?? Buffer.from('gone')))
    },
    refused: [...badValues, ...badKeys],
    isOrdered: false,
    manyRecords: 100_000,
  },
  hash: {
    write: (key) => ({ mode: 'hash', key: ({ id }) => `${key}:${requireText(id)}` }),
    read: async (reader, key) => {
      const keys = await keysOf(reader, key)
      const values = await inBatches(keys, (each) => reader.hgetallBuffer(each))
      return values.map(({ id, value }) => item(String(id), value))
    },
    refused: [...badValues, ...badKeys],
    isOrdered: false,
    manyRecords: 100_000,
  },
  // A counter for each record: what was counted twice is there twice.
  increment: {
    write: (key) => ({ mode: 'increment', key, field: packed, by: ({ value }) => (value.length >= 0 ? 1 : 0.5) }),
    read: async (reader, key) =>
      Object.entries(await reader.hgetall(key)).flatMap(([field, count]) =>
        Array.from({ length: Number(count) }, () => unpacked(field)),
      ),
    refused: [{ id: 'no bytes', value: {} as never }],
    isOrdered: false,
    manyRecords: 100_000,
  },
  list: {
    write: (key) => ({ mode: 'list', key, value: packed }),
    read: async (reader, key) => (await reader.lrange(key, 0, -1)).map(unpacked),
    refused: badValues,
    isOrdered: true,
    manyRecords: 100_000,
  },
  stream: {
    write: (key) => ({ mode: 'stream', key, fields: ['id', 'value'] }),
    read: async (reader, key) =>
      (await (reader.xrangeBuffer(key, '-', '+') as Promise<[Buffer, Buffer[]][]>)).map(([, [, id, , value]]) =>
        item(String(id), value ?? Buffer.from('gone')),
      ),
    refused: [...badValues, ...badKeys],
    isOrdered: true,
    manyRecords: 100_000,
  },
  sortedSet: {
    write: (key) => ({ mode: 'sortedSet', key, member: packed, score: () => 1, update: 'increment' }),
    read: async (reader, key) => {
      const found = await reader.zrange(key, '0', '-1', 'WITHSCORES')
      return found.flatMap((member, i) =>
        i % 2 === 1 ? [] : Array.from({ length: Number(found[i + 1]) }, () => unpacked(member)),
      )
    },
    refused: badValues,
    isOrdered: false,
    manyRecords: 100_000,
  },
  custom: {
    write: (key) => ({
      mode: 'custom',
      key,
      commands: (record) => [
        ['RPUSH', key, packed(record)],
        ['INCR', `${key}:count`],
      ],
    }),
    read: async (reader, key) => {
      const found = (await reader.lrange(key, 0, -1)).map(unpacked)
      const count = Number((await reader.get(`${key}:count`)) ?? 0)
      if (count !== found.length) throw new Error(`${String(count)} were counted and ${String(found.length)} are there`)
      return found
    },
    refused: badValues,
    isOrdered: true,
    manyRecords: 100_000,
  },
}

function requireText(id: unknown): string {
  if (typeof id !== 'string') throw new Error('the id is no text')
  return id
}

let targets = 0

/** A target of its own in a server that others use, too. */
export function targetOf(
  { write, read }: ModeCase,
  place: RedisPlace,
  reader: Reader,
  more: Partial<RedisSinkOptions<Item>> = {},
  name = `conformance-${String(process.pid)}-${String(++targets)}`,
): Target {
  const make = (): Sink<Item> => redisSink<Item>({ ...place, ...write(name), ...more } as RedisSinkOptions<Item>)
  return {
    sink: make(),
    reopen: make,
    readBack: () => read(reader, name),
    close: async () => {
      await inBatches(await keysOf(reader, name), (key) => reader.unlink(key))
    },
  }
}

async function keysOf(reader: Reader, prefix: string): Promise<string[]> {
  const nodes = reader instanceof Redis ? [reader] : reader.nodes('master')
  const found: string[] = []
  for (const node of nodes) {
    for (let cursor = '0', isFirst = true; isFirst || cursor !== '0'; isFirst = false) {
      const [next, keys]: [string, string[]] = await node.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', '10000')
      found.push(...keys)
      cursor = next
    }
  }
  return [...new Set(found)]
}

const AT_ONCE = 1_000

/** All in few words, where they lie in one server. */
async function valuesOf(reader: Reader, keys: readonly string[]): Promise<(Buffer | null)[]> {
  if (!(reader instanceof Redis)) return inBatches(keys, (each) => reader.getBuffer(each))
  const values: (Buffer | null)[] = []
  for (let at = 0; at < keys.length; at += AT_ONCE)
    values.push(...(await reader.mgetBuffer(keys.slice(at, at + AT_ONCE))))
  return values
}

async function inBatches<A, B>(values: readonly A[], work: (value: A) => Promise<B>): Promise<B[]> {
  const results: B[] = []
  for (let at = 0; at < values.length; at += AT_ONCE)
    results.push(...(await Promise.all(values.slice(at, at + AT_ONCE).map((value) => work(value)))))
  return results
}
