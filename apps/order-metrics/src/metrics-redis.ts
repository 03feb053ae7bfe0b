/** The figures in Redis, for whoever wants to show them elsewhere: counters, and sets sorted by revenue. */
import { basename, resolve } from 'node:path'
import type { DStream, Pair } from '@sluice/core'
import { redisSink } from '@sluice/sink-redis'
import type { Standing, Subject, SubjectKind } from './figures.js'
import { storable } from './metrics-store.js'

const COUNTED: readonly SubjectKind[] = ['all', 'country', 'group', 'rejected']
const RANKED: readonly SubjectKind[] = ['country', 'group']
/** A server that is started again is back before the tries end: some 25 s. */
const RETRY = { retries: 8 }

interface Step {
  readonly figure: string
  readonly kind: SubjectKind
  readonly name: string
  readonly by: number
}

/** Keys of a run begin so. In a cluster they all lie in one slot. */
export function redisPrefix(directory: string): string {
  return `order-metrics:{${basename(resolve(directory))}}`
}

/**
 * Adds what each batch brings to the hashes `PREFIX:FIGURE:KIND`, by name, and puts countries and groups into the sorted sets
 * `PREFIX:top:KIND`, by the revenue of all batches so far: the top ten are `ZREVRANGE key 0 9 WITHSCORES`.
 */
export function countInRedis(standings: DStream<Pair<Subject, Standing>>, url: string, directory: string): void {
  const prefix = redisPrefix(directory)
  standings
    .filter(([[kind]]) => COUNTED.includes(kind))
    .flatMap(stepsOf)
    .to(redisSink<Step>({ url, mode: 'increment', key: `${prefix}:<figure>:<kind>`, field: 'name', by: 'by' }), {
      name: 'redis-counters',
      retry: RETRY,
    })
  standings
    .filter(([[kind], { batch }]) => RANKED.includes(kind) && batch.lines > 0)
    .map(([[kind, name], { total }]) => ({ kind, name: storable(name), revenue: total.revenue }))
    .to(redisSink({ url, mode: 'sortedSet', key: `${prefix}:top:<kind>`, member: 'name', score: 'revenue' }), {
      name: 'redis-top',
      retry: RETRY,
    })
}

function stepsOf([[kind, name], { batch }]: Pair<Subject, Standing>): Step[] {
  const { lines, orders, cancellations, revenue } = batch
  return Object.entries({ lines, orders, cancellations, revenueThousandths: revenue })
    .filter(([, by]) => by !== 0)
    .map(([figure, by]) => ({ figure, kind, name: storable(name), by }))
}
