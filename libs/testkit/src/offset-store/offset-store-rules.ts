/** Rules about what is stored and loaded, and about the life of a store. */
import assert from 'node:assert/strict'
import { isSluiceError, type StreamOffsets } from '@sluice/core'
import { assertHelpful, settled } from '../suite/checks.js'
import type { Rule } from '../suite/runner.js'
import type { OffsetStoreBench } from './offset-store-bench.js'

type OffsetStoreRule = Rule<OffsetStoreBench>

const STREAM = 'conformance'
const MANY = 200
const AWKWARD = [
  'orders/3',
  'a b',
  'größe-日本',
  'it\'s -- "quoted"',
  'a:b:c-0',
  'ab-0',
  'ab_0',
  'AB-0',
  '..',
  '%2F-1',
  '__proto__',
]

export const contentRules: readonly OffsetStoreRule[] = [
  {
    name: 'it declares contract and name',
    run({ target: { store } }) {
      assert.equal(store['~sluice'], 'offset-store/1')
      assert.notEqual(store.name.trim(), '', 'messages need a name')
      return Promise.resolve()
    },
  },
  {
    name: 'a stream that nobody has stored has no offsets',
    async run(bench) {
      await bench.partitions(2)
      assert.deepEqual(await bench.load(await bench.first(), STREAM), {})
    },
  },
  {
    name: 'what was stored is loaded, by this run and by later ones',
    async run(bench) {
      const store = await bench.first()
      const offsets = await numbered(bench, 3)
      await bench.store(store, STREAM, offsets)
      assert.deepEqual(await bench.load(store, STREAM), offsets)
      assert.deepEqual(await bench.left(STREAM), offsets)
      await bench.close(store)
      assert.deepEqual(await bench.left(STREAM), offsets)
    },
  },
  {
    name: 'offsets of the partitions given are replaced, and others stay as they are',
    async run(bench) {
      const store = await bench.first()
      const [a = '', b = '', c = ''] = await bench.partitions(3)
      await bench.store(store, STREAM, { [a]: '1', [b]: '2' })
      await bench.store(store, STREAM, { [b]: '20', [c]: '30' })
      await bench.store(store, STREAM, {})
      assert.deepEqual(await bench.left(STREAM), { [a]: '1', [b]: '20', [c]: '30' })
    },
  },
  {
    name: 'what was stored last counts, also where it is lower',
    async run(bench) {
      const store = await bench.first()
      const [partition = ''] = await bench.partitions(1)
      for (const offset of ['9', '10', '100', '7']) await bench.store(store, STREAM, { [partition]: offset })
      assert.deepEqual(await bench.left(STREAM), { [partition]: '7' })
    },
  },
  {
    name: 'a later run goes on where an earlier one was',
    async run(bench) {
      const [partition = ''] = await bench.partitions(1)
      for (let run = 1; run <= 5; run++) {
        const store = run === 1 ? await bench.first() : await bench.next()
        assert.deepEqual(await bench.load(store, STREAM), run === 1 ? {} : { [partition]: String(run - 1) })
        await bench.store(store, STREAM, { [partition]: String(run) })
        await bench.close(store)
      }
    },
  },
  {
    name: 'offsets above 2^53 stay as they are',
    async run(bench) {
      const [a = '', b = ''] = await bench.partitions(2)
      const offsets = { [a]: '9007199254740993', [b]: '9223372036854775806' }
      await bench.store(await bench.first(), STREAM, offsets)
      assert.deepEqual(await bench.left(STREAM), offsets)
    },
  },
  {
    name: 'many partitions are stored and loaded at once',
    async run(bench) {
      const offsets = await numbered(bench, MANY)
      await bench.store(await bench.first(), STREAM, offsets)
      assert.deepEqual(await bench.left(STREAM), offsets)
    },
  },
  {
    name: 'offsets may be any text',
    async run(bench) {
      const texts = ['', ' 7 ', '007', '{"file":"a b","line":3}', 'größe\n', "'; --", 'x'.repeat(2_000)]
      const names = await bench.partitions(texts.length)
      const offsets = Object.fromEntries(names.map((name, i) => [name, texts[i] as string]))
      await bench.store(await bench.first(), STREAM, offsets)
      assert.deepEqual(await bench.left(STREAM), offsets)
    },
  },
  {
    name: 'streams and partitions may have any names',
    async run(bench) {
      const store = await bench.first()
      const offsets = new Map(AWKWARD.map((stream, i) => [stream, anyNames(i * 100)]))
      for (const [stream, each] of offsets) await bench.store(store, stream, each)
      for (const [stream, each] of offsets)
        assert.deepEqual(Object.entries(await bench.left(stream)).sort(), entriesOf(each))
    },
  },
  {
    name: 'streams are kept apart',
    async run(bench) {
      const store = await bench.first()
      const [partition = ''] = await bench.partitions(1)
      await bench.store(store, 'one', { [partition]: '1' })
      await bench.store(store, 'two', { [partition]: '2' })
      assert.deepEqual(await bench.left('one'), { [partition]: '1' })
      assert.deepEqual(await bench.left('two'), { [partition]: '2' })
      assert.deepEqual(await bench.left('three'), {})
    },
  },
  {
    name: 'applications are kept apart',
    async run(bench) {
      const [partition = ''] = await bench.partitions(1)
      const places = placesOf(bench.app)
      for (const [n, [app, stream]] of places.entries()) {
        const store = await (n === 0 ? bench.first(app) : bench.next(app))
        await bench.load(store, stream)
        await bench.store(store, stream, { [partition]: String(n) })
      }
      for (const [n, [app, stream]] of places.entries())
        assert.deepEqual(await bench.left(stream, app), { [partition]: String(n) }, `${app} and ${stream}`)
    },
  },
]

