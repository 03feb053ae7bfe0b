import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SluiceContext, type SluiceContextOptions } from '../context/sluice-context.js'
import { isSluiceError, type SluiceError } from '../errors.js'
import { task } from '../rdd/functions.js'
import { milliseconds } from '../time/duration.js'
import { systemClock } from '../time/system-clock.js'
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
})

afterEach(async () => {
  await context.stop()
  expect(await readdir(folder)).toEqual([])
  expect(process.getActiveResourcesInfo().filter((name) => name === 'MessagePort' || name === 'Worker')).toEqual([])
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

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
const withQuery = (query: string): URL => new URL(`${appUrl.href}?${query}`)

describe('starting', () => {
  test('E24: a worker that lacks a function of the driver is refused by its name', async () => {
    open({ app: withQuery('missing') })
    const error = await failureOf(context.parallelize([1]).count())
    expect(error).toMatchObject({ code: 'WORKER_FAILED', retryable: false })
    expect(error.message).toContain("not registered there: 'missingThere'")
  })

  test('E24: a worker whose function has another source is refused by its name', async () => {
    open({ app: withQuery('differs') })
    const error = await failureOf(context.parallelize([1]).count())
    expect(error).toMatchObject({ code: 'WORKER_FAILED' })
    expect(error.message).toContain("with another source there: 'differsThere'")
  })

  test('an app that throws while it loads fails the start with the cause', async () => {
    open({ app: withQuery('throws') })
    const error = await failureOf(context.parallelize([1]).count())
    expect(error).toMatchObject({ code: 'WORKER_FAILED', retryable: false })
    expect(error.cause).toBeInstanceOf(RangeError)
    expect((error.cause as Error).message).toBe('the app throws while it loads')
  })

  test('an app that does not exist, and one that ends its process', async () => {
    open({ app: join(folder, 'nowhere.mjs') })
    expect(await failureOf(context.parallelize([1]).count())).toMatchObject({
      code: 'WORKER_FAILED',
      message: expect.stringContaining('nowhere.mjs') as string,
    })
    await context.stop()
    open({ app: withQuery('exits') })
    expect((await failureOf(context.parallelize([1]).count())).message).toContain('ended with code 7')
  })

  test('an app that waits for ever is given up after startTimeout', async () => {
    open({ app: new URL('./testing/waiting-app.mjs', import.meta.url), startTimeout: milliseconds(300) })
    const error = await failureOf(context.parallelize([1]).count())
    expect(error).toMatchObject({ code: 'WORKER_FAILED', message: expect.stringContaining('300 ms') as string })
  })

  test('an executor belongs to one context', async () => {
    open()
    const second = new SluiceContext({ executor, log: 'error' })
    await context.parallelize([1]).count()
    expect((await failureOf(second.parallelize([1]).count())).code).toBe('ARGUMENT_INVALID')
  })

  test('wrong options', () => {
    open()
    expect(() => workerExecutor({ app: appUrl, threads: 0 })).toThrow('threads')
    expect(() => workerExecutor({ app: appUrl, parallelism: 1.5 })).toThrow('partitions')
    expect(() => task('sluice:mine', () => 1)).toThrow('sluice:')
  })
})

describe('a worker that dies', () => {
  type Dying = 'exitOnce' | 'uncaughtOnce'
  async function succeedsOnAFreshOne(name: Dying): Promise<void> {
    open()
    const numbers = context.parallelize(upTo(8), 4).mapPartitions(app[name])
    expect(await numbers.collect()).toEqual(upTo(8))
    expect(executor.stats().inWorkers).toBe(5)
    // And the fresh one goes on working.
    expect(await context.parallelize(upTo(8), 4).map(app.double).sum()).toBe(56)
  }

  test.each([
    ['by process.exit', 'exitOnce'],
    ['of an uncaught exception', 'uncaughtOnce'],
  ] as const)('%s fails its task, which succeeds on a fresh one', (_, name) => succeedsOnAFreshOne(name))

  test('of lack of memory fails its task, which succeeds on a fresh one, unless V8 ends the process and says so', async () => {
    open()
    const job = fileURLToPath(new URL('./testing/out-of-memory-job.mjs', import.meta.url))
    const outcome = (): Promise<string> =>
      promisify(execFile)(process.execPath, [job], { timeout: 60_000, killSignal: 'SIGKILL' }).then(
        ({ stdout }) => stdout,
        ({ stderr }: { readonly stderr: string }) => stderr,
      )
    let ended = await outcome()
    for (let tries = 1; tries < 10 && /FATAL ERROR|out of memory/i.test(ended); tries++) ended = await outcome()
    expect(JSON.parse(ended)).toEqual({ numbers: upTo(8), inWorkers: 5, sum: 56 })
  }, 300_000)

  test('always: the job fails with WORKER_FAILED after its tries', async () => {
    open({ threads: 1 }, { taskMaxFailures: 3 })
    const error = await failureOf(context.parallelize([1]).map(app.exitAlways).collect())
    expect(error).toMatchObject({ code: 'WORKER_FAILED', retryable: true })
    expect(error.message).toContain('ended with code 3')
    expect(executor.stats().inWorkers).toBe(3)
  })

  test('of an uncaught exception: the error is the cause', async () => {
    open({}, { taskMaxFailures: 1 })
    const error = await failureOf(context.parallelize(upTo(2), 2).mapPartitions(app.uncaughtOnce).collect())
    expect(error).toMatchObject({ code: 'WORKER_FAILED', cause: { message: 'thrown outside of the task' } })
  })

  test('while it is idle: the next task gets a fresh one', async () => {
    open({ threads: 1 })
    const warned = once(process, 'warning') as Promise<[Error]>
    expect(await context.parallelize([1]).map(app.dieLater).collect()).toEqual([1])
    const [warning] = await warned
    expect(warning).toMatchObject({ code: 'WORKER_FAILED', cause: { message: 'thrown while idle' } })
    expect(await context.parallelize([1], 1).map(app.double).collect()).toEqual([2])
  })

  test('while it has spilled: its folder is removed', async () => {
    open({}, { spillRecords: 10 })
    const spilled = context.parallelize(upTo(2_000), 2).keyBy(app.double).reduceByKey(app.add, { partitions: 2 })
    expect(await spilled.values().mapPartitions(app.exitOnce).count()).toBe(2_000)
  })

  test('while it writes a shuffle: nothing of the attempt is left or read', async () => {
    open()
    const dying = context.parallelize(upTo(1_000), 4).mapPartitions(app.exitOnce).keyBy(app.lastDigit)
    const sums = await dying.reduceByKey(app.add, { partitions: 2 }).collectAsMap()
    expect([...sums.values()].reduce((a, b) => a + b)).toBe(499_500)
  })
})

describe('close', () => {
  test('rejects running and waiting tasks with STOPPED, and ends the threads', async () => {
    open({ threads: 1 })
    const hanging = failureOf(context.parallelize(upTo(3), 3).mapAsync(app.never).collect())
    while (executor.stats().inWorkers < 2) await systemClock.sleep(5)
    await context.stop()
    expect((await hanging).code).toBe('STOPPED')
    expect((await failureOf(context.parallelize([1]).count())).code).toBe('STOPPED')
  })

  test('while workers start', async () => {
    open()
    const starting = failureOf(context.parallelize([1]).count())
    await systemClock.yield()
    await context.stop()
    expect((await starting).code).toBe('STOPPED')
  })

  test('twice, and without a start', async () => {
    open()
    await executor.close?.()
    await executor.close?.()
  })
})

describe('accumulators', () => {
  test('what a task adds in a worker counts once, when it has succeeded', async () => {
    open()
    app.declareShared(context, 0)
    await context.parallelize(upTo(100), 4).map(app.see).count()
    expect(app.shared.seen.value).toBe(100)
    await context.parallelize(upTo(100), 4).mapPartitions(app.addThenFail).count()
    expect(app.shared.seen.value).toBe(200)
    expect([...app.shared.names.value].sort()).toEqual(['0.1', '1.1', '2.1', '3.1'])
    await context.parallelize(upTo(100), 4).mapPartitions(app.addThenExit).count()
    expect(app.shared.seen.value).toBe(300)
    expect(executor.stats().inDriver).toBe(0)
  })

  test('tasks in workers and in the driver add to the same', async () => {
    open()
    app.declareShared(context, 0)
    await context.parallelize(upTo(10), 2).map(app.see).count()
    await context.parallelize(upTo(10), 2).map((x) => app.see(x)).count() // prettier-ignore
    expect(executor.stats()).toMatchObject({ inWorkers: 2, inDriver: 2 })
    expect(app.shared.seen.value).toBe(20)
  })

  test('its value cannot be read in a worker', async () => {
    open()
    app.declareShared(context, 0)
    const error = await failureOf(context.parallelize([1]).map(app.readSeen).collect())
    expect(error).toMatchObject({ code: 'ARGUMENT_INVALID', message: expect.stringContaining("'seen'") as string })
  })

  test('one that the driver has not made fails the task by its name', async () => {
    open()
    const error = await failureOf(context.parallelize([1]).map(app.see).collect())
    expect(error).toMatchObject({ code: 'TASK_NOT_REGISTERED', message: expect.stringContaining("'seen'") as string })
  })

  test('names are unique in a context', () => {
    open()
    context.accumulator('n', 0, (a, b: number) => a + b)
    expect(() => context.accumulator('n', 0, (a, b: number) => a + b)).toThrow("'n' is taken")
  })
})

describe('broadcasts', () => {
  test('a handle made in a worker has the value of the driver', async () => {
    open()
    app.declareShared(context, { allowed: new Set([1, 2]) })
    expect(await context.parallelize([1]).map(app.readRules).collect()).toEqual([{ allowed: new Set([1, 2]) }])
    expect(await context.parallelize([1]).map(app.readOther).collect()).toEqual([{ unnamed: true }])
    expect(executor.stats().inDriver).toBe(0)
  })

  test('it is sent to a worker once and decoded once', async () => {
    open()
    app.declareShared(context, { rules: 1 })
    const seen = await context.parallelize(upTo(40), 20).map(app.sameRules).collect()
    const threads = new Set(seen.map(([, , thread]) => thread))
    expect(seen.filter(([, same]) => !same)).toHaveLength(threads.size)
  })

  test('one made after the workers started reaches them too, also a fresh one', async () => {
    open({ threads: 1 })
    await context.parallelize([1]).count()
    app.declareShared(context, 'late')
    expect(await context.parallelize([1]).map(app.readRules).collect()).toEqual(['late'])
    await context.parallelize(upTo(2), 2).mapPartitions(app.exitOnce).collect()
    expect(await context.parallelize([1]).map(app.readRules).collect()).toEqual(['late'])
  })

  test('a broadcast made again after a restart has its value', async () => {
    for (const value of ['before', 'after']) {
      open()
      app.declareShared(context, value)
      expect(await context.parallelize([1, 2], 2).map(app.readRules).collect()).toEqual([value, value])
      await context.stop()
    }
  })

  test('one that cannot leave the driver fails only the tasks that read it', async () => {
    open()
    app.declareShared(context, () => 'a function')
    expect(await context.parallelize([1]).map(app.readOther).collect()).toEqual([{ unnamed: true }])
    const error = await failureOf(context.parallelize([1]).map(app.readRules).collect())
    expect(error).toMatchObject({ code: 'UNSERIALIZABLE', message: expect.stringContaining("'rules'") as string })
  })

  test('one that the driver has not made fails the task by its name', async () => {
    open()
    const error = await failureOf(context.parallelize([1]).map(app.readRules).collect())
    expect(error.message).toContain("no broadcast named 'rules'")
  })

  test('in the driver it is simply the value; names are unique', () => {
    open()
    const value = { a: 1 }
    expect(context.broadcast(value, { name: 'x' })).toEqual({ name: 'x', value })
    expect(context.broadcast(value).value).toBe(value)
    expect(() => context.broadcast(1, { name: 'x' })).toThrow("'x' is taken")
  })
})

test('E24: an application that waits at start() is its own worker module: inert there, sinks too, and its process ends', async () => {
  open()
  const script = fileURLToPath(new URL('./testing/stream-app.mjs', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 20_000 })
  const result = JSON.parse(stdout) as Record<string, unknown>
  expect((result['collected'] as [string, number][]).sort(([, a], [, b]) => a - b)).toEqual(
    [1, 2, 3, 4].map((x) => ['worker', 10 * x]),
  )
  expect(result).toMatchObject({
    opened: [true],
    written: [1, 2, 3, 4],
    seen: 4,
  })
})
