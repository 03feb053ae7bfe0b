/** Streams with state, batch by batch, against maps updated by hand. */
import type { Benchmark, Sizes } from '../benchmark.js'
import { withContestants } from '../contestant.js'
import { measure, measureTimed, type Contest, type TimedContest } from '../measure.js'
import type { Row } from '../row.js'
import { streamDriver } from '../stream-driver.js'
import { addVisit, MAP_BATCHES, visitsOf, type Account, type Visit } from './visits.js'

/** At most twice the cost of the hand loop. */
const MAP_AIM = 1 / 2
/** At most one and a half times its cost. */
const UPDATE_AIM = 1 / 1.5
const TOUCHED = 10_000
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

async function mapRow(label: string, keys: number, sizes: Sizes): Promise<Row[]> {
  const touched = Math.min(keys, sizes.count(TOUCHED))
  return withContestants('state-contestant', async (start) => {
    const [ours, byHand] = [
      await start('ours', String(keys), String(touched)),
      await start('by-hand', String(keys), String(touched)),
    ]
    const contest: TimedContest = {
      name: `map-with-state/${label}`,
      aim: MAP_AIM,
      noun: 'touched keys',
      count: touched * MAP_BATCHES,
      ours: ours.run,
      reference: byHand.run,
    }
    return measureTimed([contest], sizes.repeats({ warmUp: 3, rounds: 15 }))
  })
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
