/** State and batches: evaluated once (E5), advanced in each batch, rolled back with it, and never changed in place (E6). */
import { describe, expect, test } from 'vitest'
import { StreamingContext } from '../context/streaming-context.js'
import type { Sink } from '../sink/sink.js'
import type { State } from '../state/map-with-state.js'
import { StateOperator } from '../state/state-operator.js'
import { absent, ManualClock, runBatches, type Script } from '../testing.js'
import { milliseconds, seconds } from '../time/duration.js'
import type { DStream } from './dstream.js'
import { self } from './dstream-impl.js'

type Pairs = DStream<readonly [string, number]>

const add = (a: number, b: number): number => a + b
const ones = (...batches: readonly string[]): Script<readonly [string, number]> =>
  batches.map((keys) => [...keys].map((key) => [key, 1] as const))

/** Every kind of stream with state, over the same pairs. Each calls `touched` when its function is called. */
function stateful(pairs: Pairs, touched: (kind: string) => void): Record<string, Pairs> {
  return {
    update: pairs.updateStateByKey<number>((values, sum = 0) => {
      touched('update')
      return values.reduce(add, sum)
    }),
    map: pairs
      .mapWithState((_key, value, state: State<number>) => {
        touched('map')
        state.update((state.getOption() ?? 0) + (value ?? 0))
        return null
      })
      .stateSnapshots(),
    window: pairs.reduceByKeyAndWindow(
      (a, b) => {
        touched('window')
        return a + b
      },
      { window: seconds(10), inverse: (a, b) => a - b },
    ),
  }
}

describe('E5', () => {
  test('a partition is evaluated once per batch, however many outputs read it', async () => {
    const calls: Record<string, number> = { update: 0, map: 0, window: 0 }
    const sums: unknown[] = []
    await runBatches(ones('a', 'a', 'a'), (pairs) => {
      for (const stream of Object.values(stateful(pairs, (kind) => void calls[kind]!++))) {
        stream.print()
        stream.count().print()
        stream.foreachRDD(async (rdd, time) => {
          sums.push(await rdd.collect())
          await rdd.union(rdd).count()
          if (time === 3_000) await rdd.first()
        })
      }
    })
    expect(sums).toHaveLength(9)
    expect(sums.slice(6)).toEqual([[['a', 3]], [['a', 3]], [['a', 3]]])
    // The first slice of a window is not reduced with anything.
    expect(calls).toEqual({ update: 3, map: 3, window: 2 })
  })

  test('also when an output that reads it fails and is tried again', async () => {
    const calls: Record<string, number> = { update: 0, map: 0, window: 0 }
    const written: unknown[] = []
    const flaky = (): Sink<unknown> => {
      let tries = 0
      return {
        '~sluice': 'sink/1',
        name: 'flaky',
        target: 'nowhere',
        guarantee: { level: 'at-least-once', condition: 'it is a test' },
        async writePartition(_id, chunks) {
          const records: unknown[] = []
          for await (const chunk of chunks) records.push(...chunk)
          if (tries++ % 3 < 2) throw new Error('not yet')
          written.push(records)
        },
      }
    }
    await runBatches(ones('a', 'a'), (pairs) => {
      for (const [name, stream] of Object.entries(stateful(pairs, (kind) => void calls[kind]!++))) {
        stream.to(flaky(), { name, retry: { minDelay: milliseconds(1) } })
        stream.print()
      }
    })
    expect(written).toEqual([[['a', 1]], [['a', 1]], [['a', 1]], [['a', 2]], [['a', 2]], [['a', 2]]])
    expect(calls).toEqual({ update: 2, map: 2, window: 1 })
  })

  test('state advances in batches in which no output reads it', async () => {
    const out = await runBatches(ones('a', 'a', '', 'a'), (pairs) => {
      const streams = stateful(pairs, () => undefined)
      const last: Record<string, unknown> = {}
      for (const [name, stream] of Object.entries(streams)) {
        stream.foreachRDD(async (rdd, time) => {
          if (time === 4_000) last[name] = await rdd.collect()
        })
      }
      pairs.foreachRDD((_rdd, time) => {
        if (time === 1_000) expect(last).toEqual({})
      })
      const window = { window: seconds(1), slide: seconds(4) }
      return {
        update: streams['update']!.window(window.window, window.slide),
        map: streams['map']!.window(window.window, window.slide),
      }
    })
    const expected = [absent, absent, absent, [['a', 3]]]
    expect(out).toEqual({ update: expected, map: expected })
  })

  test('state advances without any output of its own', async () => {
    let calls = 0
    await runBatches(ones('a', 'a'), (pairs) => {
      stateful(pairs, () => void calls++)
      pairs.print()
    })
    expect(calls).toBe(2 + 2 + 1)
  })

  test('a task that failed begins again from what was committed', async () => {
    let failures = 3
    const out = await runBatches(ones('ab', 'ab', 'ab'), (pairs) =>
      pairs.mapWithState((key, value, state: State<number>) => {
        state.update((state.getOption() ?? 0) + (value ?? 0))
        if (key === 'b' && state.get() === 2 && failures-- > 0) throw new Error('flaky')
        return [key, state.get()]
      }),
    )
    expect(out[2]).toEqual([
      ['a', 3],
      ['b', 3],
    ])
  })

  test('a failing batch leaves all states as they were', async () => {
    const ssc = new StreamingContext({
      batchInterval: seconds(1),
      clock: new ManualClock(),
      log: 'silent',
      signals: false,
      stdout: () => undefined,
    })
    const clock = ssc.sluiceContext.engine.clock as ManualClock
    const pairs: Pairs = ssc.queueStream<readonly [string, number]>([
      [['a', 1]],
      [
        ['a', 1],
        ['b', 1],
      ],
    ])
    const streams = stateful(pairs, () => undefined)
    for (const stream of Object.values(streams)) stream.print()
    pairs.foreachRDD((_rdd, time) => {
      if (time === 2_000) throw new Error('output')
    })
    const ended = ssc.awaitTermination()
    ended.catch(() => undefined)
    await ssc.start()
    await clock.advance(2_000)
    await expect(ended).rejects.toThrow('output')
    for (const { state } of self(pairs).node.graph.states as unknown as { state?: StateOperator }[]) {
      if (state === undefined) continue
      const [partition] = state.partitions
      expect([...partition!.pairs()].flat()).toEqual([['a', 1]])
      expect(state.size).toBe(1)
    }
  })
})

