/** spark-semantics.md section 3.3: mapWithState, with exact idle times. */
import { describe, expect, test } from 'vitest'
import type { State } from '../state/map-with-state.js'
import type { ManualClock } from '../testing.js'
import { absent, runBatches, type Script } from '../testing.js'
import { milliseconds, seconds } from '../time/duration.js'
import type { MapWithStateOptions } from './dstream.js'

type Entry = readonly [key: string, value: number]

/** Sums the values of a key; tells of time-outs. */
function summed(key: string, value: number | undefined, state: State<number>): string {
  if (state.isTimingOut()) return `${key} out with ${String(state.get())}`
  state.update((state.getOption() ?? 0) + (value ?? 0))
  return `${key} ${String(state.get())}`
}

const sums = (script: Script<Entry>, options?: MapWithStateOptions<string, number>) =>
  runBatches(script, (pairs) => {
    const mapped = pairs.mapWithState(summed, options)
    return { mapped, states: mapped.stateSnapshots() }
  })

test('only keys with records are passed and emitted; snapshots have all', async () => {
  const out = await sums([
    [
      ['a', 1],
      ['b', 2],
    ],
    [['a', 3]],
    [],
    absent,
  ])
  expect(out.mapped).toEqual([['a 1', 'b 2'], ['a 4'], [], []])
  expect(out.states).toEqual([
    [
      ['a', 1],
      ['b', 2],
    ],
    [
      ['a', 4],
      ['b', 2],
    ],
    [
      ['a', 4],
      ['b', 2],
    ],
    [
      ['a', 4],
      ['b', 2],
    ],
  ])
})

test('each record is a call of its own, and sees what those before it in the batch have written', async () => {
  expect(
    (
      await sums([
        [
          ['a', 1],
          ['a', 2],
          ['b', 5],
          ['a', 3],
        ],
      ])
    ).mapped,
  ).toEqual([['a 1', 'a 3', 'b 5', 'a 6']])
})

test('a batch without parent has no records: state stays, and time-outs happen', async () => {
  const out = await sums([[['a', 1]], absent, absent, absent], { timeout: seconds(2) })
  expect(out.mapped).toEqual([['a 1'], [], [], ['a out with 1']])
})

test('undefined results are not emitted; null is', async () => {
  const out = await runBatches(
    [
      [
        ['a', 1],
        ['b', 2],
        ['c', 3],
      ] as readonly Entry[],
    ],
    (pairs) => pairs.mapWithState((_key, value) => (value === 2 ? null : value === 3 ? undefined : value)),
  )
  expect(out).toEqual([[1, null]])
})

test('a key that the function leaves without state is not kept', async () => {
  const out = await runBatches([[['a', 1]], []] as Script<Entry>, (pairs) => {
    const mapped = pairs.mapWithState((key, _value, state: State<number>) => `${key} ${String(state.exists())}`)
    return { mapped, states: mapped.stateSnapshots() }
  })
  expect(out).toEqual({ mapped: [['a false'], []], states: [[], []] })
})

test('remove forgets the key at the end of the batch, and a record after it in the batch sees none', async () => {
  const out = await runBatches(
    [
      [['a', 1]],
      [
        ['a', 0],
        ['a', 5],
      ],
      [['a', 0]],
      [['a', 7]],
    ] as Script<Entry>,
    (pairs) => {
      const mapped = pairs.mapWithState((key, value, state: State<number>) => {
        const before = String(state)
        if (value === 0) state.remove()
        else state.update(value ?? -1)
        return `${key}: ${before} to ${String(state)}`
      })
      return { mapped, states: mapped.stateSnapshots() }
    },
  )
  expect(out.mapped).toEqual([
    ['a: <state not set> to 1'],
    ['a: 1 to <state not set>', 'a: <state not set> to 5'],
    ['a: 5 to <state not set>'],
    ['a: <state not set> to 7'],
  ])
  expect(out.states).toEqual([[['a', 1]], [['a', 5]], [], [['a', 7]]])
})

