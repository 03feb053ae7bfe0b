/** The whole app in a process of its own, over real sockets, against a recomputation that shares no code with it. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { serveBytes, type ByteServer } from './testing/byte-server.js'
import { reasonToReject, recompute, splitFields, type ExpectedTotals } from './testing/recompute.js'
import { runApp, startApp } from './testing/run-app.js'
import { sampleOrders as sample } from './testing/sample.js'

/** What a run says that went well: at most that its source has ended. */
const QUIET: unknown = expect.stringMatching(/^(warn: .* ended the stream\n)?$/)

const GOOD = '536365,85123A,WHITE HANGING HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom'
const CANCELLED = 'C536379,D,Discount,-1,2010-12-01 09:41:00,27.50,,France'
const BAD = [
  'not a line',
  '',
  `${GOOD},`,
  '536366,22633,HAND WARMER,six,2010-12-01 08:28:00,1.85,17850.0,United Kingdom',
  '536367,84879,"BIRD, ORNAMENT",32,2010-12-01 08:34:00,cheap,13047.0,United Kingdom',
  '536368,22960,"JAM ""MAKING"" SET",6,2010-02-30 08:34:00,4.25,13047.0,United Kingdom',
]
const MIXED = [GOOD, ...BAD, CANCELLED, GOOD]

let folder: string
let out: string
let server: ByteServer | undefined
beforeAll(() => {
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))
  if (!existsSync(main)) throw new Error('these tests run the built app: build it first, e.g. by npm test at the root')
})
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'order-metrics-'))
  out = join(folder, 'results')
})
afterEach(async () => {
  server?.close()
  server = undefined
  await rm(folder, { recursive: true })
})

async function totalsIn(directory: string): Promise<unknown> {
  return JSON.parse(await readFile(join(directory, 'totals.json'), 'utf8'))
}

async function rejectedIn(directory: string): Promise<{ line: string; reason: string }[]> {
  const text = await readFile(join(directory, 'rejected.ndjson'), 'utf8')
  const lines = text.split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as { line: string; reason: string })
}

interface Figures {
  lines: number
  orders: number
  cancellations: number
  revenueThousandths: number
}

interface MetricRow extends Figures {
  by: string
  name: string
  window: Figures
}

interface SuspiciousRow {
  customer: string
  orders: number
  cancellations: number
  revenueThousandths: number
  batchTime: number
}

interface BlacklistedRow {
  invoice: string
  customer: string
  revenueThousandths: number
  batchTime: number
}

/** The figures of all batches. */
function metricRows(directory: string): Promise<MetricRow[]> {
  return rowsIn<MetricRow>(join(directory, 'metrics'))
}

/** What all files below a folder hold, batch by batch. */
async function rowsIn<Row>(folder: string): Promise<Row[]> {
  const rows: Row[] = []
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    if (!name.includes('part-')) continue
    const lines = (await readFile(join(folder, name), 'utf8')).split('\n').slice(0, -1)
    rows.push(...lines.map((line) => JSON.parse(line) as Row))
  }
  return rows
}

/** The rows of the last batch that has any. */
async function lastRowsIn<Row>(folder: string): Promise<Row[]> {
  const last = (await readdir(folder)).sort().at(-1)
  return last === undefined ? [] : rowsIn<Row>(join(folder, last))
}

/** Distinct invoices of each customer in these lines. */
function invoicesByCustomer(lines: readonly string[]): Map<string, Set<string>> {
  const invoices = new Map<string, Set<string>>()
  for (const line of lines) {
    const [invoice = '', , , , , , customer = ''] = splitFields(line)
    if (customer !== '') invoices.set(customer, (invoices.get(customer) ?? new Set()).add(invoice))
  }
  return invoices
}

/** The first lines that `--loop` sends. */
function endless(count: number): string[] {
  return Array.from({ length: count }, (_, i) => sample[i % sample.length]!)
}

async function dataOf(files: Record<string, string>): Promise<string> {
  const directory = join(folder, 'data')
  await mkdir(directory)
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
  return directory
}

