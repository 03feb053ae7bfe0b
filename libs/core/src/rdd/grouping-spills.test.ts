import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SluiceContext } from '../context/sluice-context.js'
import { localExecutor } from '../executor/local-executor.js'
import { StageCache } from './compile.js'
import { grouping } from './engine-functions.js'
import { mergeRuns, SequencedRun, type Sequenced } from './external.js'
import type { KeyedMap } from './keys.js'
import { CombineOut } from './out.js'
import type { Spill, TaskEnv } from './pipeline.js'
import type { Rdd } from './rdd.js'

type Pair = [string, number]
const hot = (n: number): Pair[] => Array.from({ length: n }, (_, i): Pair => [`key-${String((i * i) % 3)}`, i])

const keyKinds: [string, (key: string) => unknown][] = [
  ['texts', (key) => key],
  ['pairs', (key) => [key, 1]],
  ['objects', (key) => ({ key })],
]

describe.each(['fused', 'closures'] as const)('%s', (mode) => {
  test.each(keyKinds)(
    'values of few keys count against the limit of lists, only keys against others: %s',
    (_kind, keyOf) => {
      const handedOver = (lists: boolean): number[] => {
        const taken: number[] = []
        const spill = {
          limit: 10,
          onFull: (keyed: KeyedMap<unknown>) => {
            taken.push([...keyed.boxes()].reduce((sum, { v }) => sum + (v as unknown[]).length, 0))
          },
          settle: () => Promise.resolve(),
        }
        const out = new CombineOut('group', { ...grouping, lists }, spill)
        const pairs = hot(35).map(([key, value]) => [keyOf(key), value])
        new StageCache(mode).stage([], [], out).run(pairs, 0, pairs.length, out)
        return taken
      }
      expect(handedOver(true)).toEqual([10, 10, 10])
      expect(handedOver(false)).toEqual([])
    },
  )
})

type Make = (left: Rdd<Pair>, right: Rdd<Pair>) => Rdd<unknown>
const makes: [string, Make][] = [
  ['groupByKey of few keys', (left) => left.groupByKey({ partitions: 1 })],
  ['groupByKey of several partitions', (left) => left.groupByKey({ partitions: 2 })],
  ['groupBy', (left) => left.groupBy(([, n]) => n % 2, { partitions: 1 })],
  ['cogroup of few keys', (left, right) => left.cogroup(right, { partitions: 1 })],
]

test.each(makes)('E10: %s: any threshold gives the same groups in the same order', async (_name, make) => {
  const under = async (stages: 'fused' | 'closures', spillRecords: number, n: number): Promise<unknown> => {
    const context = new SluiceContext({ executor: localExecutor({ stages }), spillRecords, log: 'warn' })
    try {
      const rights = hot(n).map(([key, i]): Pair => [key, -i])
      return await make(context.parallelize(hot(n), 2), context.parallelize(rights, 3)).collect()
    } finally {
      await context.stop()
    }
  }
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('fused', 'closures'),
      fc.integer({ min: 1, max: 600 }),
      fc.integer({ min: 1, max: 5_000 }),
      async (stages, spillRecords, n) => {
        expect(await under(stages, spillRecords, n)).toEqual(await under('closures', 1_000_000, n))
      },
    ),
    { seed: 41, numRuns: 12 },
  )
})

/** A spill in memory that tells which chunks were read. */
function spillOf(read: number[][]): Spill {
  const chunks: unknown[][] = []
  return {
    append: (records) => {
      chunks.push([...records])
      return Promise.resolve()
    },
    async *read() {
      for (const chunk of chunks) {
        read.push((chunk as Sequenced[]).map(([sequence]) => sequence))
        yield await Promise.resolve(chunk)
      }
    },
  }
}

test('a group as large as a chunk is a chunk of its own, and is not read before its turn', async () => {
  const env = { pacer: { ran: () => false } } as unknown as TaskEnv
  const weigh = (size: unknown): number => size as number
  const read: number[][] = []
  const runs = [new SequencedRun(spillOf(read), env, weigh), new SequencedRun(spillOf(read), env, weigh)]
  const [a, b] = runs as [SequencedRun, SequencedRun]
  await a.write([
    [0, 2_000],
    [2, 3_000],
    [5, 1],
  ])
  await b.write([
    [1, 4_000],
    [3, 1],
    [4, 1],
  ])
  const found: (readonly unknown[])[] = []
  const readBefore: number[] = []
  for await (const chunk of mergeRuns(runs, env)) {
    found.push(chunk)
    readBefore.push(read.length)
  }
  expect(found).toEqual([[2_000], [4_000], [3_000], [1, 1, 1]])
  expect(readBefore).toEqual([1, 2, 3, 5])
  expect(read).toEqual([[0], [1], [2], [3, 4], [5]])
})
