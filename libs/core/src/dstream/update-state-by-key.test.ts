import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isSluiceError, type SluiceError } from '../errors.js'
import { pair } from '../rdd/types.js'
import { absent } from '../input/queue-source.js'
import { harness, until } from '../testing/harness.js'
import { runBatches } from '../testing/run-batches.js'

interface Totals {
  readonly sum: number
  readonly history: readonly number[]
}

const addUp = (values: readonly number[], { sum, history }: Readonly<Totals> = { sum: 0, history: [] }): Totals => ({
  sum: values.reduce((a, b) => a + b, sum),
  history: [...history, values.length],
})

test('the function is called for every key that has state or values, in every batch, absent ones too', async () => {
  const calls: string[] = []
  await runBatches([[pair('a', 1), pair('b', 2)], [pair('a', 3)], absent, []], (pairs) =>
    pairs
      .map(([key, value]) => pair(key, pair(key, value)))
      .updateStateByKey<string>((values, state = '') => {
        calls.push(`${values.map(([key, n]) => `${key}${String(n)}`).join('+')} on '${state}'`)
        return state + values.map(([key]) => key).join('')
      }),
  )
  expect(calls).toEqual(["a1 on ''", "b2 on ''", "a3 on 'a'", " on 'b'", " on 'aa'", " on 'b'", " on 'aa'", " on 'b'"])
})

test('undefined removes the key; when it comes again it begins anew, at the end', async () => {
  const out = await runBatches(
    [[pair('a', 1), pair('b', 1), pair('c', 1)], [pair('a', 0)], [pair('a', 5)], []],
    (pairs) =>
      pairs.updateStateByKey<number>((values, sum = 0) => (values.includes(0) ? undefined : sum + values.length)),
  )
  expect(out).toEqual([
    [
      ['a', 1],
      ['b', 1],
      ['c', 1],
    ],
    [
      ['b', 1],
      ['c', 1],
    ],
    [
      ['b', 1],
      ['c', 1],
      ['a', 1],
    ],
    [
      ['b', 1],
      ['c', 1],
      ['a', 1],
    ],
  ])
})

test('a key for which the function never returns a state is not kept', async () => {
  const out = await runBatches([[pair('a', 1)], [pair('b', 1)]], (pairs) =>
    pairs.updateStateByKey<number>((values, state) => (state === undefined && values.length > 0 ? undefined : 1)),
  )
  expect(out).toEqual([[], []])
})

test('keys keep the order in which they first came, whatever the number of partitions', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer()), { maxLength: 8 }), { maxLength: 6 }),
      async (batches) => {
        const script = batches.map((batch) => batch.map(([key, value]) => pair(key, value)))
        const out = await runBatches(script, (pairs) =>
          pairs.updateStateByKey<Totals>(addUp as (v: readonly number[], s: Readonly<Totals> | undefined) => Totals),
        )
        const sums = new Map<number, number>()
        const expected = script.map((batch) => {
          for (const [key, value] of batch) sums.set(key, (sums.get(key) ?? 0) + value)
          return [...sums]
        })
        const seen = out.map((batch) => (batch === absent ? [] : batch.map(([key, { sum }]) => [key, sum])))
        expect(seen).toEqual(expected)
        const spread = await runBatches(
          script,
          (pairs) =>
            pairs.updateStateByKey<Totals>(addUp as (v: readonly number[], s: Readonly<Totals> | undefined) => Totals, {
              partitions: 3,
            }),
          { inputPartitions: 2 },
        )
        const sorted = (batch: (typeof spread)[number]): unknown =>
          batch === absent ? [] : batch.map(([key, { sum }]) => [key, sum]).sort(([a], [b]) => Number(a) - Number(b))
        expect(spread.map(sorted)).toEqual(expected.map((batch) => batch.toSorted(([a], [b]) => a - b)))
      },
    ),
    { numRuns: 25 },
  )
})

test('E5: it is evaluated once though two outputs read it', async () => {
  let calls = 0
  await runBatches([[pair('a', 1)], [pair('a', 2)]], (pairs) => {
    const sums = pairs.updateStateByKey<number>((values, sum = 0) => {
      calls++
      return values.reduce((a, b) => a + b, sum)
    })
    return { sums, doubled: sums.map(([key, sum]) => pair(key, 2 * sum)) }
  })
  expect(calls).toBe(2)
})

test('E5: a partition whose first try fails begins again from the committed state', async () => {
  let failed = false
  const out = await runBatches([[pair('a', 1), pair('b', 1)], [pair('a', 1), pair('b', 1)], []], (pairs) =>
    pairs.updateStateByKey<number>((values, sum = 0) => {
      if (sum === 1 && !failed && values.length === 1) {
        // In the second batch, after a key that was updated already.
        failed = true
        throw new Error('flaky')
      }
      return sum + values.length
    }),
  )
  expect(failed).toBe(true)
  expect(out[2]).toEqual([
    ['a', 2],
    ['b', 2],
  ])
})

test('E6: writing to a committed value throws FROZEN_VALUE, and says to return a new value', async () => {
  for (const write of [
    (state: { n: number; list: number[] }) => void state.n++,
    (state: { n: number; list: number[] }) => void state.list.push(1),
    (state: { n: number; list: number[] }) => void state.list.sort(),
    (state: { n: number; list: number[] }) => void (state.list.length = 0),
    (state: { n?: number; list: number[] }) => void delete state.n,
  ]) {
    const running = runBatches([[pair('a', 1)], []], (pairs) =>
      pairs.updateStateByKey<{ n: number; list: number[] }>((_values, state) => {
        if (state === undefined) return { n: 1, list: [2, 1] }
        write(state as { n: number; list: number[] })
        return state as { n: number; list: number[] }
      }),
    )
    const error: unknown = await running.catch((thrown: unknown) => thrown)
    expect(error).toSatisfy((thrown) => isSluiceError(thrown, 'FROZEN_VALUE'))
    expect((error as SluiceError).component).toBe('updateStateByKey-0')
    expect((error as SluiceError).message).toContain('return a new value instead')
  }
})

