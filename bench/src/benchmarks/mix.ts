/**
 * Six different pipelines, all warm and taking turns in one process: shared code of the engine sees all of them, and what
 * is only fast while it is alone shows.
 */
import type { Pair, SluiceContext } from '@sluice/core'
import { withContext, type Benchmark, type Sizes } from '../benchmark.js'
import { makeCsvLines, makeOrders, type Order } from '../data/orders.js'
import { mulberry32, zipfLines } from '../data/words.js'
import { pairsOf, type Box } from '../loops.js'
import { measure, type Contest } from '../measure.js'

const AIM = 0.9
/** A record of the numbers costs under 10 ns: there the loop around it weighs more. */
const AIM_NUMBERS = 0.6

export const mix: Benchmark = {
  name: 'mix',
  about: 'six pipelines taking turns in one process, each against a hand loop that calls the same functions',
  run: (sizes) =>
    withContext((context) =>
      measure(
        [wordCount, objects, csvToObject, pureNumbers, narrowChain, pairsWithFlatMap].map((make) =>
          make(context, sizes),
        ),
        sizes.repeats({ warmUp: 3, rounds: 15 }),
      ),
    ),
}

const add = (a: number, b: number): number => a + b

const toWords = (line: string): string[] => line.split(' ')
const countOne = (word: string): Pair<string, number> => [word, 1]

function wordCount(context: SluiceContext, sizes: Sizes): Contest {
  const lines = zipfLines({ lines: sizes.count(100_000) })
  const counts = context.parallelize(lines).flatMap(toWords).map(countOne).reduceByKey(add)
  const loop = (): Pair<string, number>[] => {
    const boxes = new Map<string, Box<number>>()
    for (const line of lines) {
      for (const word of toWords(line)) {
        const pair = countOne(word)
        const box = boxes.get(pair[0])
        if (box === undefined) boxes.set(pair[0], { v: pair[1] })
        else box.v = add(box.v, pair[1])
      }
    }
    return pairsOf(boxes)
  }
  return contest('mix/word-count', AIM, 'words', 10 * lines.length, () => counts.collect(), loop)
}

const isPaid = (order: Order): boolean => order.isPaid
const amountByCustomer = (order: Order): Pair<string, number> => [order.customer, order.amount]

function objects(context: SluiceContext, sizes: Sizes): Contest {
  const orders = makeOrders({ orders: sizes.count(1_000_000), customers: sizes.count(20_000) })
  const amounts = context.parallelize(orders).filter(isPaid).map(amountByCustomer).reduceByKey(add)
  const loop = (): Pair<string, number>[] => {
    const boxes = new Map<string, Box<number>>()
    for (const order of orders) {
      if (!isPaid(order)) continue
      const pair = amountByCustomer(order)
      const box = boxes.get(pair[0])
      if (box === undefined) boxes.set(pair[0], { v: pair[1] })
      else box.v = add(box.v, pair[1])
    }
    return pairsOf(boxes)
  }
  return contest('mix/objects', AIM, 'records', orders.length, () => amounts.collect(), loop)
}

const parseOrder = (line: string): Order => {
  const fields = line.split(',')
  return {
    id: Number(fields[0]),
    customer: fields[1] ?? '',
    country: fields[2] ?? '',
    day: Number(fields[3]),
    amount: Number(fields[4]),
    isPaid: fields[5] === 'paid',
  }
}

function csvToObject(context: SluiceContext, sizes: Sizes): Contest {
  const lines = makeCsvLines({ orders: sizes.count(200_000), customers: sizes.count(20_000) })
  const parsed = context.parallelize(lines).map(parseOrder).filter(isPaid)
  const loop = (): Order[] => {
    const orders: Order[] = []
    for (const line of lines) {
      const order = parseOrder(line)
      if (isPaid(order)) orders.push(order)
    }
    return orders
  }
  return contest('mix/csv-to-object', AIM, 'records', lines.length, () => parsed.collect(), loop)
}

const scale = (x: number): number => x * 1.5
const isOutside = (x: number): boolean => x < 0.25 || x > 0.5
const shift = (x: number): number => x - 0.75

function pureNumbers(context: SluiceContext, sizes: Sizes): Contest {
  const random = mulberry32(11)
  const numbers = Array.from({ length: sizes.count(10_000_000) }, random)
  const shifted = context.parallelize(numbers).map(scale).filter(isOutside).map(shift)
  const loop = (): number => {
    let sum = 0
    for (const number of numbers) {
      const scaled = scale(number)
      if (isOutside(scaled)) sum = add(sum, shift(scaled))
    }
    return sum
  }
  return contest('mix/pure-numbers', AIM_NUMBERS, 'records', numbers.length, () => shifted.fold(0, add), loop)
}

interface Line {
  readonly customer: string
  readonly cents: number
  readonly isAbroad: boolean
}

const toLine = (order: Order): Line => ({
  customer: order.customer,
  cents: Math.round(order.amount * 100),
  isAbroad: order.country !== 'DE',
})
const isAbroad = (line: Line): boolean => line.isAbroad
const withTax = (line: Line): Line => ({ ...line, cents: line.cents + Math.round(line.cents * 0.19) })
const isLarge = (line: Line): boolean => line.cents > 90_000
const customerOf = (line: Line): string => line.customer

function narrowChain(context: SluiceContext, sizes: Sizes): Contest {
  const orders = makeOrders({ orders: sizes.count(1_000_000), customers: sizes.count(20_000) })
  const customers = context
    .parallelize(orders)
    .filter(isPaid)
    .map(toLine)
    .filter(isAbroad)
    .map(withTax)
    .filter(isLarge)
    .map(customerOf)
  const loop = (): string[] => {
    const found: string[] = []
    for (const order of orders) {
      if (!isPaid(order)) continue
      const line = toLine(order)
      if (!isAbroad(line)) continue
      const taxed = withTax(line)
      if (isLarge(taxed)) found.push(customerOf(taxed))
    }
    return found
  }
  return contest('mix/narrow-chain', AIM, 'records', orders.length, () => customers.collect(), loop)
}

interface Basket {
  readonly country: string
  readonly prices: readonly number[]
}

const toBasket = (order: Order): Pair<string, Basket> => [
  order.customer,
  { country: order.country, prices: [order.amount, order.day, 1, 2] },
]
const pricesOf = (pair: Pair<string, Basket>): Pair<string, number>[] =>
  pair[1].prices.map((price) => [pair[1].country, price])
const double = (price: number): number => price * 2

function pairsWithFlatMap(context: SluiceContext, sizes: Sizes): Contest {
  const baskets = makeOrders({ orders: sizes.count(300_000), customers: sizes.count(20_000) }).map(toBasket)
  const totals = context.parallelize(baskets).flatMap(pricesOf).mapValues(double).reduceByKey(add)
  const loop = (): Pair<string, number>[] => {
    const boxes = new Map<string, Box<number>>()
    for (const basket of baskets) {
      for (const pair of pricesOf(basket)) {
        const doubled = double(pair[1])
        const box = boxes.get(pair[0])
        if (box === undefined) boxes.set(pair[0], { v: doubled })
        else box.v = add(box.v, doubled)
      }
    }
    return pairsOf(boxes)
  }
  return contest('mix/pairs-flat-map', AIM, 'pairs', 4 * baskets.length, () => totals.collect(), loop)
}

function contest(
  name: string,
  aim: number,
  noun: string,
  count: number,
  ours: Contest['ours'],
  reference: Contest['reference'],
): Contest {
  return { name, aim, noun, count, ours, reference }
}
