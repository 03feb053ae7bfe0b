/** `sortBy` over one partition, against `Array.prototype.sort` with a comparator that calls the same key function. */
import { withContext, type Benchmark } from '../benchmark.js'
import { makeOrders, type Order } from '../data/orders.js'
import { measure } from '../measure.js'

const AIM = 0.8

export const sortBy: Benchmark = {
  name: 'sort-by',
  about: '5 M objects by a number and by a string, against a copy sorted with a comparator on the same key',
  run: (sizes) =>
    withContext((context) => {
      const orders = makeOrders({ orders: sizes.count(5_000_000), customers: sizes.count(1_000_000) })
      const source = context.parallelize(orders)
      const byAmount = source.sortBy(amountOf)
      const byCustomer = source.sortBy(customerOf)
      const shared = { aim: AIM, noun: 'records', count: orders.length }
      return measure(
        [
          {
            ...shared,
            name: 'sort-by/number',
            ours: () => byAmount.collect(),
            reference: () => [...orders].sort((a, b) => amountOf(a) - amountOf(b)),
          },
          {
            ...shared,
            name: 'sort-by/text',
            ours: () => byCustomer.collect(),
            reference: () => [...orders].sort(compareCustomers),
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
