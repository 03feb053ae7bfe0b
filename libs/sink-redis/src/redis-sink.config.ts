/** Options of the Redis sink, and what is wrong with them. */
import type { Duration } from '@sluice/core'
import type { ClusterOptions, RedisOptions } from 'ioredis'
import { requireThat } from './errors.js'
import type { Key } from './key-template.js'
import type { RedisValue } from './values.js'

/** A client of the user's own, of ioredis or node-redis. It is never closed: the sink works with a duplicate. */
export interface RedisClient {
  duplicate?(...args: never[]): unknown
  /** Of ioredis. */
  call?(command: string, ...args: never[]): unknown
  /** Of node-redis. */
  sendCommand?(...args: never[]): unknown
}

/** Where the server is. */
export type RedisPlace =
  | {
      /** `redis://[user:password@]host:port[/database]`, or `rediss://` for TLS. */
      readonly url: string
      /** What ioredis takes besides, e.g. `{ tls: { ca }, protocol: 2 }`. */
      readonly options?: RedisOptions | undefined
    }
  | {
      /** `host:port` of some nodes of a cluster; the others are found. */
      readonly cluster: readonly string[]
      readonly options?: ClusterOptions | undefined
    }
  | {
      /** `host:port` of the sentinels. */
      readonly sentinels: readonly string[]
      /** The name by which they know the master. */
      readonly master: string
      readonly options?: RedisOptions | undefined
    }
  | { readonly client: RedisClient }

type Field<T, V> = string | ((record: T) => V)

/** What is done with a record. `value` and its like: a function, or the name of a property. */
export type RedisWrite<T> =
  | {
      /** SET: the last record of a key stays. Default `value`: the record itself. */
      readonly mode: 'set'
      readonly key: Key<T>
      readonly value?: Field<T, RedisValue> | undefined
    }
  | {
      /** HSET: fields that the record has not stay as they are. Default `fields`: all of the record. */
      readonly mode: 'hash'
      readonly key: Key<T>
      readonly fields?: readonly string[] | ((record: T) => Readonly<Record<string, RedisValue>>) | undefined
    }
  | {
      /** INCRBY, or HINCRBY where there is a `field`. `by` must be a whole number; default: 1. */
      readonly mode: 'increment'
      readonly key: Key<T>
      readonly field?: Field<T, RedisValue> | undefined
      readonly by?: Field<T, number | bigint> | undefined
    }
  | {
      /** RPUSH, or LPUSH with `side: 'left'`. The list keeps its newest `maxLength` values. */
      readonly mode: 'list'
      readonly key: Key<T>
      readonly value?: Field<T, RedisValue> | undefined
      readonly side?: 'left' | 'right' | undefined
      readonly maxLength?: number | undefined
    }
  | {
      /** XADD: an entry for each record. The stream keeps its newest `maxLength` entries. */
      readonly mode: 'stream'
      readonly key: Key<T>
      readonly fields?: readonly string[] | ((record: T) => Readonly<Record<string, RedisValue>>) | undefined
      readonly maxLength?: number | undefined
    }
  | {
      /** ZADD. With `keep` only so many members with the highest or lowest scores stay. */
      readonly mode: 'sortedSet'
      readonly key: Key<T>
      readonly member: Field<T, RedisValue>
      readonly score: Field<T, number | bigint>
      /** What becomes of a score that is there: it is replaced, added to, or kept if it is higher or lower. Default: `'replace'`. */
      readonly update?: 'replace' | 'increment' | 'max' | 'min' | undefined
      readonly keep?: { readonly highest: number } | { readonly lowest: number } | undefined
    }
  | {
      /** PUBLISH; at-least-once. */
      readonly mode: 'publish'
      /** The channel. */
      readonly key: Key<T>
      readonly value?: Field<T, RedisValue> | undefined
    }
  | {
      readonly mode: 'custom'
      /** Says where a record's commands go in a cluster: all keys that they touch must be in the slot of this one. */
      readonly key: Key<T>
      /** The commands for a record, run in turn until one fails; what those before it did stays. */
      readonly commands: (record: T) => readonly RedisCommand[]
    }

/** A command by its words: `['HSET', key, 'seen', 1]`. */
export type RedisCommand = readonly [name: string, ...args: RedisValue[]]

