/** E11: what a changed program may do with a checkpoint, line by line of `graph-check.ts`. */
import { describe, expect, test } from 'vitest'
import type { StreamingContextOptions } from '../context/streaming-context.js'
import type { DStream, StateOptions } from '../dstream/dstream.js'
import { until } from '../testing/harness.js'
import { Restarts, type Run } from '../testing/restarts.js'
import { scriptedSource } from '../testing/scripted-source.js'
import { seconds } from '../time/duration.js'

type Pairs = DStream<readonly [string, number]>
type Build = (pairs: Pairs, out: unknown[], run: Run) => void

const script = Array.from({ length: 12 }, (_, i) => [[i % 2 === 0 ? 'a' : 'b', 1] as const])
const sum = (values: readonly number[], before = 0): number => values.reduce((a, b) => a + b, before)
const add = (a: number, b: number): number => a + b
const forever = new Promise<void>(() => undefined)

/** Launches a program; what it gives goes to `out`. */
function launch(
  runs: Restarts,
  build: Build,
  options: Partial<StreamingContextOptions> = {},
  downMs = 0,
): { run: Run; out: unknown[] } {
  const run = runs.launch(options, runs.nowMs + downMs)
  const out: unknown[] = []
  build(run.ssc.inputStream(scriptedSource(script)), out, run)
  return { run, out }
}

/** Runs a program for some batches; gives what it put out. */
async function runFor(
  runs: Restarts,
  batches: number,
  build: Build,
  options: Partial<StreamingContextOptions> = {},
): Promise<{ readonly out: unknown[]; readonly log: readonly string[] }> {
  const { run, out } = launch(runs, build, options)
  await run.ssc.start()
  await run.batches(batches)
  await run.ssc.stop({ graceful: false })
  return { out, log: run.log }
}

async function refused(
  runs: Restarts,
  build: Build,
  message: RegExp,
  options: Partial<StreamingContextOptions> = {},
): Promise<void> {
  const { run } = launch(runs, build, options)
  await expect(run.ssc.start()).rejects.toMatchObject({
    code: 'CHECKPOINT_CHANGED',
    message: expect.stringMatching(message) as string,
  })
}

const collectTo =
  (out: unknown[]) =>
  async (rdd: { collect(): Promise<unknown[]> }): Promise<void> => {
    out.push(...(await rdd.collect()))
  }

const sums =
  (options: StateOptions<number> & { readonly name?: string; readonly partitions?: number } = {}): Build =>
  (pairs, out) => {
    pairs.updateStateByKey<number>(sum, { partitions: 1, ...options }).foreachRDD(collectTo(out))
  }