class Basket {
  readonly items: string[] = []
}

test.each<readonly [string, () => unknown, (state: never) => void]>([
  ['Map', () => new Map([['k', { n: 1 }]]), (state: Map<string, { n: number }>) => void state.set('x', { n: 2 })],
  [
    'inside a Map',
    () => new Map([['k', { n: 1 }]]),
    (state: Map<string, { n: number }>) => void (state.get('k')!.n = 9),
  ],
  ['Set', () => new Set([1]), (state: Set<number>) => void state.add(2)],
  ['Date', () => new Date(0), (state: Date) => void state.setTime(1)],
  ['bytes', () => Buffer.from('a'), (state: Buffer) => void (state[0] = 0)],
  ['class instance', () => new Basket(), (state: Basket) => void state.items.push('x')],
  [
    'object with a Map',
    () => ({ inner: new Map([[1, 1]]) }),
    (s: { inner: Map<number, number> }) => void s.inner.clear(),
  ],
])(
  'E6: a %s is copied: neither the function of a failed try nor an output can change what is committed',
  async (_what, make, change) => {
    const seen: unknown[] = []
    let tries = 0
    const { ssc, clock, end } = harness()
    const states = ssc.queueStream([[pair('a', 1)]]).updateStateByKey<object>((_values, state) => {
      if (state === undefined) return make() as object
      seen.push(structuredClone(state instanceof Basket ? [...state.items] : state))
      if (tries++ === 0) {
        change(state as never)
        throw new Error('after the change')
      }
      return state
    })
    states.foreachRDD(async (rdd) => {
      for (const [, state] of await rdd.collect()) {
        try {
          change(state as never)
        } catch {
          // Frozen parts say so.
        }
      }
    })
    await ssc.start()
    const ended = end()
    await clock.advance(4_000)
    await ssc.stop({ graceful: false })
    await ended
    const first = make()
    const expected = first instanceof Basket ? [] : structuredClone(first)
    expect(seen.length).toBeGreaterThanOrEqual(3)
    for (const state of seen) expect(state).toEqual(expected)
  },
)

test('E6: outputs cannot change plain state, nor keys', async () => {
  const { ssc, batches, completed } = harness()
  const errors: unknown[] = []
  const sums = ssc
    .queueStream([[pair({ id: 1 }, 5)], [pair({ id: 1 }, 6)]])
    .updateStateByKey<{ sum: number }>((values, state) => ({ sum: values.reduce((a, b) => a + b, state?.sum ?? 0) }))
  sums.foreachRDD(async (rdd) => {
    for (const [key, state] of await rdd.collect()) {
      for (const write of [() => void (state.sum = -1), () => void (key.id = 99)]) {
        try {
          write()
        } catch (error) {
          errors.push(error)
        }
      }
    }
  })
  const seen: unknown[] = []
  sums.foreachRDD(async (rdd) => void seen.push(...(await rdd.collect())))
  await ssc.start()
  await batches(2)
  await until(() => completed.length === 2)
  expect(seen).toEqual([
    [{ id: 1 }, { sum: 5 }],
    [{ id: 1 }, { sum: 11 }],
  ])
  expect(errors).toHaveLength(4)
  await ssc.stop({ graceful: false })
})

test('a function that returns a promise is refused with ASYNC_FUNCTION', async () => {
  const running = runBatches([[pair('a', 1)]], (pairs) =>
    pairs.updateStateByKey<Promise<number>>((values) => Promise.resolve(values.length)),
  )
  await expect(running).rejects.toSatisfy(
    (error) => isSluiceError(error, 'ASYNC_FUNCTION') && error.component === 'updateStateByKey-0',
  )
})

test('records that are no pairs are refused with PAIR_EXPECTED', async () => {
  const running = runBatches([[1]], (numbers) =>
    (numbers as never as typeof numbers & { updateStateByKey: (f: () => number) => typeof numbers }).updateStateByKey(
      () => 1,
    ),
  )
  await expect(running).rejects.toSatisfy((error) => isSluiceError(error, 'PAIR_EXPECTED'))
})

test('an error of the function names operator, batch, partition and record', async () => {
  const running = runBatches([[pair('key', 7)]], (pairs) =>
    pairs.updateStateByKey<number>(
      () => {
        throw new Error('oops')
      },
      { name: 'totals' },
    ),
  )
  const error: unknown = await running.catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'USER_FUNCTION_FAILED', component: 'totals' })
  expect((error as Error).message).toMatch(/partition 0 of batch 1000, record \["key",\[7\]\]: oops/)
})

test('initial state is there before the first batch: its keys come first, and are updated in every batch', async () => {
  const out = await runBatches([['b', 'a'], [], ['z']], (words) =>
    words
      .map((word) => [word, 1] as const)
      .updateStateByKey<number>((ones, sum = 0) => (sum < 0 ? undefined : sum + ones.length), {
        partitions: 1,
        initialState: new Map([
          ['z', 10],
          ['a', 20],
          ['gone', -1],
        ]),
      }),
  )
  expect(out).toEqual([
    [
      ['z', 10],
      ['a', 21],
      ['b', 1],
    ],
    [
      ['z', 10],
      ['a', 21],
      ['b', 1],
    ],
    [
      ['z', 11],
      ['a', 21],
      ['b', 1],
    ],
  ])
})
