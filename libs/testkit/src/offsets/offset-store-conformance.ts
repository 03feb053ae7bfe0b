/** What every store of offsets must do, as tests: `offsetStoreConformance({ describe, test, name, open })`. */
import assert from 'node:assert/strict'
import { seededRandom, seedOf, systemClock, type OffsetStore, type StreamOffsets } from '@sluice/core'
import { awkwardTexts } from '../suite/awkward.js'
import { assertHelpful, rejectsHelpfully, settled, silentLogger, within } from '../suite/checks.js'
import { defineSuite, ingredient, type Rule, type Skip, type SuiteRunner } from '../suite/runner.js'

/** A place where offsets are kept. */
export interface OffsetStoreTarget {
  /** Another store on the same place each time, not opened, with connections of its own: what the restarted application would make. */
  make(): OffsetStore | Promise<OffsetStore>
  /** Called after the test, also after a failed one, when its stores are closed. Removes the place. */
  close?(): Promise<void>
}

export interface OffsetStoreConformanceOptions extends SuiteRunner {
  readonly name: string
  /** Called once for each test. */
  readonly open: () => OffsetStoreTarget | Promise<OffsetStoreTarget>
  /** A store whose server is not there. */
  readonly broken?: (() => OffsetStore | Promise<OffsetStore>) | undefined
  readonly skip?: readonly Skip[] | undefined
}

let benches = 0

class OffsetStoreBench {
  readonly options: OffsetStoreConformanceOptions
  /** Random: a place may be shared with others. */
  readonly app: string
  readonly #target: OffsetStoreTarget
  readonly #opened: OffsetStore[] = []

  constructor(options: OffsetStoreConformanceOptions, target: OffsetStoreTarget) {
    this.options = options
    this.#target = target
    const random = seededRandom(seedOf(systemClock.now(), systemClock.monotonic(), benches++))
    this.app = `conformance-${random.integer(2 ** 31).toString(36)}`
  }

  async make(): Promise<OffsetStore> {
    const store = await this.#target.make()
    this.#opened.push(store)
    return store
  }

  async opened(appName = this.app): Promise<OffsetStore> {
    const store = await this.make()
    await this.open(store, appName)
    return store
  }

  async open(store: OffsetStore, appName = this.app): Promise<void> {
    const { signal } = new AbortController()
    await within('open', store.open?.({ appName, logger: silentLogger, clock: systemClock, signal }) ?? done)
  }

  /** What a run that starts now finds. */
  async found(stream: string, appName = this.app): Promise<StreamOffsets> {
    const store = await this.opened(appName)
    const offsets = await within('load', store.load(stream))
    await this.closeStore(store)
    return { ...offsets }
  }

  /** A whole run that stores once. */
  async run(stream: string, offsets: StreamOffsets, appName = this.app): Promise<void> {
    const store = await this.opened(appName)
    await store.load(stream)
    await within('store', store.store(stream, offsets))
    await this.closeStore(store)
  }

  async closeStore(store: OffsetStore): Promise<void> {
    this.#opened.splice(this.#opened.indexOf(store), 1)
    await within('close', store.close?.() ?? done)
  }

