/** Runs the examples of simulation.md, and finds the bug that it shows. */
import { blocksOf, quotedBlock } from '@sluice/doc-blocks'
import { expect, test } from 'vitest'
import { simulate, SimulationFailure } from '@sluice/testkit'
import { invoices, relabelled, safeInvoices } from './simulation.js'

test('the examples of simulation.md are those that run here', () => {
  quotedBlock('docs/simulation.md', 'export const invoices', 'docs/examples/simulation.ts')
  quotedBlock('docs/simulation.md', 'export const safeInvoices', 'docs/examples/simulation.ts')
  quotedBlock('docs/simulation.md', 'numbered without a gap', 'docs/examples/simulation.test.ts')
  quotedBlock('docs/simulation.md', 'sinkAppliesThenFails', 'docs/examples/simulation.test.ts')
  quotedBlock('docs/simulation.md', 'export const relabelled', 'docs/examples/simulation.ts')
  quotedBlock('docs/simulation.md', 'every order has its label once', 'docs/examples/simulation.test.ts')
})

test('numbers that a variable counts begin anew after a crash, and the page shows how that is told', async () => {
  const failure = await simulate(invoices, { seed: 1 }).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(SimulationFailure)
  const shown = blocksOf('docs/simulation.md')
    .find(({ language }) => language === 'text')
    ?.source.trim()
  const { message } = failure as SimulationFailure
  // Numbers of events, and when it comes, are of this engine; another one does other I/O before.
  const withoutNumbers = (text = ''): string => text.replaceAll(/\d+/g, '#')
  expect(withoutNumbers(message)).toBe(withoutNumbers(shown))
  const [, batches, trace] = /batches: (\d+), trace: '(.*)'/.exec(message) ?? []
  await expect(simulate(invoices, { seed: 1, batches: Number(batches), trace })).rejects.toMatchObject({
    problem: (failure as SimulationFailure).problem,
  })
})

test('invoices are numbered without a gap, whatever goes wrong', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { contents } = await simulate(safeInvoices, { seed, batches: 10 })
    const numbers = (contents['invoices'] ?? []).flat().map((invoice) => (invoice as [number, string])[0])
    expect(numbers).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  }
})

test('what must be written can be said in plain code', async () => {
  await simulate(safeInvoices, {
    seed: 2,
    faults: { kill: 0.1, powerLoss: 0.1, sinkAppliesThenFails: 0.2 },
    expected: (batches) => {
      let last = 0
      return { invoices: batches.map(({ records }) => records['orders']?.map((order) => [++last, order]) ?? []) }
    },
  })
})

test('every order has its label once, whatever goes wrong', async () => {
  for (let seed = 1; seed <= 10; seed++) await simulate(relabelled, { seed, batches: 8 })
})