export const lifeRules: readonly OffsetStoreRule[] = [
  {
    name: 'FENCED: a run that another one has overtaken stores nothing',
    async run(bench) {
      const [partition = '', other = ''] = await bench.partitions(2)
      const old = await bench.first()
      await bench.load(old, STREAM)
      await bench.store(old, STREAM, { [partition]: '1' })
      const young = await bench.next()
      await bench.load(young, STREAM)
      await bench.store(young, STREAM, { [partition]: '2', [other]: '5' })
      for (const offsets of [{ [partition]: '3' }, { [other]: '1' }, { [partition]: '3', [other]: '1' }]) {
        const outcome = await settled(() => bench.store(old, STREAM, offsets))
        assert.ok(outcome.rejected && isSluiceError(outcome.error, 'FENCED'), 'the old run must be told FENCED')
      }
      assert.deepEqual(await bench.left(STREAM), { [partition]: '2', [other]: '5' })
      await bench.store(young, STREAM, { [partition]: '4' })
      assert.deepEqual(await bench.left(STREAM), { [partition]: '4', [other]: '5' })
    },
  },
  {
    name: 'calls end when the application stops at once, and the store can be closed',
    async run(bench) {
      const store = await bench.first()
      const [partition = ''] = await bench.partitions(1)
      await bench.store(store, STREAM, { [partition]: '1' })
      const call = settled(() => store.store(STREAM, { [partition]: '2' }))
      bench.abort(store)
      await bench.ends('a store that was under way', () => call)
      await bench.close(store)
      assert.ok(Number((await bench.left(STREAM))[partition]) >= 1, 'what was stored before is still there')
    },
  },
  {
    name: 'a store that was only opened can be closed, and leaves nothing',
    async run(bench) {
      await bench.partitions(1)
      await bench.close(await bench.first())
      assert.deepEqual(await bench.left(STREAM), {})
    },
  },
  {
    name: 'one whose system is not there rejects, naming component, problem and remedy, and can be closed',
    async run(bench) {
      const store = await bench.broken()
      const opened = await settled(() => bench.open(store))
      const outcome = opened.rejected ? opened : await settled(() => bench.load(store, STREAM))
      assert.ok(outcome.rejected, 'open or load must reject')
      assertHelpful(outcome.error)
      await bench.close(store)
    },
  },
]

/** Applications and streams whose names are one text where they are only put together. */
function placesOf(app: string): readonly (readonly [app: string, stream: string])[] {
  const joined = [':', '/', '-', '.', ' '].flatMap((sign): [string, string][] => [
    [app, `b${sign}c`],
    [`${app}${sign}b`, 'c'],
  ])
  return [...joined, [app, 'c'], [`${app}%3Ab`, 'c'], [app, '']]
}

async function numbered(bench: OffsetStoreBench, count: number): Promise<StreamOffsets> {
  return Object.fromEntries((await bench.partitions(count)).map((name, i) => [name, String(i + 1)]))
}

/** One offset for each awkward name; `__proto__` is a key as any other. */
function anyNames(first: number): StreamOffsets {
  return Object.fromEntries(AWKWARD.map((name, i) => [name, String(first + i)]))
}

function entriesOf(offsets: StreamOffsets): [string, string][] {
  return Object.entries(offsets).sort()
}