  async end(): Promise<void> {
    for (const store of [...this.#opened]) await settled(() => this.closeStore(store))
    await this.#target.close?.()
  }
}

const done = Promise.resolve()

type OffsetRule = Rule<OffsetStoreBench>

function rule(name: string, run: OffsetRule['run']): OffsetRule {
  return { name, run }
}

const MANY = 1_000
const BROKEN_RULE = 'open of what cannot work rejects, and close does not'

const rules: readonly OffsetRule[] = [
  rule('it declares contract and name', async (bench) => {
    const store = await bench.make()
    assert.equal(store['~sluice'], 'offset-store/1')
    assert.match(store.name, /\S/)
  }),
  rule('a stream that is not known has no offsets', async (bench) => {
    assert.deepEqual(await bench.found('orders'), {})
  }),
  rule('what was stored is loaded by the next run', async (bench) => {
    await bench.run('orders', { 'orders-0': '5', 'orders-1': '7' })
    assert.deepEqual(await bench.found('orders'), { 'orders-0': '5', 'orders-1': '7' })
  }),
  rule('partitions that are not given stay as they are', async (bench) => {
    const store = await bench.opened()
    await store.load('orders')
    await store.store('orders', { 'orders-0': '5', 'orders-1': '7' })
    await store.store('orders', { 'orders-1': '9' })
    await store.store('orders', {})
    await store.store('orders', { 'orders-2': '1' })
    assert.deepEqual(await bench.found('orders'), { 'orders-0': '5', 'orders-1': '9', 'orders-2': '1' })
  }),
  rule('the next run stores on what it has loaded', async (bench) => {
    for (let n = 1; n <= 3; n++) await bench.run('orders', { 'orders-0': String(n) })
    assert.deepEqual(await bench.found('orders'), { 'orders-0': '3' })
  }),
  rule('offsets may go back', async (bench) => {
    await bench.run('orders', { 'orders-0': '9' })
    await bench.run('orders', { 'orders-0': '4' })
    assert.deepEqual(await bench.found('orders'), { 'orders-0': '4' })
  }),
  rule('streams and applications are kept apart, whatever their names are', async (bench) => {
    const { app } = bench
    const places = [
      [app, 'b:c'],
      [`${app}:b`, 'c'],
      [app, 'b/c'],
      [`${app}/b`, 'c'],
      [app, 'b'],
      [`${app}%3Ab`, 'c'],
      [app, ''],
    ] as const
    for (const [n, [appName, stream]] of places.entries()) await bench.run(stream, { 'p-0': String(n) }, appName)
    for (const [n, [appName, stream]] of places.entries())
      assert.deepEqual(await bench.found(stream, appName), { 'p-0': String(n) }, `${appName} and ${stream}`)
  }),
  rule('names and offsets are any text', async (bench) => {
    const texts = awkwardTexts.filter((text) => text !== '')
    const offsets = Object.fromEntries(texts.map((text, n) => [`${text} ${String(n)}`, `${text} ${String(n)}`]))
    await bench.run('größe 🦊', { ...offsets, big: String(2n ** 80n) })
    assert.deepEqual(await bench.found('größe 🦊'), { ...offsets, big: String(2n ** 80n) })
  }),
  rule('many partitions are stored at once', async (bench) => {
    const offsets = Object.fromEntries(Array.from({ length: MANY }, (_, n) => [`p-${String(n)}`, String(n * 3)]))
    await bench.run('orders', offsets)
    assert.deepEqual(await bench.found('orders'), offsets)
  }),
  rule('a run that another one has overtaken is fenced, and changes nothing', async (bench) => {
    const [old, next] = [await bench.opened(), await bench.opened()]
    await old.load('orders')
    await old.store('orders', { 'orders-0': '5' })
    await next.load('orders')
    await next.store('orders', { 'orders-0': '8', 'orders-1': '1' })
    for (const offsets of [{ 'orders-0': '6' }, { 'orders-1': '2' }, { 'orders-2': '3', 'orders-0': '6' }]) {
      const outcome = await settled(() => old.store('orders', offsets))
      assert.ok(outcome.rejected, 'a run that was overtaken must not store')
      assertHelpful(outcome.error)
      assert.equal((outcome.error as { code?: unknown }).code, 'FENCED')
    }
    assert.deepEqual(await bench.found('orders'), { 'orders-0': '8', 'orders-1': '1' })
    await next.store('orders', { 'orders-0': '9' })
    assert.deepEqual(await bench.found('orders'), { 'orders-0': '9', 'orders-1': '1' })
  }),
  rule('one that is not open, or closed, says so', async (bench) => {
    const store = await bench.make()
    if (store.open !== undefined) await rejectsHelpfully('load before open', () => store.load('orders'))
    await bench.open(store)
    await bench.closeStore(store)
    if (store.close !== undefined) await rejectsHelpfully('load after close', () => store.load('orders'))
  }),
  rule(BROKEN_RULE, async (bench) => {
    const store = await ingredient(bench.options.broken, 'broken', BROKEN_RULE)()
    await rejectsHelpfully('open', () => bench.open(store))
    await within('close', store.close?.() ?? done)
  }),
]

/**
 * Defines one test for each rule of the contract of `OffsetStore`. A store that cannot tell that another run has stored, e.g. one that
 * only writes, skips that rule by name and says why.
 */
export function offsetStoreConformance(options: OffsetStoreConformanceOptions): void {
  defineSuite(options, {
    title: `offset store conformance: ${options.name}`,
    rules,
    skip: options.skip ?? [],
    async open() {
      const bench = new OffsetStoreBench(options, await options.open())
      return { bench, close: () => bench.end() }
    },
  })
}
