import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SluiceContext, type SluiceContextOptions } from '../context/sluice-context.js'
import { isSluiceError, type SluiceError } from '../errors.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { hashPartitioner, rangePartitioner } from '../rdd/partitioner.js'
import type { Compare } from '../rdd/order.js'
import type { Partitioner } from '../rdd/types.js'
import type * as workerApp from './testing/worker-app.mjs'
import { workerExecutor, type WorkerExecutor, type WorkerExecutorOptions } from './worker-executor.js'

const appUrl = new URL('./testing/worker-app.mjs', import.meta.url)
/** The app as the driver has it, loaded by Node itself: the test runner's transform would change the functions' sources. */
const app = createRequire(import.meta.url)(appUrl.pathname) as typeof workerApp

let folder: string
let executor: WorkerExecutor
let context: SluiceContext

function open(options: Partial<WorkerExecutorOptions> = {}, contextOptions: SluiceContextOptions = {}): void {
  executor = workerExecutor({ app: appUrl, threads: 2, ...options })
  context = new SluiceContext({ executor, log: 'error', localDirectory: folder, ...contextOptions })
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-workers-'))
  open()
})

afterEach(async () => {
  await context.stop()
  // Whatever a test did, nothing is left on disk.
  expect(await readdir(folder)).toEqual([])
  await rm(folder, { recursive: true })
})

async function failureOf(action: Promise<unknown>): Promise<SluiceError> {
  const error: unknown = await action.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isSluiceError(error)) throw new Error('expected a SluiceError', { cause: error })
  return error
}

