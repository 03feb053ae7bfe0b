/** `sortBy` over one partition, against `Array.prototype.sort` with a comparator that calls the same key function. */
import { withContext, type Benchmark } from '../benchmark.js'
import { makeOrders, type Order } from '../data/orders.js'
import { measure } from '../measure.js'

const AIM = 0.8

export const sortBy: Benchmark = {
  name: 'sort-by',
  about: '5 M objects by a number, 1 M by a string, against a copy sorted with a comparator on the same key',
  run: (sizes) =>
    withContext((context) => {
      const orders = makeOrders({ orders: sizes.count(5_000_000), customers: sizes.count(1_000_000) })
      const fewer = orders.slice(0, sizes.count(1_000_000))
      const byAmount = context.parallelize(orders).sortBy(amountOf)
      const byCustomer = context.parallelize(fewer).sortBy(customerOf)
      return measure(
        [
          {
            name: 'sort-by/number',
            aim: AIM,
            noun: 'records',
            count: orders.length,
            ours: () => byAmount.collect(),
            reference: () => [...orders].sort((a, b) => amountOf(a) - amountOf(b)),
          },
          {
            name: 'sort-by/text',
            aim: AIM,
            noun: 'records',
            count: fewer.length,
            ours: () => byCustomer.collect(),
            reference: () => [...fewer].sort(compareCustomers),
          },
        ],
        sizes.repeats({ warmUp: 1, rounds: 5 }),
      )
    }),
}

const amountOf = (order: Order): number => order.amount
const customerOf = (order: Order): string => order.customer

function compareCustomers(a: Order, b: Order): number {
  const x = customerOf(a)
  const y = customerOf(b)
  return x < y ? -1 : x > y ? 1 : 0
}
