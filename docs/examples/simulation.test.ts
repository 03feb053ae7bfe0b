/** Runs the examples of simulation.md, and finds the bug that it shows. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { simulate, SimulationFailure } from '@sluice/testkit'
import { invoices, relabelled, safeInvoices } from './simulation.js'

const page = readFile(new URL('../simulation.md', import.meta.url), 'utf8')
const collapse = (code: string): string => code.replace(/\s+/g, ' ').trim()
const blocks = async (language: string): Promise<string[]> =>
  [...(await page).matchAll(/^```(\w+)\n([^]*?)^```$/gm)].flatMap(([, kind, code = '']) =>
    kind === language ? [code.trim()] : [],
  )

test('every example of simulation.md is one that runs', async () => {
  const sources = await Promise.all(
    ['simulation.ts', 'simulation.test.ts'].map((name) => readFile(new URL(name, import.meta.url), 'utf8')),
  )
  const source = collapse(sources.join('\n'))
  const shown = await blocks('ts')
  expect(shown).toHaveLength(6)
  for (const code of shown) expect(source).toContain(collapse(code))
})

test('numbers that a variable counts begin anew after a crash, and the page shows how that is told', async () => {
  const failure = await simulate(invoices, { seed: 1 }).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(SimulationFailure)
  const [shown] = await blocks('text')
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