test('an evaluation of state can be tried again, and only for the running batch', async () => {
  const operator = new StateOperator('counts', {
    partitions: 1,
    partitionOf: () => 0,
    format: { kind: 'test', version: 0, migrate: undefined },
  })
  const evaluate = (time: number, fails: boolean) =>
    operator.evaluate(time, 0, (partition) => {
      partition.write(partition.cell('a'), time)
      return fails ? Promise.reject(new Error('no')) : Promise.resolve(() => partition.pairs())
    })
  const failed = evaluate(1, true)
  expect(evaluate(1, false)).not.toBe(undefined)
  await expect(failed).rejects.toThrow('no')
  expect(operator.isEvaluated(1)).toBe(false)
  const results = await evaluate(1, false)
  expect(operator.isEvaluated(1)).toBe(true)
  expect([...results()]).toEqual([[['a', 1]]])
  expect([...results()]).toEqual([[['a', 1]]])
  expect(() => evaluate(2, false)).toThrow(/the state as of batch 2 is not kept/)
  operator.commit(1)
  expect(operator.isEvaluated(1)).toBe(true)
  expect(() => evaluate(1, false)).toThrow(expect.objectContaining({ code: 'RDD_DROPPED' }))
  await evaluate(2, false)
  operator.rollback()
  expect([...operator.partitions[0]!.pairs()]).toEqual([[['a', 1]]])
})

// E6