class Secret {
  readonly hidden = 1
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

describe('tasks as data', () => {
  test('word count: every task runs in a worker, and no user function in the driver', async () => {
    const before = app.calls.count
    const counts = await context
      .parallelize(['to be or', 'not to be'], 2)
      .flatMap(app.words)
      .map(app.pairOne)
      .reduceByKey(app.add, { partitions: 2 })
      .collectAsMap()
    expect(counts).toEqual(new Map([['to', 2], ['be', 2], ['or', 1], ['not', 1]])) // prettier-ignore
    expect(executor.stats()).toEqual({ inWorkers: 4, inDriver: 0, reasons: new Map() })
    expect(app.calls.count).toBe(before)
  })

  test('work is spread over threads that are not the driver’s', async () => {
    const threads = new Set((await context.parallelize(upTo(40), 20).map(app.onThread).collect()).map(([, id]) => id))
    expect(threads.size).toBe(2)
    expect(threads).not.toContain(threadId)
  })

  test('operators made of engine functions run in workers', async () => {
    const before = app.calls.count
    const numbers = context.parallelize(upTo(40), 3)
    const pairs = numbers.keyBy(app.lastDigit)
    expect((await numbers.distinct({ partitions: 2 }).collect()).sort((a, b) => a - b)).toEqual(upTo(40))
    expect(await pairs.groupByKey({ partitions: 2 }).count()).toBe(10)
    expect(await numbers.intersection(numbers.filter(app.isEven)).count()).toBe(20)
    expect(await numbers.subtract(numbers.filter(app.isEven)).count()).toBe(20)
    expect(await pairs.subtractByKey(pairs.filter(app.isEven as never)).count()).toBe(40)
    expect(await pairs.foldByKey(0, app.add, { partitions: 2 }).count()).toBe(10)
    expect(await pairs.join(pairs).count()).toBe(160)
    expect(await numbers.sortBy(app.double, { partitions: 3, descending: true }).collect()).toEqual(upTo(40).reverse())
    expect(await numbers.sortBy(app.double, { partitions: 3, compare: app.descending }).first()).toBe(39)
    expect(await pairs.sortByKey({ partitions: 2 }).keys().take(4)).toEqual([0, 0, 0, 0])
    expect((await numbers.repartition(4).glom().collect()).length).toBe(4)
    expect((await numbers.zipWithIndex().collect())[39]).toEqual([39, 39])
    expect((await pairs.countByKey()).get(3)).toBe(4)
    expect((await numbers.sample(0.5, { seed: 1 }).collect()).length).toBeGreaterThan(5)
    expect(await numbers.cartesian(numbers).count()).toBe(1600)
    expect(await numbers.coalesce(1).mapPartitions(app.reversedPartition).first()).toBe(39)
    expect(await numbers.mapAsync(app.later).take(2)).toEqual([1, 2])
    expect(executor.stats().reasons).toEqual(new Map())
    expect(app.calls.count).toBe(before)
  })

  test('actions run their functions in workers, also to merge partitions', async () => {
    const before = app.calls.count
    const numbers = context.parallelize(upTo(10), 3)
    expect(await numbers.reduce(app.add)).toBe(45)
    expect(await numbers.fold(0, app.add)).toBe(45)
    expect(await numbers.aggregate({ sum: 0 }, app.addTo, app.mergeTotals)).toEqual({ sum: 45 })
    expect(await numbers.top(2, app.descending)).toEqual([0, 1])
    expect(await numbers.max()).toBe(9)
    expect((await numbers.stats()).mean).toBe(4.5)
    expect(await numbers.takeSample(3)).toHaveLength(3)
    await numbers.foreach(app.nothing)
    expect(executor.stats().inDriver).toBe(0)
    expect(app.calls.count).toBe(before)
  })

  test('records keep their values on the way there and back', async () => {
    const records = [null, undefined, -0, NaN, 2n ** 70n, '\ud800', new Date(5), new Map([[1, new Set(['x'])]]), [[]]]
    expect(await context.parallelize(records, 2).collect()).toEqual(records)
    expect(Object.is((await context.parallelize([1, -0]).collect())[1], -0)).toBe(true)
  })

  test('an empty RDD and one without partitions’ worth of records', async () => {
    expect(await context.parallelize<number>([], 3).map(app.double).collect()).toEqual([])
    expect(await context.parallelize([1], 3).map(app.double).collect()).toEqual([2])
  })

  test('records that are no plain data are refused by name, and not tried again', async () => {
    const there = await failureOf(context.parallelize([new Secret()]).count())
    expect(there).toMatchObject({ code: 'UNSERIALIZABLE', message: expect.stringContaining('Secret') as string })
    const back = await failureOf(context.parallelize([1]).map(app.makeInstance).collect())
    expect(back).toMatchObject({ code: 'UNSERIALIZABLE', message: expect.stringContaining('Unsendable') as string })
    expect(await context.parallelize([1]).map(app.makeInstance).count()).toBe(1)
  })
})

describe('what runs in the driver', () => {
  test('E24: a function that is not registered by name', async () => {
    const numbers = context.parallelize(upTo(4), 2)
    expect(await numbers.map((x) => x + 1).collect()).toEqual([1, 2, 3, 4])
    expect(executor.stats()).toMatchObject({ inWorkers: 0, inDriver: 2 })
    expect([...executor.stats().reasons]).toEqual([['rdd:map-0: its function is not registered with task()', 2]])
    expect(await numbers.map(app.double).sum()).toBe(12)
    expect(executor.stats()).toMatchObject({ inWorkers: 2, inDriver: 2 })
  })

  test('a partitioner of the user’s own, unless its partitionOf is registered', async () => {
    const pairs = context.parallelize(upTo(9), 2).keyBy(app.double)
    const custom = (partitionOf: (key: unknown) => number): Partitioner => {
      return { '~sluice': 'partitioner/1', partitions: 3, partitionOf, equals: () => false }
    }
    const expected = [[0, 3, 6], [2, 5, 8], [1, 4, 7]] // prettier-ignore
    const before = app.calls.count
    expect(await pairs.partitionBy(custom(app.modulo3)).values().glom().collect()).toEqual(expected)
    expect([executor.stats().inDriver, app.calls.count]).toEqual([0, before])
    expect(await pairs.partitionBy(custom(app.modulo3)).lookup(8)).toEqual([4])
    expect([executor.stats().inDriver, app.calls.count]).toEqual([0, before])
    const unregistered = custom((key) => (key as number) % 3)
    expect(await pairs.partitionBy(unregistered).values().glom().collect()).toEqual(expected)
    // Only the map side needs the partitioner.
    expect(executor.stats().inDriver).toBe(2)
  })

  test('partitioners of the engine go as data', async () => {
    const pairs = context.parallelize(upTo(6), 2).keyBy(app.double)
    const partitioners = [
      hashPartitioner(2),
      rangePartitioner([4, 8]),
      rangePartitioner([8, 4], app.descending as Compare<unknown>),
    ]
    for (const partitioner of partitioners) {
      const parts = await pairs.partitionBy(partitioner).keys().glom().collect()
      parts.forEach((keys, i) => {
        expect(keys.map((key) => partitioner.partitionOf(key))).toEqual(keys.map(() => i))
      })
    }
    expect(executor.stats().inDriver).toBe(0)
  })

  test('text on another file system than this machine’s disk', async () => {
    await context.stop()
    const memory = memoryFileSystem()
    await memory.create('/lines.txt', Buffer.from('a b\nc'))
    open({}, { localFileSystem: memory })
    expect(await context.textFile('/lines.txt').flatMap(app.words).collect()).toEqual(['a', 'b', 'c'])
    expect(executor.stats().inWorkers).toBe(0)
    expect([...executor.stats().reasons.keys()][0]).toContain('/lines.txt')
  })

  test('blocks of workers are read by tasks in the driver, and the other way round', async () => {
    const pairs = context.parallelize(upTo(6), 2).keyBy(app.lastDigit)
    const inWorkers = pairs.reduceByKey(app.add, { partitions: 2 })
    expect((await inWorkers.map(([key]) => key).collect()).sort()).toEqual(upTo(6))
    const inDriver = context.parallelize(upTo(6), 2).keyBy((x) => x).groupByKey({ partitions: 2 }) // prettier-ignore
    expect((await inDriver.keys().map(app.double).collect()).sort((a, b) => a - b)).toEqual([0, 2, 4, 6, 8, 10])
    expect(executor.stats()).toMatchObject({ inWorkers: 4, inDriver: 4 })
  })
})

test('text on this machine’s disk is read by the workers', async () => {
  const other = await mkdtemp(join(tmpdir(), 'sluice-text-'))
  await writeFile(join(other, 'a.txt'), upTo(5_000).join('\n'))
  const lines = context.textFile(other, 3)
  expect(await lines.count()).toBe(5_000)
  expect((await lines.collect())[4_321]).toBe('4321')
  expect((await context.wholeTextFiles(other).values().collect())[0]).toHaveLength(5_000 * 5 - 1_110 - 1)
  expect(executor.stats().inDriver).toBe(0)
  await rm(other, { recursive: true })
})

describe('kept data', () => {
  test('a cached partition is computed once, and sent to whoever needs it', async () => {
    const cached = context.parallelize(upTo(10), 2).mapPartitions(app.callsHere).persist('memory-and-disk')
    const first = await cached.collect()
    expect(await cached.collect()).toEqual(first)
    expect(await cached.map((x) => x).collect()).toEqual(first)
    cached.unpersist()
    expect(context.engine.blocks.stats().blocks).toBe(0)
  })

  test('a partition that is kept and used twice in one task is computed once', async () => {
    const kept = context.parallelize(upTo(4), 1).map(app.double).cache()
    const counted = kept.zip(kept).mapPartitions(app.callsHere as never)
    const result = (await counted.collect()) as unknown[]
    expect(result.at(-1)).toBe(4)
  })

  test('E10: what a failed attempt wrote or kept is not to be seen', async () => {
    const kept = context.parallelize(upTo(20), 2).map(app.double).cache()
    const pairs = kept.mapPartitions(app.failOnce).keyBy(app.lastDigit).partitionBy(hashPartitioner(2))
    expect(await pairs.count()).toBe(20)
    // Two kept partitions, and of each map task at most one block for each partition.
    expect(context.engine.blocks.stats().blocks).toBeLessThanOrEqual(2 + 4)
    await context.stop()
    open({}, { spillRecords: 100 })
    // Several blocks are in the store by the time the first attempt of each task fails.
    const numbers = context.parallelize(upTo(6_000), 2).mapPartitions(app.failLate)
    expect(await numbers.keyBy(app.double).reduceByKey(app.add, { partitions: 2 }).count()).toBe(6_000)
    const ofAttempt = (attempt: number): number[] =>
      upTo(1_000).filter((rdd) => context.engine.blocks.has(`rdd-${String(rdd)}/1/${String(attempt)}/0/0`))
    expect([ofAttempt(0).length, ofAttempt(1).length]).toEqual([0, 1])
    const error = await failureOf(context.parallelize(upTo(20), 2).cache().map(app.explode).collect())
    expect(error.code).toBe('USER_FUNCTION_FAILED')
  })

  test('a worker spills to a folder of its own, with the same results in the same order', async () => {
    const work = async (): Promise<unknown[]> => {
      const numbers = context.parallelize(upTo(5_000).map((i) => (i * 7_919) % 5_000), 2) // prettier-ignore
      const pairs = numbers.keyBy(app.double)
      return [
        await pairs.reduceByKey(app.add, { partitions: 2 }).collect(),
        await pairs.join(pairs, { partitions: 2 }).collect(),
        await pairs.groupByKey({ partitions: 2 }).collect(),
        await numbers.sortBy(app.double, { partitions: 2 }).collect(),
      ]
    }
    const inMemory = await work()
    await context.stop()
    open({}, { spillRecords: 100 })
    expect(await work()).toEqual(inMemory)
    expect((await readdir(folder)).filter((name) => name.startsWith('sluice-worker-'))).not.toEqual([])
    expect(executor.stats().inDriver).toBe(0)
  })

  test('a shuffle that does not fit in the driver’s memory goes to its disk as bytes', async () => {
    await context.stop()
    open({}, { memoryBudgetBytes: 100_000 })
    const pairs = context.range(0, 100_000, { partitions: 4 }).keyBy(app.lastDigit)
    const counts = await pairs.partitionBy(hashPartitioner(3)).mapValues(app.double).values().sum()
    expect(counts).toBe(99_999 * 100_000)
    expect(context.engine.blocks.stats().spilled).toBeGreaterThan(0)
    expect(executor.stats().inDriver).toBe(0)
  })
})

describe('errors', () => {
  test('a user’s error says the same as in the driver, and keeps the cause', async () => {
    const local = new SluiceContext({ log: 'error' })
    const [there, here] = await Promise.all(
      [context, local].map((where) => failureOf(where.parallelize(upTo(20), 2).map(app.explode).collect())),
    )
    expect(there).toMatchObject({ code: 'USER_FUNCTION_FAILED', component: 'rdd:map-0', message: here?.message })
    const cause = there?.cause as TypeError & { errno: number }
    expect(cause).toBeInstanceOf(TypeError)
    expect(cause).toMatchObject({ name: 'TypeError', message: 'thirteen', errno: -5 })
    expect(cause.stack).toMatch(/explodeOn13.*worker-app\.mjs/)
    expect(cause.cause).toBeInstanceOf(RangeError)
    await local.stop()
  })

  test('a thrown value that is no error', async () => {
    const error = await failureOf(context.parallelize([1]).map(app.throwText).collect())
    expect(error).toMatchObject({ code: 'USER_FUNCTION_FAILED', cause: 'just text' })
  })

  test('an action inside a task is refused', async () => {
    const error = await failureOf(context.parallelize([1]).mapPartitions(app.actInTask).collect())
    expect(error.code).toBe('ARGUMENT_INVALID')
  })
})
