/** Streams with state, batch by batch, against maps updated by hand. */
import type { Benchmark, Sizes } from '../benchmark.js'
import { measure, type Contest } from '../measure.js'
import type { Row } from '../row.js'
import { streamDriver, type StreamDriver } from '../stream-driver.js'

/** At most twice the cost of the hand loop. */
const MAP_AIM = 1 / 2
/** At most one and a half times its cost. */
const UPDATE_AIM = 1 / 1.5
const TOUCHED = 10_000
/** Batches of one measured run: single ones are too short to be timed. */
const MAP_BATCHES = 20

type Visit = readonly [key: string, amount: number]
type Standing = readonly [key: string, total: number]

interface Account {
  readonly visits: number
  readonly total: number
}

export const mapWithState: Benchmark = {
  name: 'map-with-state',
  about: '10 k of 100 k, 1 M and 3 M keys touched a batch, against a Map whose values are made anew',
  run: async (sizes) => {
    const rows: Row[] = []
    for (const [label, full] of [
      ['100 k keys', 100_000],
      ['1 M keys', 1_000_000],
      ['3 M keys', 3_000_000],
    ] as const) {
      rows.push(...(await mapRow(label, sizes.count(full), sizes)))
    }
    return rows
  },
}

function addVisit(account: Account | undefined, amount: number): Account {
  return account === undefined
    ? { visits: 1, total: amount }
    : { visits: account.visits + 1, total: account.total + amount }
}

async function mapRow(label: string, keys: number, sizes: Sizes): Promise<Row[]> {
  const driver = await streamDriver<Visit, Standing>((visits) =>
    visits.mapWithState<Account, Standing>((key, amount, state) => {
      const account = addVisit(state.getOption(), amount ?? 0)
      state.update(account)
      return [key, account.total]
    }),
  )
  const accounts = new Map<string, Account>()
  await driver.batch(visitsOf(keys, 0, 1))
  for (const [key, amount] of visitsOf(keys, 0, 1)) accounts.set(key, addVisit(undefined, amount))
  const touched = Math.min(keys, sizes.count(TOUCHED))
  const batches = Array.from({ length: MAP_BATCHES }, (_, i) =>
    visitsOf(touched, i * 7_919, Math.floor(keys / touched)),
  )
  const contest: Contest = {
    name: `map-with-state/${label}`,
    aim: MAP_AIM,
    noun: 'touched keys',
    count: touched * MAP_BATCHES,
    ours: () => eachBatch(driver, batches),
    reference: () => batches.map((batch) => batch.map((visit) => updateByHand(accounts, visit)).length),
  }
  const rows = await measure([contest], sizes.repeats({ warmUp: 2, rounds: 9 }))
  await driver.stop()
  return rows
}

function updateByHand(accounts: Map<string, Account>, [key, amount]: Visit): Standing {
  const account = addVisit(accounts.get(key), amount)
  accounts.set(key, account)
  return [key, account.total]
}

async function eachBatch<T, R>(driver: StreamDriver<T, R>, batches: readonly (readonly T[])[]): Promise<number[]> {
  const sizes: number[] = []
  for (const batch of batches) sizes.push((await driver.batch(batch)).length)
  return sizes
}

/** `count` visits of keys `from`, `from + step`, …; the same objects are never handed out twice. */
function visitsOf(count: number, from: number, step: number): Visit[] {
  return Array.from({ length: count }, (_, i): Visit => [`customer-${String((from + i * step) % 10_000_000)}`, i % 100])
}

export const updateStateByKey: Benchmark = {
  name: 'update-state',
  about: '1 M keys, all of them updated in each batch, against a loop over a Map that makes a new value for each',
  run: async (sizes) => {
    const keys = sizes.count(1_000_000)
    const driver = await streamDriver<Visit, readonly [string, Account]>((visits) =>
      visits.updateStateByKey<Account>(([amount], account) => next(account, amount)),
    )
    const accounts = new Map<string, Account>()
    await driver.batch(visitsOf(keys, 0, 1))
    for (const [key, amount] of visitsOf(keys, 0, 1)) accounts.set(key, next(undefined, amount))
    const contest: Contest = {
      name: 'update-state',
      aim: UPDATE_AIM,
      noun: 'keys',
      count: keys,
      ours: async () => (await driver.batch([])).length,
      reference: () => {
        const results: (readonly [string, Account])[] = []
        for (const [key, account] of accounts) {
          const updated = next(account, undefined)
          accounts.set(key, updated)
          results.push([key, updated])
        }
        return results.length
      },
    }
    const rows = await measure([contest], sizes.repeats({ warmUp: 2, rounds: 7 }))
    await driver.stop()
    return rows
  },
}

const next = (account: Account | undefined, amount: number | undefined): Account => addVisit(account, amount ?? 0)