/** Changes a value in every way that it allows; gives the codes of what that throws. */
function vandalise(value: unknown): void {
  const attempts: (() => void)[] = []
  if (value instanceof Map) attempts.push(() => void value.set('evil', 1))
  else if (value instanceof Set) attempts.push(() => void value.add('evil'))
  else if (value instanceof Date) attempts.push(() => void value.setTime(666))
  else if (value instanceof Uint8Array) attempts.push(() => void value.fill(6))
  else if (Array.isArray(value)) {
    attempts.push(
      () => void value.push('evil'),
      () => void (value[0] = 'evil'),
      () => void value.reverse(),
    )
  } else if (typeof value === 'object' && value !== null) {
    attempts.push(
      () => void Object.assign(value, { evil: 1 }),
      () => {
        for (const name of Object.keys(value)) Reflect.deleteProperty(value, name)
      },
    )
  }
  if (typeof value === 'object' && value !== null) {
    const fields: unknown[] = value instanceof Map ? [...value.values()] : Object.values(value)
    for (const field of fields) vandalise(field)
  }
  for (const attempt of attempts) {
    try {
      attempt()
    } catch {
      // Frozen: just as well.
    }
  }
}

const vandal = (stream: DStream<unknown>): void => {
  stream.foreachRDD(async (rdd) => {
    for (const record of await rdd.collect()) vandalise(record)
    await rdd.foreachPartition((records) => {
      vandalise(records)
    })
    await rdd.map((record) => (vandalise(record), 0)).count()
  })
}

class Account {
  balance = 0
  readonly log: string[] = ['opened']
}

const values: Readonly<Record<string, () => object>> = {
  'plain object': () => ({ n: 1, list: [1, 2], inner: { a: null } }),
  array: () => [1, [2], { three: 3 }],
  Map: () => new Map([['k', { n: 1 }]]),
  Set: () => new Set([1, 2]),
  Date: () => new Date(5),
  bytes: () => new Uint8Array([1, 2]),
  'class instance': () => new Account(),
  'object with a Date': () => ({ at: new Date(5), tags: ['x'] }),
  'object without prototype': () => Object.assign(Object.create(null) as object, { n: 1 }),
}

describe.each(Object.entries(values))('E6: nobody can change in place a %s that is', (_kind, make) => {
  const expected = (): unknown => structuredClone(make())
  const plain = (value: unknown): unknown => structuredClone(value)

  /** Runs four batches with `graph`'s stream vandalised before it is looked at; gives what was seen of its values. */
  async function seenAfter(graph: (input: DStream<readonly [string, number]>) => DStream<unknown>): Promise<unknown[]> {
    const seen: unknown[] = []
    await runBatches(ones('a', 'a', '', ''), (pairs) => {
      const stream = graph(pairs)
      vandal(stream)
      stream.foreachRDD(async (rdd) => {
        for (const record of await rdd.collect()) seen.push(plain((record as readonly unknown[])[1]))
      })
    })
    return seen
  }

  test('a committed state of updateStateByKey', async () => {
    const seen = await seenAfter((pairs) => pairs.updateStateByKey<object>((_values, state) => state ?? make()))
    expect(seen).toEqual([1, 2, 3, 4].map(expected))
  })

  test('a committed state of mapWithState, its outputs and its snapshots', async () => {
    const inside: unknown[] = []
    const states: unknown[] = []
    const outputs = await seenAfter((pairs) => {
      const mapped = pairs.mapWithState((key, _value, state: State<object>) => {
        const value = state.getOption() ?? make()
        inside.push(plain(value))
        if (!state.exists()) state.update(value)
        // What the function still holds is not what is kept.
        if (!Object.isFrozen(value)) vandalise(value)
        return [key, make()]
      })
      const snapshots = mapped.stateSnapshots()
      vandal(snapshots)
      snapshots.foreachRDD(async (rdd) => void states.push(...(await rdd.collect()).map(([, value]) => plain(value))))
      return mapped
    })
    expect(outputs).toEqual([1, 2].map(expected))
    expect(inside).toEqual([1, 2].map(expected))
    expect(states).toEqual([1, 2, 3, 4].map(expected))
  })

  test('a slice of a window', async () => {
    const seen = await seenAfter((pairs) => pairs.map(([key]) => [key, make()]).window(seconds(4)))
    expect(seen).toEqual([1, 1, 1, 1, 1, 1, 1].map(expected))
  })

  test('a value of a windowed reduction, and of its slices', async () => {
    const seen = await seenAfter((pairs) => {
      const made = pairs.map(([key]) => [key, make()])
      return made.reduceByKeyAndWindow((a) => a, { window: seconds(4), inverse: (a) => a })
    })
    expect(seen).toEqual([1, 2, 3, 4].map(expected))
  })

  // Instances of classes cannot go to disk: the codec says so.
  const levels = (['memory', 'memory-and-disk', 'disk'] as const).filter((level) => {
    return level !== 'disk' || !(make() instanceof Account)
  })

  test.each(levels)('a cached partition, at level %s', async (level) => {
    const seen = await seenAfter((pairs) => {
      const cached = pairs.map(([key]) => [key, make()]).persist(level)
      vandal(cached.map((record) => record))
      return cached
    })
    expect(seen).toEqual([1, 2].map(expected))
  })
})

