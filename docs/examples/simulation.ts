/** The examples of simulation.md. */
import { StreamingContext } from '@sluice/core'
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
