/** Laws of streams, on random batches: absent ones, skipped ones, any partitions and any interval. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { StreamingContext } from '../context/streaming-context.js'
import type { State } from '../state/map-with-state.js'
import type { ManualClock } from '../testing.js'
import { absent, runBatches, type Batches, type Script } from '../testing.js'
import { milliseconds, seconds } from '../time/duration.js'
import type { DStream } from './dstream.js'

type Entry = readonly [key: string, value: number]
type Batch = readonly Entry[] | typeof absent

const RUNS = { numRuns: 60 }

const entry = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: -3, max: 3 }))
const batch: fc.Arbitrary<Batch> = fc.oneof(
  { weight: 5, arbitrary: fc.array(entry, { maxLength: 6 }) },
  { weight: 1, arbitrary: fc.constant<typeof absent>(absent) },
)
const batches = fc.array(batch, { minLength: 1, maxLength: 14 })
/** For each batch, how many of those after it a clock that is set forward skips. */
const jumps = fc.array(fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 9 })), {
  minLength: 14,
  maxLength: 14,
})
const size = fc.integer({ min: 1, max: 5 })

const add = (a: number, b: number): number => a + b
const subtract = (a: number, b: number): number => a - b

/** Records in an order of their own: partitions may change theirs. */
function sorted<T>(results: Batches<T>): (T[] | typeof absent)[] {
  const text = (record: T): string => JSON.stringify(record)
  return results.map((records) =>
    records === absent ? absent : records.toSorted((a, b) => (text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0)),
  )
}

/** Sets the clock forward in the batches that `skips` says; gives the times of batches as they come. */
function skipping(ssc: StreamingContext, stream: DStream<unknown>, skips: readonly number[]): number[] {
  const clock = ssc.sluiceContext.engine.clock as ManualClock
  const times: number[] = []
  ssc.addListener({
    onBatchStarted: ({ batchTime }) => {
      clock.jumpTo(clock.now() + (skips[times.length] ?? 0) * 1_000)
      times.push(batchTime)
    },
  })
  return times
}

/** What the batches in the window of `time` hold. */
function inWindow(script: readonly Batch[], times: readonly number[], time: number, window: number): Entry[] {
  return script.flatMap((records, i) => {
    const at = times[i] ?? Infinity
    return records !== absent && at > time - window && at <= time ? records : []
  })
}

test('window(w) is the union of its batches, whatever is absent or skipped', async () => {
  await fc.assert(
    fc.asyncProperty(batches, jumps, size, size, async (script, skips, window, slide) => {
      let times: number[] = []
      const out = await runBatches(script, (pairs, ssc) => {
        times = skipping(ssc, pairs, skips)
        return pairs.window(seconds(window), seconds(slide))
      })
      const expected = times
        .slice(0, script.length)
        .map((time) => (time % (slide * 1_000) === 0 ? inWindow(script, times, time, window * 1_000) : absent))
      expect(out).toEqual(expected)
    }),
    RUNS,
  )
})

test('a reduction with an inverse is the plain one, and both are that of a loop', async () => {
  await fc.assert(
    fc.asyncProperty(batches, jumps, size, size, size, async (script, skips, window, slide, partitions) => {
      let times: number[] = []
      const windows = { window: seconds(window), slide: seconds(slide), partitions }
      const [plain, inverse, kept] = await runBatches(
        script,
        (pairs, ssc) => {
          times = skipping(ssc, pairs, skips)
          const keep = (_key: string, value: number): boolean => value > 0
          return [
            pairs.reduceByKeyAndWindow(add, windows),
            pairs.reduceByKeyAndWindow(add, { ...windows, inverse: subtract }),
            pairs.reduceByKeyAndWindow(add, { ...windows, inverse: subtract, keep }),
          ]
        },
        { inputPartitions: 2 },
      )
      expect(sorted(inverse)).toEqual(sorted(plain))
      const expected = times.slice(0, script.length).map((time) => {
        if (time % (slide * 1_000) !== 0) return absent
        const sums = new Map<string, number>()
        for (const [key, value] of inWindow(script, times, time, window * 1_000)) {
          sums.set(key, (sums.get(key) ?? 0) + value)
        }
        return [...sums]
      })
      expect(sorted(plain)).toEqual(sorted(expected))
      const positive = expected.map((sums) => (sums === absent ? absent : sums.filter(([, value]) => value > 0)))
      expect(sorted(kept)).toEqual(sorted(positive))
    }),
    RUNS,
  )
})

