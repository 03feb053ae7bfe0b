/** Records stored one by one, each `store` awaited, against pushing them into an array through an awaited function. */
import { seconds, StreamingContext, type Receiver, type ReceiverContext } from '@sluice/core'
import type { Benchmark } from '../benchmark.js'
import { measure } from '../measure.js'

const RECORDS = 2_000_000
const AIM = 0.5

interface Reading {
  readonly id: number
  readonly value: number
}

export const store: Benchmark = {
  name: 'store',
  about: '2 M records through a receiver and a batch, one awaited store each, against an awaited push',
  run: (sizes) => {
    const count = sizes.count(RECORDS)
    return measure(
      [
        {
          name: 'store',
          aim: AIM,
          noun: 'records',
          count,
          ours: () => storeAndCount(count),
          reference: () => pushAndCount(count),
        },
      ],
      sizes.repeats({ warmUp: 1, rounds: 9 }),
    )
  },
}

const reading = (id: number): Reading => ({ id, value: 2 * id })

async function storeAndCount(count: number): Promise<number> {
  const ssc = new StreamingContext({ batchInterval: seconds(0.5), log: 'error', signals: false })
  let seen = 0
  let onStored: () => void = () => undefined
  const stored = new Promise<void>((resolve) => (onStored = resolve))
  const storeAll = async (context: ReceiverContext<Reading>): Promise<void> => {
    for (let id = 0; id < count; id++) await context.store(reading(id))
    onStored()
  }
  const receiver: Receiver<Reading> = {
    '~sluice': 'receiver/1',
    onStart: (context) => void storeAll(context),
    onStop: () => undefined,
  }
  // There is room for all: it is the cost of storing that is measured, not the wait.
  ssc.receiverStream(receiver, { maxHeldBytes: 2 ** 32 }).foreachRDD(async (rdd) => void (seen += await rdd.count()))
  await ssc.start()
  await stored
  await ssc.stop()
  return seen
}

async function pushAndCount(count: number): Promise<number> {
  const records: Reading[] = []
  const push = async (record: Reading): Promise<void> => void records.push(record)
  for (let id = 0; id < count; id++) await push(reading(id))
  return records.length
}