describe('totals.json', () => {
  it('has known figures to equal', () => {
    expect(recompute(sample)).toMatchObject({
      lines: 31_102,
      rejected: 0,
      orders: 1_243,
      cancellations: 215,
      revenueThousandths: 530_356_910,
      customers: 768,
    })
  })

  it.each([
    '--speed max --batch 50 --partitions 1',
    '--speed max --batch 200 --partitions 8',
    '--speed max --batch 1000 --partitions 3',
    '--speed 15000 --batch 100',
  ])('equals the recomputation of the twelve days with %s', async (options) => {
    const result = await runApp([...options.split(' '), '--out', out])
    expect(result).toMatchObject({ code: 0, stderr: QUIET })
    expect(await totalsIn(out)).toEqual(recompute(sample))
    expect(await rejectedIn(out)).toEqual([])
    expect(result.stdout).toContain('1,243 orders and 215 cancellations of 768 customers')
    expect(result.stdout).toContain(join(out, 'totals.json'))
  })

  it('equals it when the lines come from elsewhere, in packets cut at random places', async () => {
    let seed = 1
    const nextSize = () => 1 + ((seed = (seed * 48_271) % 2_147_483_647) % 4_000)
    const header = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country'
    const lines = [header, ...sample.slice(0, 20_000), header, ...sample.slice(20_000)]
    server = await serveBytes(Buffer.from(lines.join('\r\n')), nextSize)
    const result = await runApp(['--connect', server.address, '--batch', '50', '--partitions', '2', '--out', out])
    expect(result).toMatchObject({ code: 0 })
    expect(await totalsIn(out)).toEqual(recompute(sample))
  })

  it('is the same whatever is in the window, suspicious or blacklisted', async () => {
    const blacklist = join(folder, 'blacklist.txt')
    await writeFile(blacklist, '17850.0\n')
    const options = '--speed 15000 --batch 50 --window 1 --max-orders 0 --max-cancellations 0 --blacklist'
    const result = await runApp([...options.split(' '), blacklist, '--out', out])
    expect(result).toMatchObject({ code: 0, stderr: QUIET })
    expect(result.stdout).toContain('suspicious  17850.0')
    expect(await totalsIn(out)).toEqual(recompute(sample))
  })

  it('equals the recomputation of the lines processed until Ctrl-C', async () => {
    const app = startApp(['--speed', '20000', '--loop', '--batch', '200', '--out', out])
    await app.shows('orders')
    await sleep(2_500)
    app.interrupt()
    expect(await app.ended).toMatchObject({ code: 0, stderr: QUIET })
    const totals = (await totalsIn(out)) as ExpectedTotals
    expect(totals.lines).toBeGreaterThan(10_000)
    expect(totals).toEqual(recompute(endless(totals.lines)))
  })

  it('is the same text for the same lines, however they fall into batches', async () => {
    const others = join(folder, 'others')
    await runApp(['--speed', 'max', '--batch', '1000', '--out', out])
    await runApp(['--speed', 'max', '--batch', '20', '--partitions', '5', '--out', others])
    expect(await readFile(join(out, 'totals.json'), 'utf8')).toBe(await readFile(join(others, 'totals.json'), 'utf8'))
  })
})

describe('the lines', () => {
  it('that are rejected stand in rejected.ndjson with their reasons, once each, and count', async () => {
    const data = await dataOf({ 'a.csv': `${MIXED.join('\n')}\n`, 'b.csv': BAD.join('\r\n') })
    const result = await runApp(['--data', data, '--speed', '50', '--batch', '50', '--out', out])
    expect(result).toMatchObject({ code: 0, stderr: QUIET })
    const bad = [...BAD, ...BAD]
    const expected = bad.map((line) => ({ line, reason: reasonToReject(splitFields(line)) }))
    expect((await rejectedIn(out)).map(({ line, reason }) => ({ line, reason }))).toEqual(expected)
    expect(await totalsIn(out)).toEqual(recompute([...MIXED, ...BAD]))
    expect(await totalsIn(out)).toMatchObject({
      lines: 15,
      accepted: 3,
      rejected: 12,
      orders: 1,
      cancellations: 1,
      customers: 1,
    })
  })

  it('come from all *.csv of --data in the order of their names, without the first of a file if it names the columns', async () => {
    const header = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country'
    const data = await dataOf({ '2.csv': `${header}\n${GOOD}\n${header}\n`, '1.csv': 'first', 'x.txt': 'no data' })
    await runApp(['--data', data, '--speed', 'max', '--batch', '50', '--out', out])
    expect((await rejectedIn(out)).map(({ line }) => line)).toEqual(['first', header])
    expect(await totalsIn(out)).toMatchObject({ lines: 3, accepted: 1 })
  })

  it('of a source that stays open end at Ctrl-C', async () => {
    server = await serveBytes(Buffer.from(`${MIXED.join('\n')}\nhalf a line`), () => 10, { keepOpen: true })
    const app = startApp(['--connect', server.address, '--batch', '1000', '--out', out])
    await app.shows('rejected 6')
    app.interrupt()
    expect(await app.ended).toMatchObject({ code: 0 })
    expect(await totalsIn(out)).toEqual(recompute(MIXED))
  })
})

