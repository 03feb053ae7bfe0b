/** Visits of customers, and what is known of each: what the benchmarks of state count. */

export type Visit = readonly [key: string, amount: number]
export interface Account {
  readonly visits: number
  readonly total: number
}

/** Batches of one measured run: single ones are too short to be timed. */
export const MAP_BATCHES = 20

export function addVisit(account: Account | undefined, amount: number): Account {
  return account === undefined
    ? { visits: 1, total: amount }
    : { visits: account.visits + 1, total: account.total + amount }
}

/** `count` visits of keys `from`, `from + step`, …; the same objects are never handed out twice. */
export function visitsOf(count: number, from: number, step: number): Visit[] {
  return Array.from({ length: count }, (_, i): Visit => [`customer-${String((from + i * step) % 10_000_000)}`, i % 100])
}
