/** `reduceByKey` over objects: by a plain key, and by a composite one against a loop that makes strings of its keys. */
import type { Pair, SluiceContext } from '@sluice/core'
import { withContext, type Benchmark } from '../benchmark.js'
import { makeOrders, type Order } from '../data/orders.js'
import { pairsOf, reduceLoop, type Box } from '../loops.js'
import { measure, type Contest } from '../measure.js'

const AIM = 0.9
const AIM_COMPOSITE = 0.7

export const reduceByKey: Benchmark = {
  name: 'reduce-by-key',
  about: '5 M objects against hand loops that call the same functions; composite keys against a loop with string keys',
  run: (sizes) =>
    withContext((context) => {
      const orders = makeOrders({ orders: sizes.count(5_000_000), customers: sizes.count(10_000) })
      const contests = [plain(context, orders), composite(context, orders)]
      return measure(contests, sizes.repeats({ warmUp: 2, rounds: 9 }))
    }),
}

const add = (a: number, b: number): number => a + b
const amountByCustomer = (order: Order): Pair<string, number> => [order.customer, order.amount]

function plain(context: SluiceContext, orders: readonly Order[]): Contest {
  const amounts = context.parallelize(orders).map(amountByCustomer).reduceByKey(add)
  return {
    name: 'reduce-by-key/plain',
    aim: AIM,
    noun: 'records',
    count: orders.length,
    ours: () => amounts.collect(),
    reference: () => reduceLoop(orders, amountByCustomer, add),
  }
}

type Cell = readonly [country: string, day: number]

const amountByCell = (order: Order): Pair<Cell, number> => [[order.country, order.day], order.amount]

function composite(context: SluiceContext, orders: readonly Order[]): Contest {
  const amounts = context.parallelize(orders).map(amountByCell).reduceByKey(add)
  return {
    name: 'reduce-by-key/composite',
    aim: AIM_COMPOSITE,
    noun: 'records',
    count: orders.length,
    ours: async () => (await amounts.collect()).map(([key, amount]) => [textOf(key), amount]),
    reference: () => byText(orders),
  }
}

const textOf = (key: Cell): string => `${key[0]}|${String(key[1])}`

/** What one writes who knows that `|` is in no country's name. */
function byText(orders: readonly Order[]): Pair<string, number>[] {
  const boxes = new Map<string, Box<number>>()
  for (const order of orders) {
    const pair = amountByCell(order)
    const key = textOf(pair[0])
    const box = boxes.get(key)
    if (box === undefined) boxes.set(key, { v: pair[1] })
    else box.v = add(box.v, pair[1])
  }
  return pairsOf(boxes)
}
