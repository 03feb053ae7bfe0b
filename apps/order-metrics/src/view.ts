/** What the terminal shows: one table that stands still and changes, or a few lines now and then where nobody watches. */
import { formatDuration } from '@sluice/core'
import { addFigures, NO_FIGURES, type Figures, type Standing, type SubjectKind } from './figures.js'
import type { Thousandths } from './orders.js'
import type { SuspiciousCustomer } from './suspicious.js'
import type { Standings, Totals } from './totals.js'

/** The figures at the end of a batch. */
export interface Snapshot {
  /** Batch time in milliseconds since the epoch. */
  readonly batchTime: number
  readonly windowMs: number
  readonly standings: Standings
  readonly suspicious: readonly SuspiciousCustomer[]
}

export interface View {
  show(snapshot: Snapshot): void
  /** Shows a message without harm to the table. */
  log(message: string): void
}

/** The part of a terminal or pipe that a view needs. */
export interface Output {
  write(text: string): unknown
  /** Calls back when a write fails. */
  on?(event: 'error', listener: (error: Error) => void): unknown
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

const PLAIN_INTERVAL_MS = 5_000

/** A view that fits the output: in place on a terminal, else a block about every five seconds. */
export function viewFor(output: Output, log: Output, batchMs: number): View {
  return output.isTTY === true ? terminalView(output) : plainView(output, log, Math.ceil(PLAIN_INTERVAL_MS / batchMs))
}

/** Draws the table over itself. Messages go above it. */
function terminalView(output: Output): View {
  let lines: string[] = []
  let drawnLines = 0
  const redraw = (above: string): void => {
    const erase = drawnLines === 0 ? '' : `\x1b[${String(drawnLines)}A\x1b[J`
    const cut = lines.map((line) => line.slice(0, (output.columns ?? 80) - 1))
    output.write(erase + above + cut.map((line) => `${line}\n`).join(''))
    drawnLines = cut.length
  }
  return {
    show: (snapshot) => {
      lines = renderTable(snapshot, output.rows ?? 24)
      redraw('')
    },
    log: (message) => {
      redraw(`${message}\n`)
    },
  }
}

function plainView(output: Output, log: Output, everyBatches: number): View {
  let batches = 0
  return {
    show: (snapshot) => {
      if (snapshot.standings.length > 0 && batches++ % everyBatches === 0)
        output.write(`${renderBlock(snapshot).join('\n')}\n`)
    },
    log: (message) => {
      log.write(`${message}\n`)
    },
  }
}

/** All rows but the best of each kind, and the one on which the cursor stands. */
const FIXED_ROWS = 15
const WIDTH = 79
const NAME_WIDTH = 17
/** What has two columns each, and how wide these are: the longer a period, the more it comes to. */
const PERIODS = [
  { period: 'total', ordersWidth: 7, revenueWidth: 14 },
  { period: 'window', ordersWidth: 8, revenueWidth: 13 },
  { period: 'batch', ordersWidth: 8, revenueWidth: 12 },
] as const
type Period = (typeof PERIODS)[number]['period']

/** The whole table, for a terminal of so many rows. */
export function renderTable(snapshot: Snapshot, rows: number): string[] {
  const { standings, batchTime, windowMs } = snapshot
  const names = Math.min(8, Math.max(1, Math.floor((rows - FIXED_ROWS) / 3)))
  const all = standingOf(standings, 'all')
  const rejected = standingOf(standings, 'rejected')
  const customers = standings.filter(([[by]]) => by === 'customer').length
  const titles = { total: 'so far', window: `last ${formatDuration(windowMs)}`, batch: 'this batch' }
  return [
    `Order metrics after batch ${timeOfDay(batchTime)}`,
    row('', (period) => ['', titles[period]]),
    row('', () => ['orders', 'revenue £']),
    figuresRow('all', all),
    figuresRow('blacklisted', standingOf(standings, 'blacklisted')),
    countsRow('cancellations', (period) => all[period].cancellations),
    countsRow('lines', (period) => all[period].lines + rejected[period].lines),
    countsRow('rejected lines', (period) => rejected[period].lines),
    row('customers', (period) => [period === 'total' ? count(customers) : '', '']),
    ...section('product groups', standings, 'group', names),
    ...section('countries', standings, 'country', names),
    ...section('top customers', standings, 'customer', names),
    ...flagged(snapshot, WIDTH),
  ]
}

const BLOCK_NAMES = 2
const INDENT = ' '.repeat(10)

/** The same in a few lines. */
export function renderBlock(snapshot: Snapshot): string[] {
  const { batchTime, windowMs, standings } = snapshot
  const all = standingOf(standings, 'all')
  const rejected = standingOf(standings, 'rejected')
  const lines = all.total.lines + rejected.total.lines
  const batchLines = all.batch.lines + rejected.batch.lines
  const kinds = ['group', 'country', 'customer'] as const
  const { orders, cancellations, revenue } = all.window
  return [
    `${timeOfDay(batchTime)}  ${ordersAndRevenue(all)}  cancellations ${plus(all, 'cancellations')}` +
      `  lines ${count(lines)} (+${count(batchLines)})  rejected ${plus(rejected, 'lines')}`,
    `${INDENT}last ${formatDuration(windowMs)}: orders ${count(orders)}  revenue ${pounds(revenue)}  cancellations ${count(cancellations)}`,
    ...kinds.flatMap((kind) =>
      ranked(standings, kind)
        .slice(0, BLOCK_NAMES)
        .map(([name, standing]) => `${INDENT}${kind} ${name}: ${ordersAndRevenue(standing)}`),
    ),
    ...flagged(snapshot, 2 * WIDTH).map((line) => `${INDENT}${line}`),
  ]
}

/** Who needs to be looked at, in a line for suspicious customers and one for blacklisted ones; none where there is nobody. */
function flagged({ standings, suspicious }: Snapshot, width: number): string[] {
  const suspects = suspicious
    .toSorted((a, b) => b.orders + b.cancellations - a.orders - a.cancellations || (a.customer < b.customer ? -1 : 1))
    .map(({ customer, ...figures }) => `${printable(customer)} (${invoices(figures)})`)
  const blacklisted = ranked(standings, 'blacklisted')
    .filter(([, { window }]) => window.orders > 0)
    .map(([name, { window }]) => `${name} (${invoices(window)})`)
  return [...listing('suspicious', suspects, width), ...listing('blacklisted', blacklisted, width)]
}

function invoices({ orders, cancellations }: { readonly orders: number; readonly cancellations: number }): string {
  const parts = [
    [orders, 'order'],
    [cancellations, 'cancellation'],
  ] as const
  return parts
    .filter(([value]) => value > 0)
    .map(([value, name]) => `${count(value)} ${name}${value === 1 ? '' : 's'}`)
    .join(', ')
}

/** As many of the items as the width takes, and how many there are beyond. */
function listing(title: string, items: readonly string[], width: number): string[] {
  if (items.length === 0) return []
  const textOf = (shown: number): string => {
    const more = items.length - shown
    return `${title}  ${items.slice(0, shown).join(', ')}${more === 0 ? '' : ` + ${count(more)} more`}`
  }
  let shown = items.length
  while (shown > 1 && textOf(shown).length > width) shown--
  return [textOf(shown)]
}

/** What a run ends with. */
export function renderTotals(totals: Totals): string[] {
  return [
    `${count(totals.orders)} orders and ${count(totals.cancellations)} cancellations of ${count(totals.customers)} customers` +
      ` in ${count(totals.byCountry.size)} countries, revenue ${pounds(totals.revenueThousandths)}`,
    `${count(totals.lines)} lines: ${count(totals.accepted)} accepted, ${count(totals.rejected)} rejected`,
  ]
}

function section(title: string, standings: Standings, kind: SubjectKind, names: number): string[] {
  const best = ranked(standings, kind).slice(0, names)
  return [title, ...best.map(([name, standing]) => figuresRow(`  ${name}`, standing))]
}

/** Names of one kind with the most revenue first; equal ones by name, so that rows do not jump. */
function ranked(standings: Standings, kind: SubjectKind): [name: string, standing: Standing][] {
  return standings
    .filter(([[by]]) => by === kind)
    .map(([[, name], standing]): [string, Standing] => [printable(name), standing])
    .sort(([a, { total: left }], [b, { total: right }]) => right.revenue - left.revenue || (a < b ? -1 : 1))
}

/** The sums over all subjects of a kind. */
function standingOf(standings: Standings, kind: SubjectKind): Standing {
  const own = standings.filter(([[by]]) => by === kind).map(([, standing]) => standing)
  const sumOf = (period: Period): Figures => own.map((standing) => standing[period]).reduce(addFigures, NO_FIGURES)
  return { total: sumOf('total'), window: sumOf('window'), batch: sumOf('batch') }
}

function figuresRow(name: string, standing: Standing): string {
  return row(name, (period) => [count(standing[period].orders), pounds(standing[period].revenue, '')])
}

function countsRow(name: string, countIn: (period: Period) => number): string {
  return row(name, (period) => [count(countIn(period)), ''])
}

function row(name: string, cellsOf: (period: Period) => readonly [orders: string, revenue: string]): string {
  const cut = Array.from(name).slice(0, NAME_WIDTH).join('')
  const cells = PERIODS.map(({ period, ordersWidth, revenueWidth }) => {
    const [orders, revenue] = cellsOf(period)
    const first = orders.padStart(ordersWidth)
    return first + revenue.padStart(ordersWidth + revenueWidth - first.length)
  })
  return (cut.padEnd(NAME_WIDTH) + cells.join('')).trimEnd()
}

function ordersAndRevenue(standing: Standing): string {
  const { total, batch } = standing
  return `orders ${plus(standing, 'orders')}  revenue ${pounds(total.revenue)} (${batch.revenue < 0 ? '' : '+'}${pounds(batch.revenue)})`
}

function plus({ total, batch }: Standing, figure: 'orders' | 'cancellations' | 'lines'): string {
  return `${count(total[figure])} (+${count(batch[figure])})`
}

export function count(value: number): string {
  return value.toLocaleString('en-GB')
}

/** Thousandths as pounds and pence, with a third digit only where it is not 0: `£1,234.50`. */
export function pounds(thousandths: Thousandths, currency = '£'): string {
  const magnitude = Math.abs(thousandths)
  const fraction = String(magnitude % 1_000)
    .padStart(3, '0')
    .replace(/0$/, '')
  return `${thousandths < 0 ? '-' : ''}${currency}${count(Math.floor(magnitude / 1_000))}.${fraction}`
}

/** Names come from the data: a control character in one must not reach the terminal. */
export function printable(name: string): string {
  return name.replace(/\p{C}/gu, '?')
}

function timeOfDay(batchTime: number): string {
  return new Date(batchTime).toTimeString().slice(0, 8)
}