test('E6: keys of state are our own: a key that is changed in place changes nothing', async () => {
  const key = { id: [1, 2] }
  const seen: unknown[] = []
  await runBatches([[[key, 1] as const], [[{ id: [1, 2] }, 2] as const], []], (pairs) => {
    const sums = pairs.updateStateByKey<number>((values, sum = 0) => values.reduce(add, sum))
    sums.foreachRDD(async (rdd, time) => {
      for (const record of await rdd.collect()) vandalise(record)
      if (time === 1_000) key.id.push(3)
      seen.push(...(await rdd.collect()))
    })
  })
  expect(seen).toEqual([1, 3, 3].map((sum) => [{ id: [1, 2] }, sum]))
})

test('E6: keys that are dates are copied', async () => {
  const out = await runBatches([[[new Date(5), 1] as const], [[new Date(5), 1] as const]], (pairs) => {
    const sums = pairs.mapWithState((key, _value, state: State<number>) => {
      key.setTime(9)
      state.update((state.getOption() ?? 0) + 1)
      return null
    })
    vandal(sums.stateSnapshots())
    return sums.stateSnapshots()
  })
  expect(out).toEqual([[[new Date(5), 1]], [[new Date(5), 2]]])
})

test.each<readonly [string, (pairs: Pairs) => DStream<unknown>]>([
  [
    'mapWithState',
    (pairs) =>
      pairs.mapWithState((_key, _value, state: State<{ n: number }>) => {
        const value = state.getOption() as { n: number } | undefined
        if (value === undefined) state.update({ n: 1 })
        else value.n++
        return null
      }),
  ],
  [
    'reduceByKeyAndWindow',
    (pairs) =>
      pairs
        .mapValues((n) => ({ n }))
        .reduceByKeyAndWindow((a, b) => ((a.n += b.n), a), {
          window: seconds(3),
          inverse: (a, b) => ({ n: a.n - b.n }),
        }),
  ],
  [
    'map',
    (pairs) =>
      pairs
        .mapValues((n) => ({ n }))
        .window(seconds(2))
        .map(([, value]) => value.n++),
  ],
])('E6: a write to a kept value in %s is FROZEN_VALUE, and says to return a new one', async (operator, graph) => {
  await expect(runBatches(ones('a', 'a'), graph)).rejects.toMatchObject({
    code: 'FROZEN_VALUE',
    component: `${operator}-0`,
    message: expect.stringMatching(
      /changed a kept value in place.*read only property 'n'.*return a new value instead/,
    ) as string,
  })
})

test('E6: large lists in a state are frozen once, not walked again in each batch', () => {
  const operator = new StateOperator('lists', {
    partitions: 1,
    partitionOf: () => 0,
    format: { kind: 'test', version: 0, migrate: undefined },
  })
  const partition = operator.partitions[0]!
  let reads = 0
  const list = Array.from({ length: 100 }, (_, i) => i)
  Object.defineProperty(list, 50, { get: () => (reads++, 50), enumerable: true, configurable: true })
  const cell = partition.cell('a')
  for (let batch = 1; batch <= 10; batch++) {
    partition.write(cell, { batch, list })
    operator.commit(batch)
  }
  expect(reads).toBe(1)
  expect(() => list.push(1)).toThrow(TypeError)
})