describe('the results', () => {
  it('of the batches add up to the totals', async () => {
    await runApp(['--speed', '30000', '--batch', '50', '--partitions', '3', '--out', out])
    const sums = new Map<string, { orders: number; revenueThousandths: number; cancellations: number; lines: number }>()
    for (const row of await metricRows(out)) {
      const sum = sums.get(`${row.by} ${row.name}`) ?? { orders: 0, revenueThousandths: 0, cancellations: 0, lines: 0 }
      for (const figure of Object.keys(sum) as (keyof typeof sum)[]) sum[figure] += row[figure]
      sums.set(`${row.by} ${row.name}`, sum)
    }
    const { lines, orders, cancellations, revenueThousandths, byCountry, byGroup } = recompute(sample)
    expect(sums.get('all ')).toEqual({ lines, orders, cancellations, revenueThousandths })
    for (const [name, tally] of Object.entries(byCountry)) expect(sums.get(`country ${name}`)).toMatchObject(tally)
    for (const [name, tally] of Object.entries(byGroup)) expect(sums.get(`group ${name}`)).toMatchObject(tally)
  })

  it('have the figures of the window beside those of the batch', async () => {
    await runApp(['--speed', '30000', '--batch', '50', '--partitions', '3', '--out', out])
    // The whole run lies in the last window of five minutes.
    const { lines, orders, cancellations, revenueThousandths, byCountry, byGroup } = recompute(sample)
    const rows = await lastRowsIn<MetricRow>(join(out, 'metrics'))
    const windowOf = (by: string, name: string) => rows.find((row) => row.by === by && row.name === name)?.window
    expect(windowOf('all', '')).toEqual({ lines, orders, cancellations, revenueThousandths })
    for (const [name, tally] of Object.entries(byCountry)) expect(windowOf('country', name)).toMatchObject(tally)
    for (const [name, tally] of Object.entries(byGroup)) expect(windowOf('group', name)).toMatchObject(tally)
  })

  it('name the suspicious customers, a few in the sample', async () => {
    await runApp(['--speed', '15000', '--batch', '100', '--out', out])
    const rows = await lastRowsIn<SuspiciousRow>(join(out, 'suspicious'))
    const expected = [...invoicesByCustomer(sample)]
      .map(([customer, invoices]) => {
        const cancellations = [...invoices].filter((invoice) => invoice.startsWith('C')).length
        return { customer, orders: invoices.size - cancellations, cancellations }
      })
      .filter(({ orders, cancellations }) => orders > 10 || cancellations > 2)
    expect(expected).toHaveLength(6)
    const byName = (a: { customer: string }, b: { customer: string }) => (a.customer < b.customer ? -1 : 1)
    expect(
      rows.map(({ customer, orders, cancellations }) => ({ customer, orders, cancellations })).sort(byName),
    ).toEqual(expected.sort(byName))
    expect(new Set(rows.map(({ batchTime }) => batchTime)).size).toBe(1)
  })

  it('have no files about suspicious customers or blacklisted orders when there are none', async () => {
    const blacklist = join(folder, 'blacklist.txt')
    await writeFile(blacklist, '# nobody\n')
    await runApp(['--speed', 'max', '--batch', '100', '--max-orders', '99', '--max-cancellations', '99', '--out', out])
    expect(await readdir(join(out, 'suspicious'))).toEqual([])
    expect(await readdir(out)).not.toContain('blacklisted')
    await runApp(['--speed', 'max', '--batch', '100', '--blacklist', blacklist, '--out', out, '--fresh'])
    expect(await readdir(join(out, 'blacklisted'))).toEqual([])
  })

  it('go to a new folder when none is named', async () => {
    const data = await dataOf({ 'a.csv': GOOD })
    const result = await runApp(['--data', data, '--speed', 'max', '--batch', '50'], { cwd: folder })
    const [name] = await readdir(join(folder, 'out'))
    expect(name).toMatch(/^order-metrics-\d{8}-\d{6}$/)
    expect(result.stdout).toContain(join('out', name!, 'totals.json'))
    expect(await totalsIn(join(folder, 'out', name!))).toEqual(recompute([GOOD]))
  })

  it('of a finished run are refused as a place for another, until --fresh removes them', async () => {
    const args = [
      '--data',
      await dataOf({ 'a.csv': MIXED.join('\n') }),
      '--speed',
      'max',
      '--batch',
      '50',
      '--out',
      out,
    ]
    expect(await runApp(args)).toMatchObject({ code: 0 })
    await writeFile(join(out, 'notes.txt'), 'mine')
    const before = await readdir(out, { recursive: true })

    const refused = await runApp(args)
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toMatch(/^order-metrics: .* holds the results of a finished run; .*--fresh/)
    expect(await readdir(out, { recursive: true })).toEqual(before)

    expect(await runApp([...args, '--fresh'])).toMatchObject({ code: 0 })
    expect(await totalsIn(out)).toEqual(recompute(MIXED))
    expect(await rejectedIn(out)).toHaveLength(BAD.length)
    expect(await readFile(join(out, 'notes.txt'), 'utf8')).toBe('mine')
    const rows = (await metricRows(out)).filter(({ by }) => by === 'all')
    expect(rows.reduce((lines, row) => lines + row.lines, 0)).toBe(3)
  })
})

