/** The whole app in a process of its own, over real sockets, against a recomputation that shares no code with it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { serveBytes, type ByteServer } from './testing/byte-server.js'
import { reasonToReject, recompute, splitFields, type ExpectedTotals } from './testing/recompute.js'
import { runApp, startApp } from './testing/run-app.js'

const SAMPLE = fileURLToPath(new URL('../data/online-retail/', import.meta.url))

/** All lines of the twelve days, without headers and line ends. */
const sample = readdirSync(SAMPLE)
  .filter((name) => name.endsWith('.csv'))
  .sort()
  .flatMap((name) => readFileSync(join(SAMPLE, name), 'utf8').split('\n').slice(1, -1))

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

interface MetricRow {
  by: string
  name: string
  lines: number
  orders: number
  cancellations: number
  revenueThousandths: number
}

/** The figures of all batches. */
async function metricRows(directory: string): Promise<MetricRow[]> {
  const metrics = join(directory, 'metrics')
  const rows: MetricRow[] = []
  for (const name of await readdir(metrics, { recursive: true })) {
    if (!name.includes('part-')) continue
    const lines = (await readFile(join(metrics, name), 'utf8')).split('\n').slice(0, -1)
    rows.push(...lines.map((line) => JSON.parse(line) as MetricRow))
  }
  return rows
}

/** What `--loop` sends, for longer than a test waits. */
function endless(): string[] {
  return Array.from({ length: 12 }, () => sample).flat()
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

  it('equals the recomputation of the lines processed until Ctrl-C', async () => {
    const app = startApp(['--speed', '20000', '--loop', '--batch', '200', '--out', out])
    await app.shows('orders')
    await sleep(2_500)
    app.interrupt()
    expect(await app.ended).toMatchObject({ code: 0, stderr: QUIET })
    const totals = (await totalsIn(out)) as ExpectedTotals
    expect(totals.lines).toBeGreaterThan(10_000)
    expect(totals).toEqual(recompute(endless().slice(0, totals.lines)))
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

describe('the command line', () => {
  it('explains itself with --help', async () => {
    const result = await runApp(['--help'], { cwd: folder })
    expect(result).toMatchObject({ code: 0, stderr: '' })
    for (const option of ['data', 'speed', 'loop', 'connect', 'batch', 'partitions', 'out', 'fresh', 'help']) {
      expect(result.stdout).toContain(`--${option}`)
    }
    expect(await readdir(folder)).toEqual([])
  })

  it.each([
    [['--sped', 'max'], "Unknown option '--sped'"],
    [['--batch', 'often'], '--batch takes a whole number from 10'],
    [['--connect', 'nowhere'], '--connect takes HOST:PORT'],
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
    expect(totals).toEqual(recompute(endless().slice(0, totals.lines)))
  }, 60_000)
})
