/** What the terminal shows: one table that stands still and changes, or a few lines now and then where nobody watches. */
import { addFigures, NO_FIGURES, type Standing, type SubjectKind } from './metrics.js'
import type { Thousandths } from './orders.js'
import type { Standings, Totals } from './totals.js'

/** The figures at the end of a batch. */
export interface Snapshot {
  /** Batch time in milliseconds since the epoch. */
  readonly batchTime: number
  readonly standings: Standings
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

const FIXED_ROWS = 13
const NAME_WIDTH = 24

/** The whole table, for a terminal of so many rows. */
export function renderTable(snapshot: Snapshot, rows: number): string[] {
  const { standings, batchTime } = snapshot
  const names = Math.min(8, Math.max(1, Math.floor((rows - FIXED_ROWS) / 3)))
  const all = standingOf(standings, 'all')
  const rejected = standingOf(standings, 'rejected')
  const customers = standings.filter(([[by]]) => by === 'customer').length
  return [
    `Order metrics after batch ${timeOfDay(batchTime)}`,
    '',
    `${' '.repeat(NAME_WIDTH)}${'so far'.padStart(24)}${'this batch'.padStart(26)}`,
    row('', ['orders', 'revenue £', 'orders', 'revenue £']),
    figuresRow('all', all),
    row('cancellations', [count(all.total.cancellations), '', count(all.batch.cancellations), '']),
    row('lines', [
      count(all.total.lines + rejected.total.lines),
      '',
      count(all.batch.lines + rejected.batch.lines),
      '',
    ]),
    row('rejected lines', [count(rejected.total.lines), '', count(rejected.batch.lines), '']),
    row('customers', [count(customers), '', '', '']),
    ...section('product groups', standings, 'group', names),
    ...section('countries', standings, 'country', names),
    ...section('top customers', standings, 'customer', names),
  ]
}

const BLOCK_NAMES = 2

/** The same in a few lines. */
export function renderBlock({ batchTime, standings }: Snapshot): string[] {
  const all = standingOf(standings, 'all')
  const rejected = standingOf(standings, 'rejected')
  const lines = all.total.lines + rejected.total.lines
  const batchLines = all.batch.lines + rejected.batch.lines
  const kinds = ['group', 'country', 'customer'] as const
  return [
    `${timeOfDay(batchTime)}  ${ordersAndRevenue(all)}  cancellations ${plus(all, 'cancellations')}` +
      `  lines ${count(lines)} (+${count(batchLines)})  rejected ${plus(rejected, 'lines')}`,
    ...kinds.flatMap((kind) =>
      ranked(standings, kind)
        .slice(0, BLOCK_NAMES)
        .map(([name, standing]) => `          ${kind} ${name}: ${ordersAndRevenue(standing)}`),
    ),
  ]
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
  return {
    total: own.map(({ total }) => total).reduce(addFigures, NO_FIGURES),
    batch: own.map(({ batch }) => batch).reduce(addFigures, NO_FIGURES),
  }
}

function figuresRow(name: string, { total, batch }: Standing): string {
  return row(name, [count(total.orders), pounds(total.revenue, ''), count(batch.orders), pounds(batch.revenue, '')])
}

function row(name: string, cells: readonly [string, string, string, string]): string {
  const [orders, revenue, batchOrders, batchRevenue] = cells
  const cut = Array.from(name).slice(0, NAME_WIDTH).join('')
  const text = `${cut.padEnd(NAME_WIDTH)}${orders.padStart(9)}${revenue.padStart(15)}${batchOrders.padStart(11)}${batchRevenue.padStart(15)}`
  return text.trimEnd()
}

function ordersAndRevenue(standing: Standing): string {
  const { total, batch } = standing
  return `orders ${plus(standing, 'orders')}  revenue ${pounds(total.revenue)} (${batch.revenue < 0 ? '' : '+'}${pounds(batch.revenue)})`
}

function plus({ total, batch }: Standing, figure: 'orders' | 'cancellations' | 'lines'): string {
  return `${count(total[figure])} (+${count(batch[figure])})`
}

function count(value: number): string {
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
function printable(name: string): string {
  return name.replace(/\p{C}/gu, '?')
}

function timeOfDay(batchTime: number): string {
  return new Date(batchTime).toTimeString().slice(0, 8)
}
