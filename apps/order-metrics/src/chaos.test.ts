/**
 * Nothing lost, nothing twice: the app as a real process, its checkpoint, its files and its database on a real disk, killed and
 * stopped at random moments while the sender goes on. `CHAOS_EVENTS` (default 6) says how often, `CHAOS_SEED` when.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '@sluice/core'
import { expect, it } from 'vitest'
import { readMetrics } from './metrics-store.js'
import { runChaos } from './testing/chaos.js'
import { recompute, type ExpectedTotals } from './testing/recompute.js'

const SAMPLE = fileURLToPath(new URL('../data/online-retail/', import.meta.url))
const EVENTS = Number(process.env['CHAOS_EVENTS'] ?? 6)
const SEED = Number(process.env['CHAOS_SEED'] ?? 20_101_201)
const TIMEOUT_MS = 120_000 + EVENTS * 60_000

const orders = readdirSync(SAMPLE)
  .filter((name) => name.endsWith('.csv'))
  .sort()
  .flatMap((name) => readFileSync(join(SAMPLE, name), 'utf8').split('\n').slice(1, -1))
/** Real orders, and a bad line after every so many. */
const lines = orders.flatMap((line, i) => (i % 997 === 0 ? [line, `bad line ${String(i)}`] : [line]))
const bad = lines.filter((line) => line.startsWith('bad line'))

type Tally = ExpectedTotals['byCountry'][string]
type Figures = Pick<ExpectedTotals, 'lines' | 'orders' | 'cancellations' | 'revenueThousandths'>
interface Row extends Figures {
  readonly by: string
  readonly name: string
}

/** One text for the same figures. */
function textOf(value: unknown): string {
  const sorted = (_: string, each: unknown): unknown =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each
  return JSON.stringify(value, sorted, 1)
}

const expected = recompute(lines)
const expectedText = textOf({ ...expected, customers: undefined })

/** The same figures from rows that add up to them. */
function totalsOf(rows: readonly Row[]): string {
  const tallies = (by: string): Record<string, Tally> => {
    const found: Record<string, Tally> = {}
    for (const row of rows.filter((each) => each.by === by)) {
      const tally = (found[row.name] ??= { orders: 0, revenueThousandths: 0 })
      tally.orders += row.orders
      tally.revenueThousandths += row.revenueThousandths
    }
    return found
  }
  const sum = (by: string, figure: keyof Figures): number =>
    rows.filter((row) => row.by === by).reduce((total, row) => total + row[figure], 0)
  return textOf({
    lines: sum('all', 'lines') + sum('rejected', 'lines'),
    accepted: sum('all', 'lines'),
    rejected: sum('rejected', 'lines'),
    orders: sum('all', 'orders'),
    cancellations: sum('all', 'cancellations'),
    revenueThousandths: sum('all', 'revenueThousandths'),
    byCountry: tallies('country'),
    byGroup: tallies('group'),
  })
}

/** All rows of all batches. Each batch must be whole. */
async function rowsIn(directory: string): Promise<Row[]> {
  const rows: Row[] = []
  for (const batch of await readdir(directory)) {
    const names = await readdir(join(directory, batch))
    expect(names, batch).toContain('_SUCCESS')
    expect(names.filter((name) => name.startsWith('_temporary'))).toEqual([])
    for (const name of names.filter((each) => each.startsWith('part-'))) {
      const text = await readFile(join(directory, batch, name), 'utf8')
      rows.push(
        ...text
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as Row),
      )
    }
  }
  return rows
}

async function expectExact(out: string, database: boolean): Promise<void> {
  const totals = JSON.parse(await readFile(join(out, 'totals.json'), 'utf8')) as ExpectedTotals
  expect(textOf(totals)).toBe(textOf(expected))
  const rows = await rowsIn(join(out, 'metrics'))
  expect(totalsOf(rows)).toBe(expectedText)
  expect(new Set(rows.filter(({ by }) => by === 'customer').map(({ name }) => name)).size).toBe(expected.customers)
  const rejected = (await readFile(join(out, 'rejected.ndjson'), 'utf8')).split('\n').slice(0, -1)
  expect(rejected.map((line) => (JSON.parse(line) as { line: string }).line)).toEqual(bad)
  if (!database) return
  const stored = (await readMetrics(out)).map((row) => ({ ...row, by: row.kind }))
  expect(totalsOf(stored)).toBe(expectedText)
}

it.each([
  { name: 'with SQLite, which ends those that are taken over from', database: true, events: EVENTS },
  { name: 'without, where those must see by themselves that they are fenced', database: false, events: EVENTS / 2 },
])(
  'E1, E7, E8, E9, E14: killed, stopped and taken over at random moments, every order counts once: $name',
  async ({ database, events }) => {
    const folder = await mkdtemp(join(tmpdir(), 'chaos-'))
    const file = join(folder, 'orders.csv')
    await writeFile(file, `${lines.join('\n')}\n`)
    const log = (text: string): void => void process.stdout.write(`chaos (seed ${String(SEED)}): ${text}\n`)
    const random = seededRandom(SEED)
    const began = performance.now()
    try {
      const counts = await runChaos({ folder, file, events, random: () => random.next(), database, log })
      await expectExact(join(folder, 'results'), database)
      const tookS = Math.round((performance.now() - began) / 1_000)
      log(`exact after ${String(tookS)} s, ${JSON.stringify(counts)}`)
      expect(counts.takeOvers).toBe(Math.floor(events / 3))
      if (!database) expect(counts.fenced).toBeGreaterThan(0)
    } catch (error) {
      throw new Error(`seed ${String(SEED)}; the folder is kept: ${folder}`, { cause: error })
    }
    await rm(folder, { recursive: true })
  },
  TIMEOUT_MS,
)
