/** E21: rows of all partitions, ledger and offsets of a batch in one transaction; offsets by compare-and-set. */
import { isSluiceError, systemClock, type OffsetStore, type Rejected, type Sink } from '@sluice/core'
import { describeWithServices, startProxy, type SqlValues } from '@sluice/services'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { deadLetterColumns } from '../index.js'
import { mysqlOffsetStore } from '../mysql.js'
import { postgresOffsetStore } from '../postgres.js'
import { hooked, type Hook } from '../testing/hooked-pool.js'
import {
  code,
  inMysql,
  inPostgres,
  sales,
  ServerBench,
  type Kind,
  type Sale,
  type SaleOptions,
} from '../testing/server-bench.js'

type MakeStore = (options: { url: string } | { pool: unknown }) => OffsetStore
type Sales = Record<string, Record<string, string>>

const ofBatch = (planned: Readonly<Record<string, unknown>>): Sales => planned as Sales

function tests(values: SqlValues, kind: Kind, makeStore: MakeStore): void {
  const db = kind.connect(values.url)
  afterAll(() => db.end())
  let bench: ServerBench
  let stores: OffsetStore[] = []
  beforeEach(() => {
    bench = new ServerBench(kind, values.url, db.ask)
  })
  afterEach(async () => {
    await bench.end()
    for (const store of stores) await store.close?.()
    stores = []
    await db.ask(`DELETE FROM sluice_offsets WHERE app_name = '${bench.app}'`)
  })
  async function storeOf(more: Parameters<MakeStore>[0] = { url: values.url }): Promise<OffsetStore> {
    const store = makeStore(more)
    stores.push(store)
    const say = (): void => undefined
    const logger = { debug: say, info: say, warn: say, error: say }
    const { signal } = new AbortController()
    await store.open?.({ appName: bench.app, logger, clock: systemClock, signal })
    return store
  }
  const batchSink = (store?: OffsetStore, more: SaleOptions = {}): Promise<Sink<Sale>> =>
    bench.opened(
      bench.sinkOf({
        ...{ transaction: 'batch', key: undefined, ...more },
        ...(store === undefined ? {} : { offsets: { store, of: ofBatch } }),
      } as unknown as SaleOptions),
    )
  const stored = async (): Promise<unknown> => (await storeOf()).load('orders')
  const two = { partitions: 2 }

  test('E21: rows of all partitions and the offsets are there at once, when the batch is committed', async () => {
    const store = await storeOf()
    expect(await store.load('orders')).toEqual({})
    const sink = await batchSink(store)
    await bench.put(sink, sales(1, 2), two)
    await bench.put(sink, sales(3), { ...two, partition: 1 })
    expect(await bench.rows()).toEqual([])
    expect(await stored()).toEqual({})
    await bench.commit(sink, two, { orders: { 'orders-0': '7', 'orders-1': '9' } })
    expect(await bench.rows()).toHaveLength(3)
    expect(await stored()).toEqual({ 'orders-0': '7', 'orders-1': '9' })
    // What the source says after the batch is known already; other partitions stay.
    await store.store('orders', { 'orders-0': '7' })
    await bench.put(sink, [], { batchTime: 2_000 })
    await bench.commit(sink, { batchTime: 2_000 }, { orders: { 'orders-1': '10' } })
    expect(await stored()).toEqual({ 'orders-0': '7', 'orders-1': '10' })
  })

  test('E21: when another run has stored offsets meanwhile, the batch is fenced and nothing of it is there', async () => {
    const store = await storeOf()
    await store.load('orders')
    const sink = await batchSink(store)
    const other = await storeOf()
    await other.load('orders')
    await other.store('orders', { 'orders-0': '5' })
    await bench.put(sink, sales(1))
    await expect(bench.commit(sink, {}, { orders: { 'orders-0': '7' } })).rejects.toSatisfy(code('FENCED'))
    expect(await bench.rows()).toEqual([])
    expect(await stored()).toEqual({ 'orders-0': '5' })
    // Nor may it replace what it would have written itself: that was another run's batch.
    await other.store('orders', { 'orders-0': '7' })
    await bench.put(sink, sales(1), { attempt: 1 })
    const again = bench.commit(sink, { attempt: 1 }, { orders: { 'orders-0': '7' } })
    await expect(again).rejects.toSatisfy(code('FENCED'))
    expect(await bench.rows()).toEqual([])
  })

  test('E21: when the answer to COMMIT is lost, the next attempt knows that batch and offsets are stored', async () => {
    const proxy = await startProxy({ target: `${values.host}:${values.port}` })
    const user = kind.connect(values.url.replace(`:${values.port}/`, `:${String(proxy.port)}/`))
    let hook: Hook = () => Promise.resolve()
    const pool = hooked(user.pool, (sql) => hook(sql))
    try {
      const store = await storeOf()
      await store.load('orders')
      const sink = await batchSink(store, { pool } as unknown as SaleOptions)
      hook = (sql) => Promise.resolve(sql === 'COMMIT' ? proxy.cutAfter(0, 'down') : undefined)
      await bench.put(sink, sales(1))
      const commit = bench.commit(sink, {}, { orders: { 'orders-0': '7' } })
      await expect(commit).rejects.toSatisfy((error: unknown) => isSluiceError(error) && error.retryable)
      hook = () => Promise.resolve()
      proxy.passAgain()
      while ((await bench.rows()).length === 0) await systemClock.sleep(1)
      await bench.put(sink, sales(1), { attempt: 1 })
      await bench.commit(sink, { attempt: 1 }, { orders: { 'orders-0': '7' } })
      await bench.put(sink, sales(2), { batchTime: 2_000 })
      await bench.commit(sink, { batchTime: 2_000 }, { orders: { 'orders-0': '8' } })
      expect(await bench.rows()).toEqual(sales(1, 2).map(({ id, what }) => [id, what]))
      expect(await stored()).toEqual({ 'orders-0': '8' })
    } finally {
      await bench.end()
      await user.end()
      await proxy.stop()
    }
  })

  test('E21: another attempt begins anew, and what a batch lacks is an error', async () => {
    const sink = await batchSink()
    await bench.put(sink, sales(1), two)
    await bench.put(sink, sales(1), { ...two, attempt: 1 })
    await expect(bench.commit(sink, { ...two, attempt: 1 })).rejects.toThrow(/1 of 2 partitions are written/)
    expect(await bench.rows()).toEqual([])
    await bench.put(sink, sales(1), { ...two, attempt: 2 })
    await bench.put(sink, sales(2), { ...two, partition: 1, attempt: 2 })
    await bench.commit(sink, { ...two, attempt: 2 })
    expect(await bench.rows()).toHaveLength(2)
    // Once more, as after a crash of the application.
    await bench.commit(sink, { ...two, attempt: 3 })
    expect(await bench.rows()).toHaveLength(2)
  })

  test('E18, E21: refused records of one partition are left out, and the others stay in the transaction', async () => {
    const letters = await bench.opened(
      bench.sinkOf({ table: `${bench.table}_dead`, columns: deadLetterColumns, key: undefined } as never),
      { output: 'dead' },
    )
    const sink = await batchSink(undefined, { key: 'id' })
    await bench.put(sink, sales(1, 2), two)
    const rejected: Rejected<Sale>[] = []
    const marked = await bench.put(
      sink,
      sales(3, 1, 4, 4),
      { ...two, partition: 1 },
      {
        reject: (index, { message }) => {
          const coordinates = { output: 'to-0', batchTime: 1_000, partition: 1, index }
          rejected.push({ record: sales(3, 1, 4, 4)[index] as Sale, message, code: undefined, ...coordinates })
        },
        // In the same database, while the transaction is open.
        settleRejects: async () => {
          await bench.put(letters, rejected as never, { output: 'dead', batchTime: 1_000 + rejected.length })
        },
      },
    )
    expect(marked).toEqual([])
    expect(rejected.map(({ index }) => index).sort()).toEqual([1, 3])
    await bench.commit(sink, two)
    expect((await bench.rows()).map(([id]) => id)).toEqual([1, 2, 3, 4])
    await db.ask(`DROP TABLE ${bench.table}_dead`)
  })

  test('offsets are known by application and stream; another run that stores them is told from the same one', async () => {
    const one = await storeOf()
    await one.load('orders')
    await one.store('orders', { 'orders-0': '1', 'orders-1': '1' })
    await one.store('clicks', { 'clicks-0': '5' })
    await one.store('orders', { 'orders-1': '2' })
    expect(await stored()).toEqual({ 'orders-0': '1', 'orders-1': '2' })
    // One that has read nothing yet takes over what is there, and only that.
    const next = await storeOf()
    await next.store('orders', { 'orders-0': '3' })
    await expect(one.store('orders', { 'orders-0': '2' })).rejects.toSatisfy(code('FENCED'))
    await one.store('clicks', { 'clicks-0': '6' })
    expect(await stored()).toEqual({ 'orders-0': '3', 'orders-1': '2' })
  })

  test('of two runs that begin at the same time one is fenced', async () => {
    for (let n = 0; n < 5; n++) {
      const stream = `stream ${String(n)}`
      const runs = [await storeOf(), await storeOf(), await storeOf()]
      for (const run of runs) await run.load(stream)
      const results = await Promise.allSettled(runs.map((run, i) => run.store(stream, { p: String(i) })))
      const failed = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
      expect(failed).toHaveLength(2)
      for (const error of failed) expect(error).toSatisfy(code('FENCED'))
    }
  })

  test('a store whose answer was lost is tried again, and is no other run', async () => {
    const proxy = await startProxy({ target: `${values.host}:${values.port}` })
    const user = kind.connect(values.url.replace(`:${values.port}/`, `:${String(proxy.port)}/`))
    let hook: Hook = () => Promise.resolve()
    try {
      const store = await storeOf({ pool: hooked(user.pool, (sql) => hook(sql)) })
      await store.load('orders')
      hook = (sql) => Promise.resolve(sql === 'COMMIT' ? proxy.cutAfter(0, 'down') : undefined)
      await expect(store.store('orders', { 'orders-0': '1' })).rejects.toSatisfy(code('CONNECTION_FAILED'))
      hook = () => Promise.resolve()
      proxy.passAgain()
      await store.store('orders', { 'orders-0': '2' })
      expect(await stored()).toEqual({ 'orders-0': '2' })
      await store.close?.()
    } finally {
      await user.end()
      await proxy.stop()
    }
  })
}

const functions = { describe, test }
await describeWithServices(functions, ['postgres'], 'postgres', ({ postgres }) => {
  tests(postgres, inPostgres, (options) => postgresOffsetStore(options as never))
})
for (const name of ['mariadb', 'mysql'] as const) {
  await describeWithServices(functions, [name], name, ({ [name]: values }) => {
    tests(values, inMysql, (options) => mysqlOffsetStore(options as never))
  })
}
