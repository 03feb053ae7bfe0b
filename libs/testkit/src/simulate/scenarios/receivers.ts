/** Programs that are pushed their records. */
import { StreamingContext } from '@sluice/core'
import type { Outside } from '../simulation.js'
import { recordsOf, soon, type Scenario } from './scenario.js'

/** With positions each record is there exactly once, in order, and what was acknowledged is never asked for again (E14). */
export const reliableReceiver: Scenario = {
  name: 'reliable-receiver',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    sim.receiver(ssc, 'numbers', (i) => i).to(sim.sink('numbers'), soon)
    return ssc
  },
  ordered: ['numbers'],
  expected: (batches) => ({ numbers: batches.map((batch) => recordsOf(batch, 'numbers')) }),
}

/** What a process had received when it died is lost; nothing comes twice, and nothing out of order (E15). */
export const plainReceiver: Scenario = {
  name: 'plain-receiver',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    sim.plainReceiver(ssc, 'numbers', (i) => i).to(sim.sink('numbers'), soon)
    return ssc
  },
  expected: () => ({}),
  verify: ({ stores, feeds, world, history }: Outside) => {
    const rows = [...stores.rows('numbers')].sort((a, b) => a.batchTime - b.batchTime || a.partition - b.partition)
    const numbers = rows.map(({ record }) => record as number)
    const wrong = numbers.find((n, i) => i > 0 && n <= (numbers[i - 1] ?? -1))
    if (wrong !== undefined) return `${String(wrong)} comes twice or too late: ${numbers.join(' ')}`
    const total = feeds.get('numbers')?.total ?? 0
    if (world.trace.length === 0 && numbers.length < total) return 'records are lost though nothing went wrong'
    // What a batch had planned and cannot give again is told.
    const planned = history.effective().reduce((sum, { inputs }) => sum + (inputs[0]?.records ?? 0), 0)
    return planned - numbers.length > history.lost ? 'records are lost without a word' : undefined
  },
}