describe('E11: states', () => {
  test('E11: an added map, an added output and an added state keep the state, and say what is new', async () => {
    const runs = new Restarts()
    await runFor(runs, 2, sums())
    const { out, log } = await runFor(runs, 1, (pairs, out) => {
      const mapped = pairs.map((pair) => pair)
      mapped.updateStateByKey<number>(sum, { partitions: 1, name: 'updateStateByKey-0' }).foreachRDD(collectTo(out), {
        name: 'one',
      })
      pairs
        .mapWithState<number, number>((_key, n, state) => (state.update((state.getOption() ?? 0) + (n ?? 0)), n ?? 0))
        .foreachRDD(() => undefined, { name: 'two' })
    })
    expect(out).toEqual([
      ['a', 2],
      ['b', 1],
    ])
    expect(log).toContainEqual(
      expect.stringMatching(
        /warn: .*updateStateByKey-0 keeps its state, and comes about in another way: inputStream-0 → updateStateByKey-0 before, inputStream-0 → map-0 → updateStateByKey-0 now/,
      ),
    )
    expect(log).toContainEqual(expect.stringMatching(/warn: .*mapWithState-0 is new and starts without state/))
  })

  test('E11: a state whose operator is gone is an error with its remedies; `was` and dropState are two of them', async () => {
    const runs = new Restarts()
    await runFor(runs, 2, sums())
    const renamed = sums({ name: 'totals' })
    await refused(
      runs,
      renamed,
      /updateStateByKey-0 \(inputStream-0 → updateStateByKey-0\).*name 'updateStateByKey-0'.*was: 'updateStateByKey-0'.*dropState: \['updateStateByKey-0'\]/,
    )
    const inherited = await runFor(runs, 1, sums({ name: 'totals', was: 'updateStateByKey-0' }))
    expect(inherited.out).toEqual([
      ['a', 2],
      ['b', 1],
    ])
    // From now on it is known by its name; `was` may stay or go.
    expect((await runFor(runs, 1, renamed)).out).toEqual([
      ['a', 2],
      ['b', 2],
    ])
    const dropped = await runFor(runs, 1, sums({ name: 'others' }), { dropState: ['totals'] })
    expect(dropped.out).toEqual([['a', 1]])
  })

  test('E11: a state that is given up though its operator stays is gone for good, also after another restart', async () => {
    const runs = new Restarts()
    await runFor(runs, 4, sums())
    const { out, log } = await runFor(runs, 1, sums(), { dropState: ['updateStateByKey-0'] })
    expect(out).toEqual([['a', 1]])
    expect(log).toContainEqual(
      expect.stringMatching(/the state of updateStateByKey-0 is given up.*take it out of dropState/),
    )
    expect((await runFor(runs, 1, sums())).out).toEqual([
      ['a', 1],
      ['b', 1],
    ])
  })

  test('E11: another kind of state under the same id is refused', async () => {
    const runs = new Restarts()
    await runFor(runs, 1, sums({ name: 'totals' }))
    const other: Build = (pairs, out) => {
      pairs
        .mapWithState<number, number>((_key, n, state) => (state.update(n ?? 0), n ?? 0), { name: 'totals' })
        .foreachRDD(collectTo(out))
    }
    await refused(runs, other, /totals was updateStateByKey and is mapWithState now/)
    expect((await runFor(runs, 1, other, { dropState: ['totals'] })).out).toEqual([1])
  })

  test('E11: a window of another length is refused, and made anew with dropState', async () => {
    const runs = new Restarts()
    const windowOf =
      (length: number): Build =>
      (pairs, out) => {
        pairs
          .reduceByKeyAndWindow(add, { window: seconds(length), inverse: (a, b) => a - b, partitions: 1 })
          .foreachRDD(collectTo(out))
      }
    await runFor(runs, 4, windowOf(4))
    await refused(
      runs,
      windowOf(2),
      /was reduceByKeyAndWindow of 4 s every 1 s and is reduceByKeyAndWindow of 2 s every 1 s now/,
    )
    const { out } = await runFor(runs, 2, windowOf(2), { dropState: ['reduceByKeyAndWindow-0'] })
    expect(out).toEqual([
      ['b', 1],
      ['a', 1],
      ['b', 1],
      ['a', 1],
    ])
  })

  test('E11: another version needs migrate, which changes each value once, over two restarts', async () => {
    const runs = new Restarts()
    await runFor(runs, 2, sums())
    interface Total {
      readonly total: number
      readonly migrated: number
    }
    const calls: unknown[] = []
    const second =
      (migrate?: StateOptions<Total>['migrate']): Build =>
      (pairs, out) => {
        pairs
          .updateStateByKey<Total>(
            (values, state) => ({ total: sum(values, state?.total), migrated: state?.migrated ?? 0 }),
            { partitions: 1, version: 1, migrate },
          )
          .foreachRDD(collectTo(out))
      }
    await refused(
      runs,
      second(),
      /updateStateByKey-0 holds state of version 0, and the program says 1: give it migrate/,
    )
    const build = second((value, fromVersion) => {
      calls.push([value, fromVersion])
      return { total: value as number, migrated: 1 }
    })
    expect((await runFor(runs, 1, build)).out).toEqual([
      ['a', { total: 2, migrated: 1 }],
      ['b', { total: 1, migrated: 1 }],
    ])
    expect(calls).toEqual([
      [1, 0],
      [1, 0],
    ])
    calls.length = 0
    expect((await runFor(runs, 1, build)).out).toEqual([
      ['a', { total: 2, migrated: 1 }],
      ['b', { total: 2, migrated: 1 }],
    ])
    expect((await runFor(runs, 1, second())).out).toContainEqual(['a', { total: 3, migrated: 1 }])
    expect(calls).toEqual([])
  })

  test('E11: another number of partitions spreads the state anew', async () => {
    const runs = new Restarts()
    await runFor(runs, 4, sums({ partitions: 3 }))
    const { out } = await runFor(runs, 1, sums({ partitions: 2 }))
    expect(new Map(out as [string, number][])).toEqual(
      new Map([
        ['a', 3],
        ['b', 2],
      ]),
    )
    expect((await runFor(runs, 1, sums({ partitions: 1 }))).out).toHaveLength(2)
  })

  test('E11: a window that is new over a state begins without the slices that nobody kept', async () => {
    const runs = new Restarts()
    await runFor(runs, 3, sums())
    const { out } = await runFor(runs, 2, (pairs, out) => {
      pairs.updateStateByKey<number>(sum, { partitions: 1 }).window(seconds(3)).foreachRDD(collectTo(out))
    })
    expect(out).toEqual([
      // Batch 4, then batches 4 and 5.
      ['a', 2],
      ['b', 2],
      ['a', 2],
      ['b', 2],
      ['a', 3],
      ['b', 2],
    ])
  })

  test('E11: an inverse window that is new in the program begins with the slices that can be made again', async () => {
    const runs = new Restarts()
    await runFor(runs, 3, sums())
    const build: Build = (pairs, out) => {
      pairs.updateStateByKey<number>(sum, { partitions: 1 }).foreachRDD(() => undefined, { name: 'old' })
      pairs
        .reduceByKeyAndWindow(add, { window: seconds(2), inverse: (a, b) => a - b, partitions: 1 })
        .foreachRDD(collectTo(out), { name: 'new' })
    }
    const { out } = await runFor(runs, 3, build)
    expect(out.slice(-2)).toEqual([
      ['a', 1],
      ['b', 1],
    ])
  })

  test('E11: initial state of a state that is new in the program is applied, and only once', async () => {
    const runs = new Restarts()
    await runFor(runs, 1, (pairs) => {
      pairs.foreachRDD(() => undefined, { name: 'old' })
    })
    const build: Build = (pairs, out) => {
      pairs.foreachRDD(() => undefined, { name: 'old' })
      pairs
        .updateStateByKey<number>(sum, { partitions: 1, initialState: [['z', 100]] })
        .foreachRDD(collectTo(out), { name: 'new' })
    }
    // A run that ends before its first commit has not applied it.
    const { run: early } = launch(runs, build)
    await early.ssc.start()
    early.kill()
    expect((await runFor(runs, 1, build)).out).toEqual([
      ['z', 100],
      ['b', 1],
    ])
    expect((await runFor(runs, 1, build)).out).toEqual([
      ['z', 100],
      ['b', 1],
      ['a', 1],
    ])
  })
})

