/** Windows with an inverse remember the cells of what entered: they must be right also where that is forgotten or undone. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runBatches } from '../testing.js'
import { seconds } from '../time/duration.js'

type Count = readonly [key: string, n: number]

const add = (a: number, b: number): number => a + b
const inverse = (a: number, b: number): number => a - b
const window = seconds(3)

/** Batches of some hundred records over many keys, which come and go. */
const batchesOf = (count: number): Count[][] =>
  Array.from({ length: count }, (_, b) =>
    Array.from({ length: 400 }, (_, i): Count => [`customer-number-${String((b * 150 + i * 7) % 900)}`, b + i]),
  )

const sorted = (out: readonly (readonly Count[])[]): Count[][] =>
  out.map((batch) => batch.toSorted(([a], [b]) => (a < b ? -1 : 1)))

test('slices that went to disk leave the window as those that did not', async () => {
  const run = (memoryBudgetBytes: number) =>
    runBatches(
      batchesOf(9),
      (pairs) => [pairs.reduceByKeyAndWindow(add, { window, inverse }), pairs.reduceByKeyAndWindow(add, { window })],
      { memoryBudgetBytes },
    )
  const [short, plain] = (await run(2_000)) as unknown as [Count[][], Count[][]]
  const [ample] = (await run(2 ** 30)) as unknown as [Count[][], Count[][]]
  expect(short).toEqual(ample)
  expect(sorted(short)).toEqual(sorted(plain))
})

test('a slide that fails on the way and is tried again gives what it would have given at once', async () => {
  const failAt = new Set([1, 700, 1_500])
  let calls = 0
  const failing = (a: number, b: number): number => {
    if (failAt.has(++calls)) throw new Error('for once')
    return a - b
  }
  const slide = (f: (a: number, b: number) => number) =>
    runBatches(batchesOf(9), (pairs) => pairs.reduceByKeyAndWindow(add, { window, inverse: f }))
  const out = await slide(failing)
  expect(calls).toBeGreaterThan(1_500)
  expect(out).toEqual(await slide(inverse))
})

test('two windows over one stream do not take each other for themselves', async () => {
  const [short, long] = (await runBatches(batchesOf(9), (pairs) => {
    const reduced = pairs.reduceByKey(add)
    return [
      reduced.reduceByKeyAndWindow(add, { window: seconds(2), inverse }),
      reduced.reduceByKeyAndWindow(add, { window: seconds(5), slide: seconds(2), inverse }),
    ]
  })) as unknown as [Count[][], (Count[] | symbol)[]]
  const [plainShort, plainLong] = (await runBatches(batchesOf(9), (pairs) => [
    pairs.reduceByKeyAndWindow(add, { window: seconds(2) }),
    pairs.reduceByKeyAndWindow(add, { window: seconds(5), slide: seconds(2) }),
  ])) as unknown as [Count[][], (Count[] | symbol)[]]
  expect(sorted(short)).toEqual(sorted(plainShort))
  const there = (out: readonly (Count[] | symbol)[]): Count[][] => sorted(out.filter((batch) => Array.isArray(batch)))
  expect(there(long)).toEqual(there(plainLong))
})

test('keys cut out of longer texts, in any order, are the same keys', async () => {
  const batch = fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.nat(9)), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(fc.array(batch, { minLength: 1, maxLength: 8 }), async (batches) => {
      const script = batches.map((records) =>
        records.map(([key, n]): Count => [`....customer-number-${String(key)}`.slice(4), n]),
      )
      const out = await runBatches(script, (pairs) => [
        pairs.reduceByKeyAndWindow(add, { window, inverse }),
        pairs.reduceByKeyAndWindow(add, { window }),
      ])
      const [withInverse, plain] = out as unknown as [Count[][], Count[][]]
      expect(sorted(withInverse)).toEqual(sorted(plain))
    }),
    { numRuns: 25 },
  )
})

test('reduceByKey: a promise is refused also when keys come a second time only after thousands of others', async () => {
  const records = Array.from({ length: 5_000 }, (_, i): Count => [`key-${String(i % 4_999)}`, 1])
  const running = runBatches([records], (pairs) =>
    pairs.reduceByKey(((a: number, b: number) => Promise.resolve(a + b)) as never),
  )
  await expect(running).rejects.toMatchObject({ code: 'ASYNC_FUNCTION' })
})
