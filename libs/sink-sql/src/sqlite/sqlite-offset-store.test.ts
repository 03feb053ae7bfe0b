/** Offsets in the file that a sink writes to, too. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isSluiceError, systemClock, type OffsetStore } from '@sluice/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sqliteOffsetStore, sqliteSink } from '../sqlite.js'

const say = (): void => undefined
const logger = { debug: say, info: say, warn: say, error: say }
const { signal } = new AbortController()
const context = { logger, clock: systemClock, signal }

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-offsets-'))
  file = join(folder, 'orders.db')
})
afterEach(() => rm(folder, { recursive: true }))

async function opened(appName = 'orders'): Promise<OffsetStore> {
  const store = sqliteOffsetStore({ file })
  await store.open?.({ appName, ...context })
  return store
}

test('what is stored is there for the next run of the application, beside a sink in the same file', async () => {
  const sink = sqliteSink({ file, table: 'orders', mode: 'insert', columns: { id: 'integer' } })
  await sink.open?.({ app: 'a', output: 'to-0', epoch: 1, lastPlanned: undefined, ...context })
  const store = await opened()
  expect(await store.load('orders')).toEqual({})
  await store.store('orders', { 'orders-0': '7', 'orders-1': '1' })
  await store.store('orders', { 'orders-0': '8' })
  const other = await opened('another application')
  expect(await other.load('orders')).toEqual({})
  for (const each of [store, other]) await each.close?.()
  const next = await opened()
  expect(await next.load('orders')).toEqual({ 'orders-0': '8', 'orders-1': '1' })
  await next.close?.()
  await sink.close?.()
})

test('E21: offsets are replaced only if they are those that this run last read or wrote', async () => {
  const [one, two] = [await opened(), await opened()]
  for (const each of [one, two]) await each.load('orders')
  await one.store('orders', { 'orders-0': '7' })
  const error: unknown = await two.store('orders', { 'orders-0': '6' }).catch((caught: unknown) => caught)
  expect(isSluiceError(error) && error.code).toBe('FENCED')
  expect(await one.load('orders')).toEqual({ 'orders-0': '7' })
  for (const each of [one, two]) await each.close?.()
})

test('a store that is not open says so, and options that make no sense are refused', async () => {
  const error: unknown = await sqliteOffsetStore({ file })
    .load('orders')
    .catch((caught: unknown) => caught)
  expect(isSluiceError(error) && error.code).toBe('STOPPED')
  expect(() => sqliteOffsetStore({ file: ':memory:' })).toThrow(/is no path of a file/)
})
