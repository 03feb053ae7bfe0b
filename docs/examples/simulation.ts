/** The examples of simulation.md. */
import { minutes, StreamingContext } from '@sluice/core'
import { SimKafka } from '@sluice/kafka-wire/testing'
import { kafkaSink } from '@sluice/sink-kafka'
import { kafkaDirectStream, string } from '@sluice/source-kafka'
import type { Build } from '@sluice/testkit'

/** Every order gets the next free invoice number. */
export const invoices: Build = (sim) => {
  const ssc = new StreamingContext({ ...sim.options, appName: 'invoices' })
  let last = 0
  sim
    .source(ssc, 'orders', (i) => `order ${String(i)}`, { partitions: 1, perBatch: 2 })
    .map((order) => [++last, order] as const)
    .to(sim.sink('invoices'))
  return ssc
}

/** The same, with the last number in the engine's state. */
export const safeInvoices: Build = (sim) => {
  const ssc = new StreamingContext({ ...sim.options, appName: 'invoices' })
  sim
    .source(ssc, 'orders', (i) => `order ${String(i)}`, { partitions: 1, perBatch: 2 })
    .map((order) => ['last', order] as const)
    .mapWithState<number, readonly [number, string]>(
      (_key, order = '', state) => {
        state.update((state.getOption() ?? 0) + 1)
        return [state.get(), order]
      },
      { name: 'numbers', partitions: 1 },
    )
    .to(sim.sink('invoices'))
  return ssc
}

/** From topic to topic. */
export const relabelled: Build = (sim) => {
  const ssc = new StreamingContext({ ...sim.options, appName: 'relabelled', stopTimeout: minutes(5) })
  const kafka = sim.outside('kafka', (world) => {
    const feed = { topic: 'orders', value: (i: number) => `order ${String(i)}` }
    return new SimKafka(world, {
      topics: { orders: 3, labels: 2 },
      feed,
      result: { topic: 'labels', of: (order) => `label of ${order}` },
    })
  })
  const client = kafka.client(sim)
  const orders = { client, topics: 'orders', from: 'earliest', value: string } as const
  kafkaDirectStream(ssc, { ...orders, handler: ({ value }) => `label of ${value ?? ''}` }).to(
    kafkaSink({ client, topic: 'labels' }),
  )
  return ssc
}