describe('State', () => {
  const failing = (f: (state: State<number>) => void, options?: MapWithStateOptions<string, number>) =>
    runBatches([[['a', 1]], [['b', 1]], [], []] as Script<Entry>, (pairs) => {
      pairs
        .mapWithState((key, _value, state: State<number>) => {
          if (key === 'a') f(state)
          return key
        }, options)
        .print()
    })

  test('get of no state is STATE_INVALID; getOption is undefined, exists false', async () => {
    await failing((state) => {
      expect([state.exists(), state.getOption(), state.isTimingOut()]).toEqual([false, undefined, false])
    })
    await expect(failing((state) => void state.get())).rejects.toMatchObject({
      code: 'STATE_INVALID',
      message: '[mapWithState-0] the key has no state; ask exists() first, or use getOption()',
    })
  })

  test('update after remove, and a second remove, are STATE_INVALID', async () => {
    const after = (then: (state: State<number>) => void) =>
      failing((state) => {
        state.update(1)
        state.remove()
        expect(state.exists()).toBe(false)
        then(state)
      })
    await expect(after((state) => void state.update(2))).rejects.toMatchObject({
      code: 'STATE_INVALID',
      message: '[mapWithState-0] the state was removed in this call and cannot be updated',
    })
    await expect(after((state) => void state.remove())).rejects.toMatchObject({
      code: 'STATE_INVALID',
      message: '[mapWithState-0] the state was removed in this call already',
    })
  })

  test('update with undefined is STATE_INVALID', async () => {
    await expect(failing((state) => void state.update(undefined as never))).rejects.toMatchObject({
      code: 'STATE_INVALID',
      message: '[mapWithState-0] undefined cannot be a state; use remove()',
    })
  })

  test('update and remove of a key that times out are STATE_INVALID', async () => {
    const whenOut = (then: (state: State<number>) => void) =>
      failing(
        (state) => {
          if (state.isTimingOut()) then(state)
          else state.update(1)
        },
        { timeout: seconds(1) },
      )
    await expect(whenOut((state) => void state.update(2))).rejects.toMatchObject({
      message: '[mapWithState-0] the key times out and cannot be updated',
    })
    await expect(whenOut((state) => void state.remove())).rejects.toMatchObject({
      message: '[mapWithState-0] the key times out and is removed by itself',
    })
  })

  test.each<readonly [string, (state: State<number>) => void]>([
    ['get', (state) => void state.get()],
    ['exists', (state) => void state.exists()],
    ['getOption', (state) => void state.getOption()],
    ['update', (state) => void state.update(1)],
    ['remove', (state) => void state.remove()],
  ])('%s after its call is STATE_INVALID', async (_name, use) => {
    let kept: State<number> | undefined
    const running = runBatches([[['a', 1]], []] as Script<Entry>, (pairs) => {
      pairs
        .mapWithState((_key, _value, state: State<number>) => {
          kept = state
          return null
        })
        .foreachRDD(async (rdd) => {
          await rdd.count()
          use(kept as State<number>)
        })
    })
    await expect(running).rejects.toMatchObject({
      code: 'STATE_INVALID',
      message: expect.stringContaining('the state was used after its call; keep its value, not the State') as string,
    })
  })
})

