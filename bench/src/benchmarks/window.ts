/**
 * `reduceByKeyAndWindow`, with and without inverse, against the same merges by hand; and the two forms against each other,
 * ours and by hand, which shows how much of the inverse's advantage there is to be had.
 */
import { seconds } from '@sluice/core'
import type { Benchmark, Sizes } from '../benchmark.js'
import { mulberry32 } from '../data/words.js'
import { measure, type Contest } from '../measure.js'
import type { Row } from '../row.js'
import { streamDriver, type StreamDriver } from '../stream-driver.js'
import { HandWindow, type Count } from './hand-window.js'

const AIM = 0.7
/** How many times cheaper the inverse must be than the plain form. */
const INVERSE_AIM = 5
const KEYS = 100_000
const SLICES = 30
/** Batches of one measured run. */
const BATCHES = 3

const add = (a: number, b: number): number => a + b
const subtract = (a: number, b: number): number => a - b

/** Records of one slice. */
type Workload = (slice: number, records: number) => Count[]

/** Every key in every slice, so that each form has the same keys at any time. */
const everyKey: Workload = (slice, records) =>
  Array.from({ length: records }, (_, i): Count => [`key-${String((i * 7_919 + slice) % records)}`, 1])

/** Keys drawn at random, as Spark was measured: about 63 % of them in each slice. */
const drawnKeys: Workload = (slice, records) => {
  const random = mulberry32(slice + 1)
  return Array.from({ length: records }, (): Count => [`key-${String(Math.floor(random() * records))}`, 1])
}

export const window: Benchmark = {
  name: 'window',
  about: '30 slices of 100 k records over 100 k keys, against hand loops doing the same merges, and against each other',
  run: async (sizes) => [
    ...(await rowsOf('every key', everyKey, sizes)),
    ...(await rowsOf('drawn keys', drawnKeys, sizes)),
  ],
}

type Take = (batch: readonly Count[]) => number | Promise<number>

interface Forms {
  readonly plain: Take
  readonly inverse: Take
}

async function rowsOf(label: string, workload: Workload, sizes: Sizes): Promise<Row[]> {
  const records = sizes.count(KEYS)
  const drivers = [await windowDriver(false), await windowDriver(true)] as const
  const ours: Forms = { plain: takeOf(drivers[0]), inverse: takeOf(drivers[1]) }
  const byHand = handForms()
  for (let slice = 0; slice < SLICES; slice++) {
    const batch = workload(slice, records)
    for (const take of [ours.plain, ours.inverse, byHand.plain, byHand.inverse]) await take(batch)
  }
  const contest = (name: string, aim: number, take: Take, reference: Take): Contest =>
    contestOf({ name: `${label}: ${name}`, aim, records, workload }, take, reference)
  const rows = await measure(
    [
      contest('plain', AIM, ours.plain, byHand.plain),
      contest('inverse', AIM, ours.inverse, byHand.inverse),
      contest('inverse by plain', INVERSE_AIM, ours.inverse, ours.plain),
      contest('the same by hand', INVERSE_AIM, byHand.inverse, byHand.plain),
    ],
    sizes.repeats({ warmUp: 1, rounds: 5 }),
  )
  for (const driver of drivers) await driver.stop()
  return rows
}

function windowDriver(isInverse: boolean): Promise<StreamDriver<Count, Count>> {
  const options = { window: seconds(SLICES), ...(isInverse && { inverse: subtract }) }
  return streamDriver((counts) => counts.reduceByKeyAndWindow(add, options))
}

function takeOf(driver: StreamDriver<Count, Count>): Take {
  return async (batch) => (await driver.batch(batch)).length
}

function handForms(): Forms {
  const plain = new HandWindow(SLICES)
  const inverse = new HandWindow(SLICES)
  return {
    plain: (batch) => {
      plain.enter(batch)
      return plain.recomputed().length
    },
    inverse: (batch) => {
      inverse.enter(batch)
      return inverse.slide().length
    },
  }
}

interface WindowContest {
  readonly name: string
  readonly aim: number
  readonly records: number
  readonly workload: Workload
}

/** Both sides of a pair get the same slices, whichever runs first; no two get the same strings. */
function contestOf({ name, aim, records, workload }: WindowContest, take: Take, reference: Take): Contest {
  const next = { ours: SLICES, reference: SLICES }
  let batches: readonly Count[][] = []
  const run = async (takeBatch: Take): Promise<number[]> => {
    const results: number[] = []
    for (const batch of batches) results.push(await takeBatch(batch))
    return results
  }
  return {
    name: `window/${name}`,
    aim,
    noun: 'records',
    count: records * BATCHES,
    prepare: (side) => {
      batches = Array.from({ length: BATCHES }, () => workload(next[side]++, records))
    },
    ours: () => run(take),
    reference: () => run(reference),
  }
}
