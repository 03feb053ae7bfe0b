/**
 * A contestant of `map-with-state`, a program of its own. Arguments: `ours` or `by-hand`; how many keys there are; how many of them
 * each of a run's batches touches.
 */
import { serveContestant, type Running } from '../contestant.js'
import { streamDriver, type StreamDriver } from '../stream-driver.js'
import { addVisit, MAP_BATCHES, visitsOf, type Account, type Visit } from './visits.js'

type Standing = readonly [key: string, total: number]

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

async function ours(keys: number, batches: readonly (readonly Visit[])[]): Promise<Running> {
  const driver = await streamDriver<Visit, Standing>((visits) =>
    visits.mapWithState<Account, Standing>((key, amount, state) => {
      const account = addVisit(state.getOption(), amount ?? 0)
      state.update(account)
      return [key, account.total]
    }),
  )
  await driver.batch(visitsOf(keys, 0, 1))
  return { run: () => eachBatch(driver, batches), stop: () => driver.stop() }
}

function byHand(keys: number, batches: readonly (readonly Visit[])[]): Running {
  const accounts = new Map<string, Account>()
  for (const [key, amount] of visitsOf(keys, 0, 1)) accounts.set(key, addVisit(undefined, amount))
  const run = (): number[] => batches.map((batch) => batch.map((visit) => updateByHand(accounts, visit)).length)
  return { run, stop: () => undefined }
}

await serveContestant(([side, ...sizes]) => {
  const [keys = 0, touched = 0] = sizes.map(Number)
  const batches = Array.from({ length: MAP_BATCHES }, (_, i) =>
    visitsOf(touched, i * 7_919, Math.floor(keys / touched)),
  )
  return side === 'ours' ? ours(keys, batches) : byHand(keys, batches)
})