test('counts over windows are those of a loop', async () => {
  await fc.assert(
    fc.asyncProperty(batches, jumps, size, size, async (script, skips, window, slide) => {
      let times: number[] = []
      const windows = { window: seconds(window), slide: seconds(slide) }
      const [counts, sums, sumsByInverse, groups] = await runBatches(script, (pairs, ssc) => {
        times = skipping(ssc, pairs, skips)
        const values = pairs.map(([, value]) => value)
        return [
          pairs.countByValueAndWindow(windows),
          values.reduceByWindow(add, windows),
          values.reduceByWindow(add, { ...windows, inverse: subtract }),
          pairs.groupByKeyAndWindow(windows),
        ]
      })
      for (const [i, time] of times.slice(0, script.length).entries()) {
        if (time % (slide * 1_000) !== 0) continue
        const entries = inWindow(script, times, time, window * 1_000)
        const total = entries.length === 0 ? [] : [entries.reduce((sum, [, value]) => sum + value, 0)]
        expect(sums[i]).toEqual(total)
        expect(sumsByInverse[i]).toEqual(total)
        expect((counts[i] as (readonly [Entry, number])[]).reduce((sum, [, n]) => sum + n, 0)).toBe(entries.length)
        for (const [key, list] of groups[i] as (readonly [string, number[]])[]) {
          expect(list).toEqual(entries.filter(([k]) => k === key).map(([, value]) => value))
        }
      }
    }),
    RUNS,
  )
})

test('updateStateByKey is a replay of all batches', async () => {
  await fc.assert(
    fc.asyncProperty(batches, size, size, async (script, partitions, inputPartitions) => {
      const update = (values: readonly number[], state: readonly number[] | undefined): number[] | undefined => {
        if (values.includes(0)) return undefined
        if (state === undefined && values.length === 1) return undefined
        return [...(state ?? []), values.length]
      }
      const out = await runBatches(script, (pairs) => pairs.updateStateByKey<number[]>(update, { partitions }), {
        inputPartitions,
      })
      const states = new Map<string, number[]>()
      const expected = script.map((records) => {
        const keys = new Set([...states.keys(), ...(records === absent ? [] : records.map(([key]) => key))])
        for (const key of keys) {
          const values = records === absent ? [] : records.filter(([k]) => k === key).map(([, value]) => value)
          const next = update(values, states.get(key))
          if (next === undefined) states.delete(key)
          else states.set(key, next)
        }
        return [...states]
      })
      expect(sorted(out)).toEqual(sorted(expected))
      if (partitions === 1 && inputPartitions === 1) expect(out).toEqual(expected)
    }),
    RUNS,
  )
})

interface Kept {
  sum: number
  writtenAt: number
}

/** mapWithState in the plainest way. A value of 0 removes the key, a negative one only reads. */
function replay(script: readonly Batch[], times: readonly number[], timeoutMs: number | undefined): string[][] {
  const states = new Map<string, Kept>()
  return script.map((records, i) => {
    const time = times[i] as number
    const out: string[] = []
    const touched = new Set<string>()
    for (const [key, value] of records === absent ? [] : records) {
      touched.add(key)
      const before = states.get(key)
      out.push(`${key} ${String(before?.sum)}`)
      if (value === 0) states.delete(key)
      else if (value > 0) states.set(key, { sum: (before?.sum ?? 0) + value, writtenAt: time })
      else if (before !== undefined && timeoutMs !== undefined) before.writtenAt = time
    }
    for (const [key, { sum, writtenAt }] of [...states]) {
      if (timeoutMs === undefined || touched.has(key) || writtenAt >= time - timeoutMs) continue
      out.push(`${key} out ${String(sum)}`)
      states.delete(key)
    }
    return out
  })
}

