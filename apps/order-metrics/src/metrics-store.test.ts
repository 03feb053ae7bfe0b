/** The database of a run: what it holds while the job runs and at its end. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readMetrics } from './metrics-store.js'
import { startApp } from './testing/run-app.js'

const SHOW = fileURLToPath(new URL('../dist/show-metrics.js', import.meta.url))
const show = (...args: string[]) => promisify(execFile)(process.execPath, ['--no-warnings', SHOW, ...args])

interface Totals {
  orders: number
  cancellations: number
  revenueThousandths: number
  byCountry: Record<string, { orders: number; revenueThousandths: number }>
  byGroup: Record<string, { orders: number; revenueThousandths: number }>
}

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'metrics-store-'))
})
afterEach(() => rm(folder, { recursive: true }))

it('shows the figures while the job runs, and at its end those of totals.json', async () => {
  const out = join(folder, 'results')
  const app = startApp(['--speed', '20000', '--batch', '100', '--loop', '--out', out])
  await app.shows('country United Kingdom')
  const { stdout } = await show(out)
  expect(stdout).toMatch(/^.*results, after batch \d\d:\d\d:\d\d\n/)
  expect(stdout).toMatch(/\nall +[\d,]+ +[\d,.]+ +[\d,]+ +[\d,.]+\ncountries\n {2}United Kingdom +[\d,]+ /)
  app.interrupt()
  expect(await app.ended).toMatchObject({ code: 0 })
  const totals = JSON.parse(await readFile(join(out, 'totals.json'), 'utf8')) as Totals
  const metrics = await readMetrics(out)
  const { orders, cancellations, revenueThousandths } = totals
  expect(metrics.find(({ kind }) => kind === 'all')).toMatchObject({ orders, cancellations, revenueThousandths })
  for (const [kind, wanted] of [
    ['country', totals.byCountry],
    ['group', totals.byGroup],
  ] as const) {
    const own = metrics.filter((each) => each.kind === kind)
    const found = own.map(({ name, ...each }) => [
      name,
      { orders: each.orders, revenueThousandths: each.revenueThousandths },
    ])
    expect(Object.fromEntries(found)).toEqual(wanted)
  }
  expect(metrics.every(({ windowOrders, orders: all }) => windowOrders <= all)).toBe(true)
}, 60_000)

it('says what to do where there is no run', async () => {
  await expect(show(folder)).rejects.toMatchObject({ code: 1, stderr: expect.stringMatching(/npm start/) as string })
  await expect(show('--help')).rejects.toMatchObject({ code: 2, stderr: expect.stringMatching(/^Usage/) as string })
})
