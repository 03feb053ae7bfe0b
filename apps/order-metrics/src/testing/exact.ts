/** What a run has written, against a recomputation from all lines: the same as text, byte for byte. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readMetrics } from '../metrics-store.js'
import { recompute, type ExpectedTotals } from './recompute.js'

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
    assert.ok(names.includes('_SUCCESS'), `${batch} is not whole`)
    assert.deepEqual(
      names.filter((name) => name.startsWith('_temporary')),
      [],
    )
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

export interface Written {
  /** The folder of results. */
  readonly out: string
  readonly lines: readonly string[]
  /** Whether there is a database, too. */
  readonly database: boolean
  /** Rows of all batches, as JSON, from elsewhere. */
  readonly rows?: readonly string[] | undefined
  /** Whether the lines were rejected in the order in which they stand in `lines`. */
  readonly inOrder: boolean
}

export async function assertExact({ out, lines, database, inOrder, rows: others }: Written): Promise<void> {
  const expected = recompute(lines)
  const expectedText = textOf({ ...expected, customers: undefined })
  const totals = JSON.parse(await readFile(join(out, 'totals.json'), 'utf8')) as ExpectedTotals
  assert.equal(textOf(totals), textOf(expected))
  const rows = await rowsIn(join(out, 'metrics'))
  assert.equal(totalsOf(rows), expectedText)
  const customers = new Set(rows.filter(({ by }) => by === 'customer').map(({ name }) => name))
  assert.equal(customers.size, expected.customers)
  const bad = lines.filter((line) => line.startsWith('bad line'))
  const rejected = (await readFile(join(out, 'rejected.ndjson'), 'utf8')).split('\n').slice(0, -1)
  const rejectedLines = rejected.map((line) => (JSON.parse(line) as { line: string }).line)
  assert.deepEqual(inOrder ? rejectedLines : rejectedLines.sort(), inOrder ? bad : bad.sort())
  if (others !== undefined) {
    // Each row once, the same as in the files.
    const sorted = (texts: readonly string[]): string[] => [...texts].sort()
    const plain = others.map((text) => textOf({ ...(JSON.parse(text) as object), batchTime: undefined }))
    assert.deepEqual(sorted(plain), sorted(rows.map((row) => textOf(row))))
  }
  if (!database) return
  const stored = (await readMetrics(out)).map((row) => ({ ...row, by: row.kind }))
  assert.equal(totalsOf(stored), expectedText)
}