describe('a run that is not at its end', () => {
  it('was stopped by Ctrl-C and goes on where it was: nothing is lost or counted twice', async () => {
    const args = ['--speed', '20000', '--batch', '50', '--out', out]
    const first = startApp(args)
    await first.shows('orders')
    first.interrupt()
    expect(await first.ended).toMatchObject({ code: 0, stderr: QUIET })
    const part = (await totalsIn(out)) as ExpectedTotals
    expect(part).toEqual(recompute(sample.slice(0, part.lines)))
    expect(part.lines).toBeLessThan(sample.length)

    expect(await runApp(args)).toMatchObject({ code: 0, stderr: QUIET })
    expect(await totalsIn(out)).toEqual(recompute(sample))
    const rows = (await metricRows(out)).filter(({ by }) => by === 'all')
    expect(rows.reduce((lines, row) => lines + row.lines, 0)).toBe(sample.length)
    expect(await readdir(out)).not.toContain('checkpoint')
    expect((await runApp(args)).stderr).toMatch(/holds the results of a finished run/)
  })

  it('was killed and goes on from its checkpoint, wherever that is; while it lives, no other may', async () => {
    const args = ['--speed', '20000', '--batch', '50', '--out', out, '--checkpoint', join(folder, 'log')]
    const first = startApp(args)
    await first.shows('orders')
    const second = await runApp(args)
    expect(second).toMatchObject({ code: 1, stderr: expect.stringMatching(/is owned by process/) as string })
    first.signal('SIGKILL')
    await first.exited
    expect(await readdir(out)).not.toContain('totals.json')
    expect(await runApp(args)).toMatchObject({ code: 0, stderr: QUIET })
    expect(await totalsIn(out)).toEqual(recompute(sample))
  })
})

describe('the blacklist', () => {
  const revenueOf = (rows: readonly BlacklistedRow[]) => rows.reduce((sum, row) => sum + row.revenueThousandths, 0)

  /** Waits until the last marked orders are this customer's. */
  async function untilMarked(directory: string, customer: string): Promise<void> {
    while (!(await lastRowsIn<BlacklistedRow>(directory)).some((row) => row.customer === customer)) await sleep(50)
  }

  it('marks the orders of its customers, which still count in the totals', async () => {
    const blacklist = join(folder, 'blacklist.txt')
    await writeFile(blacklist, '# scalpers\n17850.0\n15311.0 # cancels a lot\n')
    const result = await runApp(['--speed', '30000', '--batch', '50', '--blacklist', blacklist, '--out', out])
    expect(result.stdout).toContain('blacklisted  ')
    const own = sample.filter((line) => ['17850.0', '15311.0'].includes(splitFields(line)[6] ?? ''))
    const orders = own.filter((line) => !line.startsWith('C'))
    const rows = await rowsIn<BlacklistedRow>(join(out, 'blacklisted'))
    expect(new Set(rows.map(({ invoice }) => invoice)).size).toBe(recompute(own).orders)
    expect(new Set(rows.map(({ customer }) => customer))).toEqual(new Set(['17850.0', '15311.0']))
    expect(revenueOf(rows)).toBe(recompute(orders).revenueThousandths)
    expect(await totalsIn(out)).toEqual(recompute(sample))
  })

  it('is read again while the job runs, and its last good version stands while it cannot be', async () => {
    const blacklist = join(folder, 'blacklist.txt')
    await writeFile(blacklist, '')
    const data = await dataOf({ 'a.csv': [GOOD, GOOD.replace('17850.0', '13047.0').replace('536365', '1')].join('\n') })
    const options = ['--data', data, '--loop', '--speed', '200', '--batch', '50', '--window', '1', '--out', out]
    const app = startApp([...options, '--blacklist', blacklist])
    const marked = join(out, 'blacklisted')
    await app.shows('orders 2')
    expect(await readdir(marked)).toEqual([])
    await writeFile(blacklist, '17850.0\n')
    await untilMarked(marked, '17850.0')
    await rm(blacklist)
    await sleep(500)
    await writeFile(blacklist, '13047.0\n')
    await untilMarked(marked, '13047.0')
    app.interrupt()
    const { code, stderr } = await app.ended
    expect(code).toBe(0)
    expect(stderr.match(/warn: cannot read the blacklist .*; its last 1 customers stand/g)).toHaveLength(1)
    const rows = await rowsIn<BlacklistedRow>(marked)
    const customers = rows.map(({ customer }) => customer)
    // First the one, then the other, each in every batch until the list changed.
    expect(customers).toEqual([...customers].sort().reverse())
    expect(new Set(customers).size).toBe(2)
    const { lines } = (await totalsIn(out)) as ExpectedTotals
    expect(await totalsIn(out)).toMatchObject({ orders: 2, revenueThousandths: lines * 15_300 })
  })

  it('that is not there at the start is an error, before anything is made', async () => {
    const result = await runApp(['--blacklist', 'missing.txt'], { cwd: folder })
    expect(result).toMatchObject({ code: 1, stdout: '' })
    expect(result.stderr).toMatch(/^order-metrics: cannot read the blacklist missing\.txt: ENOENT.*--blacklist.*\n$/)
    expect(await readdir(folder)).toEqual([])
  })
})