test('E11: where a kind occurs more than once each needs a name, print excepted', async () => {
  const names: [Build, RegExp | undefined][] = [
    [(pairs) => (pairs.print(), pairs.map(String).print()), undefined],
    [
      (pairs) => (pairs.foreachRDD(() => undefined), pairs.foreachRDD(() => undefined)),
      /foreachRDD: foreachRDD-0, foreachRDD-1/,
    ],
    [
      (pairs) => (pairs.foreachRDD(() => undefined, { name: 'x' }), pairs.foreachRDD(() => undefined)),
      /foreachRDD: foreachRDD-1$/,
    ],
    [
      (pairs) => {
        const window = { inverse: (a: number, b: number): number => a - b, partitions: 1 }
        const two = pairs.reduceByKeyAndWindow(add, { window: seconds(2), ...window })
        pairs
          .reduceByKeyAndWindow(add, { window: seconds(3), ...window })
          .join(two)
          .print()
      },
      /reduceByKeyAndWindow: reduceByKeyAndWindow-0, reduceByKeyAndWindow-1/,
    ],
    [
      (pairs, _out, { ssc }) => void pairs.union(ssc.inputStream(scriptedSource([[]]))).print(),
      /inputStream: inputStream-0, inputStream-1/,
    ],
  ]
  for (const [build, message] of names) {
    const { run } = launch(new Restarts(), build)
    const started = run.ssc.start()
    if (message === undefined) await started
    else
      await expect(started).rejects.toMatchObject({
        code: 'NAME_REQUIRED',
        message: expect.stringMatching(message) as string,
      })
    await run.ssc.stop({ graceful: false })
  }
})

