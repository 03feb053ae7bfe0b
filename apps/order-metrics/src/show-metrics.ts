/** What the job has written into SQLite, as a table: `npm run metrics` at the root of the repository, in a second terminal. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readMetrics, type StoredMetrics } from './metrics-store.js'
import { count, pounds, printable } from './view.js'

const TITLES = { all: 'all', country: 'countries', group: 'product groups', rejected: 'rejected lines' }

process.exitCode = await main(process.argv.slice(2))

/** Returns the exit code. */
async function main([directory, ...others]: readonly string[]): Promise<number> {
  if (directory?.startsWith('-') === true || others.length > 0) {
    process.stderr.write('Usage: npm run metrics [-- DIR]\n\nShows the figures in DIR, by default of the latest run.\n')
    return 2
  }
  try {
    const folder = directory ?? (await latestRun())
    process.stdout.write(`${tableOf(folder, await readMetrics(folder)).join('\n')}\n`)
    return 0
  } catch (error) {
    process.stderr.write(`metrics: ${(error as Error).message}\nIs there a run? Start one: npm start\n`)
    return 1
  }
}

async function latestRun(): Promise<string> {
  const names = await readdir('out')
  // Their names are their times.
  const last = names
    .filter((name) => name.startsWith('order-metrics-'))
    .sort()
    .at(-1)
  if (last === undefined) throw new Error('no run has written to the folder out')
  return join('out', last)
}

function tableOf(folder: string, metrics: readonly StoredMetrics[]): string[] {
  const batchTime = Math.max(...metrics.map((each) => each.batchTime))
  const when = metrics.length === 0 ? 'no batch yet' : `after batch ${new Date(batchTime).toTimeString().slice(0, 8)}`
  const lines = [`${folder}, ${when}`, row('', ['orders', 'revenue £', 'last orders', 'last revenue £'])]
  for (const kind of ['all', 'country', 'group', 'rejected'] as const) {
    const own = metrics.filter((each) => each.kind === kind)
    if (kind !== 'all' && own.length > 0) lines.push(TITLES[kind])
    for (const each of own) lines.push(kind === 'rejected' ? rejectedRow(each) : metricsRow(each))
  }
  return lines
}

function metricsRow({
  kind,
  name,
  orders,
  revenueThousandths,
  windowOrders,
  windowRevenueThousandths,
}: StoredMetrics): string {
  return row(kind === 'all' ? TITLES.all : `  ${printable(name)}`, [
    count(orders),
    pounds(revenueThousandths, ''),
    count(windowOrders),
    pounds(windowRevenueThousandths, ''),
  ])
}

function rejectedRow({ name, lines }: StoredMetrics): string {
  return `  ${count(lines)} ${printable(name)}`
}

function row(name: string, cells: readonly string[]): string {
  return name.slice(0, 22).padEnd(22) + cells.map((cell) => cell.padStart(15)).join('')
}