describe('time-outs', () => {
  test('a key is passed once more in the first batch after its idle time, and removed', async () => {
    const out = await sums([[['a', 1]], [], [], [], [], [['a', 5]]], { timeout: seconds(3) })
    // Written at 1 s: at 4 s it has been idle for exactly 3 s, which is not longer.
    expect(out.mapped).toEqual([['a 1'], [], [], [], ['a out with 1'], ['a 5']])
    expect(out.states).toEqual([[['a', 1]], [['a', 1]], [['a', 1]], [['a', 1]], [], [['a', 5]]])
  })

  test('an idle time between batches is over in the batch after it', async () => {
    const out = await sums([[['a', 1]], [], [], []], { timeout: milliseconds(1_001) })
    expect(out.mapped).toEqual([['a 1'], [], ['a out with 1'], []])
  })

  test('a key with data in that very batch is not timed out', async () => {
    const out = await sums([[['a', 1]], [], [['a', 2]], [], []], { timeout: seconds(1) })
    expect(out.mapped).toEqual([['a 1'], [], ['a 3'], [], ['a out with 3']])
  })

  test('many keys time out in the order of their last writes, and only those', async () => {
    const out = await sums(
      [
        [
          ['a', 1],
          ['b', 1],
          ['c', 1],
        ],
        [['b', 1]],
        [['d', 1]],
        [['c', 1]],
        [],
      ],
      {
        timeout: seconds(1),
      },
    )
    expect(out.mapped).toEqual([
      ['a 1', 'b 1', 'c 1'],
      ['b 2'],
      ['d 1', 'a out with 1', 'c out with 1'],
      ['c 1', 'b out with 2'],
      ['d out with 1'],
    ])
  })

  test('reading refreshes the idle time where a time-out is set, as in Spark', async () => {
    const peek = (timeout: number | undefined) =>
      runBatches([[['a', 1]], [['a', 0]], [['a', 0]], [], []] as Script<Entry>, (pairs) =>
        pairs.mapWithState(
          (key, value, state: State<number>) => {
            if (state.isTimingOut()) return `${key} out`
            if (value === 1) state.update(1)
            return `${key} ${String(state.getOption())}`
          },
          timeout === undefined ? {} : { timeout: seconds(timeout) },
        ),
      )
    expect(await peek(1)).toEqual([['a 1'], ['a 1'], ['a 1'], [], ['a out']])
    expect(await peek(undefined)).toEqual([['a 1'], ['a 1'], ['a 1'], [], []])
  })

  test('what a time-out returns is emitted, except undefined', async () => {
    const out = await runBatches(
      [
        [
          ['a', 1],
          ['b', 2],
        ],
        [],
        [],
      ] as Script<Entry>,
      (pairs) =>
        pairs.mapWithState(
          (key, value, state: State<number>) => {
            if (state.isTimingOut()) return key === 'a' ? [key, state.get()] : undefined
            state.update(value ?? 0)
            return undefined
          },
          { timeout: milliseconds(500) },
        ),
    )
    expect(out).toEqual([[], [['a', 1]], []])
  })

  test('E12: time that a clock set forward skips counts as idle', async () => {
    const out = await runBatches([[['a', 1]], [], []] as Script<Entry>, (pairs, ssc) => {
      const clock = ssc.sluiceContext.engine.clock as ManualClock
      pairs.foreachRDD((_rdd, time) => {
        if (time === 1_000) clock.jumpTo(clock.now() + 3_600_000)
      })
      return pairs.mapWithState(summed, { timeout: seconds(60) })
    })
    expect(out).toEqual([['a 1'], ['a out with 1'], []])
  })

  test('the last call cannot keep the key: it is gone afterwards, whatever it does', async () => {
    const out = await sums([[['a', 1]], [], [['a', 2]]], { timeout: milliseconds(1) })
    expect(out.mapped).toEqual([['a 1'], ['a out with 1'], ['a 2']])
  })
})

describe('initial state', () => {
  test('it is there in the first batch, and in its snapshot', async () => {
    const out = await sums([[['a', 1]], []], {
      initialState: [
        ['a', 10],
        ['z', 5],
      ],
    })
    expect(out.mapped).toEqual([['a 11'], []])
    expect(out.states).toEqual([
      [
        ['a', 11],
        ['z', 5],
      ],
      [
        ['a', 11],
        ['z', 5],
      ],
    ])
  })

  test('it counts as written in the first batch, whenever that is', async () => {
    const out = await runBatches(
      [[], [], [], []] as Script<Entry>,
      (pairs) => pairs.mapWithState(summed, { initialState: new Map([['z', 5]]), timeout: seconds(2) }),
      { startMs: 50_000 },
    )
    expect(out).toEqual([[], [], [], ['z out with 5']])
  })

  test('it is spread over the partitions by key', async () => {
    const initialState = Array.from({ length: 20 }, (_, i) => [`k${String(i)}`, i] as const)
    const out = await runBatches(
      [initialState.map(([key]) => [key, 100] as const)],
      (pairs) => pairs.mapWithState(summed, { initialState, partitions: 3 }),
      { inputPartitions: 2 },
    )
    expect(new Set(out[0] as string[])).toEqual(new Set(initialState.map(([key, i]) => `${key} ${String(i + 100)}`)))
  })
})

test('a promise is refused with ASYNC_FUNCTION; what the function throws names key and value', async () => {
  const run = (f: () => unknown) =>
    runBatches([[['a', 1]]] as Script<Entry>, (pairs) => {
      pairs.mapWithState(f as () => string).print()
    })
  await expect(run(() => Promise.resolve(1))).rejects.toMatchObject({
    code: 'ASYNC_FUNCTION',
    component: 'mapWithState-0',
  })
  const boom = (): never => {
    throw new Error('boom')
  }
  await expect(run(boom)).rejects.toMatchObject({
    code: 'USER_FUNCTION_FAILED',
    message: expect.stringMatching(/partition 0 of batch 1000, record \["a",1\]: boom/) as string,
  })
})