describe('E11: inputs and outputs', () => {
  test('E11: an input that is gone, and with it how far it was read, is refused until it is given up', async () => {
    const runs = new Restarts()
    await runFor(runs, 1, (pairs) => {
      pairs.print()
    })
    const launchOther = (options?: Partial<StreamingContextOptions>): Run => {
      const run = runs.launch(options)
      run.ssc.inputStream(scriptedSource([['x'], ['y']]), { name: 'other' }).print()
      return run
    }
    await expect(launchOther().ssc.start()).rejects.toMatchObject({
      code: 'CHECKPOINT_CHANGED',
      message: expect.stringMatching(/the input inputStream-0 is gone.*dropState: \['inputStream-0'\]/) as string,
    })
    const given = launchOther({ dropState: ['inputStream-0'] })
    await given.ssc.start()
    await given.batches(1)
    await given.ssc.stop({ graceful: false })
    expect(given.printed.join('')).toMatch(/x/)
  })

  test('E11: an input that is new counts as empty in batches that were planned without it, also as slices', async () => {
    const runs = new Restarts()
    const first = launch(runs, (pairs, out) => {
      pairs.window(seconds(2)).foreachRDD(async (rdd, time) => {
        if (time > 2_000) await forever
        await collectTo(out)(rdd)
      })
    })
    await first.run.ssc.start()
    await first.run.batches(2)
    await first.run.clock.advance(1_000)
    await until(() => first.run.events.includes('started 3000'))
    first.run.kill()
    for (let restart = 0; restart < 2; restart++) {
      const run = runs.launch()
      const out: unknown[] = []
      const pairs = run.ssc.inputStream(scriptedSource(script), { name: 'inputStream-0' })
      const more = run.ssc.inputStream(scriptedSource([[['x', 9] as const], [['y', 9] as const]]), { name: 'more' })
      pairs
        .union(more)
        .window(seconds(2))
        .foreachRDD(async (rdd) => {
          if (restart === 0) await forever
          await collectTo(out)(rdd)
        })
      await run.ssc.start()
      await until(() => run.events.includes('started 3000'))
      if (restart === 0) {
        run.kill()
        continue
      }
      await until(() => run.completed.length === 1)
      await run.batches(1)
      await run.ssc.stop({ graceful: false })
      expect(out).toEqual([
        ['b', 1],
        ['a', 1],
        ['a', 1],
        ['b', 1],
        ['x', 9],
      ])
    }
  })

  test('E11: an output that is gone from a half-written batch is refused, by batch and name, or left with dropState', async () => {
    const runs = new Restarts()
    const { run } = launch(runs, (pairs) => {
      pairs.foreachRDD(() => undefined, { name: 'done' })
      pairs.foreachRDD(() => forever, { name: 'gone' })
    })
    await run.ssc.start()
    await run.clock.advance(1_000)
    await until(() => run.events.includes('output-started 1000 gone'))
    run.kill()
    const without: Build = (pairs) => {
      pairs.foreachRDD(() => undefined, { name: 'done' })
    }
    await refused(runs, without, /batch 1000 has begun to write to the output gone.*dropState: \['gone'\]/)
    const { run: after } = launch(runs, without, { dropState: ['gone'] })
    await after.ssc.start()
    await until(() => after.completed.length === 1)
    await after.ssc.stop({ graceful: false })
    // Once that batch is committed it is no matter any more.
    await runFor(runs, 1, without)
  })
})

describe('E11: the batch interval', () => {
  test('E11: another interval is accepted where all is committed, and no batch or record is lost', async () => {
    for (const [interval, downMs] of [
      [2, 0],
      [3, 0],
      [7, 0],
      [2, 2_300],
      [3, 1_300],
    ] as const) {
      const runs = new Restarts()
      await runFor(runs, 5, sums())
      const { run, out } = launch(runs, sums(), { batchInterval: seconds(interval) }, downMs)
      await run.ssc.start()
      for (let i = 1; i <= 2; i++) {
        await run.clock.advance(interval * 1_000)
        await until(() => run.completed.length >= i)
      }
      await run.ssc.stop({ graceful: false })
      // Of the seven records that two batches more bring the sixth and seventh.
      expect(out.slice(-2), `${String(interval)} s after ${String(downMs)} ms`).toEqual([
        ['a', 4],
        ['b', 3],
      ])
      expect(run.completed.every((time, i) => time > (run.completed[i - 1] ?? 5_000))).toBe(true)
    }
  })

  test('E11: another interval is refused while batches are not committed, and where windows hold slices', async () => {
    const runs = new Restarts()
    const windowed: Build = (pairs) => {
      pairs.window(seconds(6)).print()
    }
    await runFor(runs, 1, windowed)
    await refused(runs, windowed, /batchInterval was 1000 ms and is 2000 ms now, and windows hold slices/, {
      batchInterval: seconds(2),
    })
    const others = new Restarts()
    const { run } = launch(others, (pairs) => {
      pairs.foreachRDD(() => forever)
    })
    await run.ssc.start()
    await run.clock.advance(1_000)
    await until(() => run.events.includes('started 1000'))
    run.kill()
    await refused(
      others,
      (pairs) => void pairs.foreachRDD(() => undefined),
      /1 batches are not committed: run it as it was/,
      { batchInterval: seconds(2) },
    )
  })
})