export type RedisSinkOptions<T> = RedisPlace &
  RedisWrite<T> & {
    /** Keys that a batch has written to end so long after it. Default: never. */
    readonly expire?: Duration | undefined
    /** Milliseconds until a call counts as failed. Default: 5,000. */
    readonly callTimeoutMs?: number | undefined
    /** How many replicas must have a write. Default: as many as are connected at the start. */
    readonly replicas?: number | undefined
    /**
     * What `start()` does where the server may lose or evict what it has acknowledged: `'lower'` says so and goes on with a lower guarantee,
     * `'refuse'` fails. Default: `'lower'`.
     */
    readonly unsafe?: 'lower' | 'refuse' | undefined
    /** `false`: no ledger. A batch that is run again is written again: at-least-once. Default: true. */
    readonly ledger?: boolean | undefined
  }

type RedisMode = RedisWrite<never>['mode']

/** All options, of whatever mode, for those who look them up by mode. */
export interface AnyWrite {
  readonly mode: RedisMode
  readonly key: Key<never>
  readonly value?: unknown
  readonly fields?: unknown
  readonly field?: unknown
  readonly by?: unknown
  readonly side?: unknown
  readonly maxLength?: number | undefined
  readonly member?: unknown
  readonly score?: unknown
  readonly update?: unknown
  readonly keep?: { readonly highest?: number; readonly lowest?: number } | undefined
  readonly commands?: unknown
  readonly expire?: Duration | undefined
}

export const DEFAULT_CALL_TIMEOUT_MS = 5_000
const MODES: readonly RedisMode[] = ['set', 'hash', 'increment', 'list', 'stream', 'sortedSet', 'publish', 'custom']

/** Throws `ARGUMENT_INVALID`. */
export function checkOptions(options: RedisSinkOptions<never>): void {
  const { mode, callTimeoutMs = 1, replicas = 0, expire } = options
  requireThat(MODES.includes(mode), `there is no mode '${String(mode)}'; use one of ${MODES.join(', ')}`)
  requirePlace(options)
  requireThat(callTimeoutMs >= 1, `callTimeoutMs must be at least 1, not ${String(callTimeoutMs)}`)
  requireThat(Number.isInteger(replicas) && replicas >= 0, `replicas must be a whole number, not ${String(replicas)}`)
  requireThat(expire === undefined || expire >= 1, 'expire must be at least a millisecond; leave it out for never')
  requireThat(expire === undefined || mode !== 'publish', 'a message does not expire; leave expire out')
  requireWrite(options)
}

export function requirePlace(place: object): void {
  const given = ['url', 'cluster', 'sentinels', 'client'].filter((name) => place[name as never] !== undefined)
  requireThat(given.length === 1, 'give one of `url`, `cluster`, `sentinels` (with `master`) and `client`')
  const {
    url = 'redis://x',
    cluster,
    sentinels,
    master,
  } = place as {
    url?: string
    cluster?: readonly string[]
    sentinels?: readonly string[]
    master?: string
  }
  requireThat(
    /^rediss?:\/\/[^/]/.test(url) && URL.canParse(url),
    'the `url` must be redis:// or rediss:// and a host; write special characters of a password as %XX',
  )
  for (const address of cluster ?? sentinels ?? [])
    requireThat(/^\S+:\d+$/.test(address), `'${address}' is not of the form host:port`)
  requireThat(cluster?.length !== 0 && sentinels?.length !== 0, 'the list of addresses is empty; give one at least')
  requireThat(sentinels === undefined || typeof master === 'string', '`sentinels` need the name of the `master`')
}

function requireWrite(options: AnyWrite): void {
  const { mode, maxLength, member, score, keep, update = 'replace', commands } = options
  requireThat(maxLength === undefined || isCount(maxLength), `maxLength must be at least 1, not ${String(maxLength)}`)
  if (mode === 'custom') requireThat(typeof commands === 'function', 'mode custom needs `commands`')
  if (mode !== 'sortedSet') return
  requireThat(member !== undefined && score !== undefined, 'mode sortedSet needs `member` and `score`')
  const updates = ['replace', 'increment', 'max', 'min']
  requireThat(
    updates.includes(String(update)),
    `there is no update '${String(update)}'; use one of ${updates.join(', ')}`,
  )
  if (keep === undefined) return
  requireThat(isCount(keep.highest ?? keep.lowest), 'keep must be { highest } or { lowest }, of at least 1')
  requireThat(
    update !== 'increment',
    'a member that keep has removed would begin at 0 again; sum up before, and replace',
  )
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1
}