describe('the command line', () => {
  it('explains itself with --help', async () => {
    const result = await runApp(['--help'], { cwd: folder })
    expect(result).toMatchObject({ code: 0, stderr: '' })
    const options =
      'data speed loop connect sequenced batch window max-orders max-cancellations blacklist partitions out ' +
      'checkpoint take-over no-database fresh help'
    for (const option of options.split(' ')) expect(result.stdout).toContain(`--${option}`)
    expect(await readdir(folder)).toEqual([])
  })

  it.each([
    [['--sped', 'max'], "Unknown option '--sped'"],
    [['--batch', 'often'], '--batch takes a whole number from 10'],
    [['--connect', 'nowhere'], '--connect takes HOST:PORT'],
    [['--sequenced'], '--sequenced is about the lines of --connect'],
    [['--checkpoint', 'log'], '--checkpoint is about a run that has a folder; name it with --out'],
  ])('that makes no sense ends with code 2: %j', async (args, message) => {
    const result = await runApp(args, { cwd: folder })
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toMatch(/^order-metrics: .*\nSee --help for the options\.\n$/)
    expect(result.stderr).toContain(message)
    expect(await readdir(folder)).toEqual([])
  })

  it.each(['missing', '.'])('with --data %s, where no data is, ends with code 1', async (data) => {
    const result = await runApp(['--data', data], { cwd: folder })
    expect(result).toMatchObject({ code: 1, stdout: '' })
    expect(result.stderr).toMatch(/^order-metrics: .*is --data .*folder\?\n$/)
    expect(await readdir(folder)).toEqual([])
  })
})

describe('a run', () => {
  it('whose data cannot be read to the end fails, with what it was, and leaves no totals', async () => {
    const data = await dataOf({ 'a.csv': GOOD })
    await mkdir(join(data, 'b.csv'))
    const result = await runApp(['--data', data, '--speed', 'max', '--batch', '50', '--out', out])
    expect(result).toMatchObject({ code: 1 })
    expect(result.stderr).toContain('order-metrics: cannot go on with the replay: EISDIR')
    expect(await readdir(out)).not.toContain('totals.json')
  })

  it('whose results cannot be written fails and leaves no totals', async () => {
    const data = await dataOf({ 'a.csv': GOOD })
    await mkdir(out)
    await writeFile(join(out, 'metrics'), 'in the way')
    const result = await runApp(['--data', data, '--speed', 'max', '--batch', '50', '--out', out])
    expect(result).toMatchObject({ code: 1 })
    expect(result.stderr).toMatch(/order-metrics: .*metrics/)
    expect(await readdir(out)).not.toContain('totals.json')
  })

  it('whose output nobody reads any more ends as at Ctrl-C', async () => {
    const app = startApp(['--speed', '20000', '--loop', '--batch', '100', '--out', out])
    await app.shows('orders')
    app.closeStdout()
    expect(await app.ended).toMatchObject({ code: 0, stderr: QUIET })
    const totals = (await totalsIn(out)) as ExpectedTotals
    expect(totals).toEqual(recompute(endless(totals.lines)))
  }, 60_000)
})