test('mapWithState is a replay of all batches, with exact time-outs', async () => {
  const timeout = fc.option(fc.integer({ min: 0, max: 5_000 }), { nil: undefined })
  await fc.assert(
    fc.asyncProperty(batches, jumps, timeout, size, async (script, skips, timeoutMs, partitions) => {
      let times: number[] = []
      const out = await runBatches(script, (pairs, ssc) => {
        times = skipping(ssc, pairs, skips)
        const f = (key: string, value: number | undefined, state: State<number>): string => {
          const text = `${key}${state.isTimingOut() ? ' out' : ''} ${String(state.getOption())}`
          if (state.isTimingOut()) return text
          if (value === 0 && state.exists()) state.remove()
          else if (value !== undefined && value > 0) state.update((state.getOption() ?? 0) + value)
          return text
        }
        const idle = timeoutMs === undefined ? {} : { timeout: milliseconds(timeoutMs) }
        return pairs.mapWithState(f, { partitions, ...idle })
      })
      expect(sorted(out)).toEqual(sorted(replay(script, times, timeoutMs)))
    }),
    RUNS,
  )
})

test('any batch interval gives the same totals', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(entry, { maxLength: 4 }), { minLength: 12, maxLength: 12 }),
      fc.constantFrom(1, 2, 3, 4, 6, 12),
      async (script, factor) => {
        // The same records, `factor` of the short batches in one long one.
        const long = Array.from({ length: 12 / factor }, (_, i) => script.slice(i * factor, (i + 1) * factor).flat())
        const totals = (pairs: DStream<Entry>) => ({
          updated: pairs.updateStateByKey<number>((values, sum = 0) => values.reduce(add, sum)),
          mapped: pairs
            .mapWithState((_key, value, state: State<number>) => {
              state.update((state.getOption() ?? 0) + (value ?? 0))
              return null
            })
            .stateSnapshots(),
          windowed: pairs.reduceByKeyAndWindow(add, {
            window: seconds(12),
            slide: seconds(12),
            inverse: subtract,
          }),
          counted: pairs.countByWindow({ window: seconds(12), slide: seconds(12) }),
        })
        const fine = await runBatches(script, totals)
        const coarse = await runBatches(long, totals, { batchInterval: seconds(factor) })
        for (const name of ['updated', 'mapped', 'windowed', 'counted'] as const) {
          expect(sorted<unknown>(coarse[name]).at(-1)).toEqual(sorted<unknown>(fine[name]).at(-1))
        }
      },
    ),
    { numRuns: 30 },
  )
})

test('results do not depend on partitions', async () => {
  await fc.assert(
    fc.asyncProperty(batches, size, size, async (script, partitions, inputPartitions) => {
      const run = (options: { parallelism: number; inputPartitions: number }) => {
        const present: Script<Entry> = script.map((records) => (records === absent ? [] : records))
        return runBatches(
          present,
          (pairs) => ({
            reduced: pairs.reduceByKey(add),
            joined: pairs.join(pairs.mapValues((n) => n * 2)),
            cogrouped: pairs.cogroup(pairs).mapValues(([left, right]) => left.length + right.length),
            counted: pairs.countByValue(),
            count: pairs.count(),
            sum: pairs.map(([, value]) => value).reduce(add),
            windowed: pairs
              .window(seconds(3))
              .groupByKey()
              .mapValues((list) => list.reduce(add)),
          }),
          options,
        )
      }
      const one = await run({ parallelism: 1, inputPartitions: 1 })
      const many = await run({ parallelism: partitions, inputPartitions })
      for (const name of Object.keys(one) as (keyof typeof one)[]) {
        expect(sorted<unknown>(many[name])).toEqual(sorted<unknown>(one[name]))
      }
    }),
    { numRuns: 30 },
  )
})
