/** E1 to E3, E13 and E25 over a restart: a batch that is run again is the same batch. */
import { expect, test } from 'vitest'
import type { DStream } from '../dstream/dstream.js'
import { collectChunks, type BatchPartitionId, type Sink } from '../sink/sink.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { Gate, until } from '../testing/harness.js'
import { Restarts, type Run } from '../testing/restarts.js'
import { scriptedSource } from '../testing/scripted-source.js'

interface Written extends BatchPartitionId {
  readonly records: readonly unknown[]
}

/** A sink that keeps all it is given, and may be held up. */
function recordingSink(written: Written[], hold?: (id: BatchPartitionId) => Promise<void> | undefined): Sink<unknown> {
  return {
    '~sluice': 'sink/1',
    name: 'recording',
    target: 'memory',
    guarantee: { level: 'at-least-once', condition: 'it keeps what it is given' },
    writePartition: async (id, chunks) => {
      written.push({ ...id, records: await collectChunks(chunks) })
      await hold?.(id)
    },
  }
}

const forever = new Promise<void>(() => undefined)
const script = [[1, 2, 3], [4], [5, 6]]

function numbers(run: Run): DStream<number> {
  return run.ssc.inputStream(scriptedSource(script))
}

const identity = ({ app, output, batchTime, partition, partitions, planDigest }: Written): object => {
  return { app, output, batchTime, partition, partitions, planDigest }
}

test('E1: a batch that is run again after a crash has the same identity and digest, and a newer epoch', async () => {
  const runs = new Restarts()
  const written: Written[] = []
  const first = runs.launch()
  numbers(first)
    .repartition(2)
    .to(recordingSink(written, ({ partition }) => (partition === 1 ? forever : undefined)))
  await first.ssc.start()
  await first.clock.advance(1_000)
  await until(() => written.length === 2)
  first.kill()
  const again: Written[] = []
  const second = runs.launch()
  numbers(second).repartition(2).to(recordingSink(again))
  await second.ssc.start()
  await until(() => second.completed.length === 1)
  await second.ssc.stop({ graceful: false })
  const byPartition = (a: Written, b: Written): number => a.partition - b.partition
  expect(again.sort(byPartition).map(identity)).toEqual(written.sort(byPartition).map(identity))
  expect(again.map(({ records }) => records)).toEqual(written.map(({ records }) => records))
  expect(again.every(({ epoch }) => epoch > (written[0] as Written).epoch)).toBe(true)
})

test('E1: a log that is older than what its sink has written is refused at the start', async () => {
  const runs = new Restarts()
  const first = runs.launch()
  numbers(first).to(runs.store.sink('table'))
  await first.ssc.start()
  await first.batches(1)
  await first.ssc.stop({ graceful: false })
  // A backup of the checkpoint folder.
  const backup = memoryFileSystem()
  await copyTree(runs.disk, backup, 'ckpt')
  const second = runs.launch()
  numbers(second).to(runs.store.sink('table'))
  await second.ssc.start()
  await second.batches(1)
  await second.ssc.stop({ graceful: false })
  const restored = new Restarts(backup).launch({}, second.clock.now())
  numbers(restored).to(runs.store.sink('table'))
  await expect(restored.ssc.start()).rejects.toMatchObject({ code: 'LOG_BEHIND_SINK' })
})

test('E2: after a restart the batches that were planned run one after another, each after the commit of the one before', async () => {
  const runs = new Restarts()
  const first = runs.launch()
  numbers(first).foreachRDD(() => forever)
  await first.ssc.start()
  for (let i = 0; i < 3; i++) await first.clock.advance(1_000)
  await until(() => first.events.includes('submitted 3000'))
  first.kill()
  const second = runs.launch()
  numbers(second).foreachRDD(() => undefined)
  await second.ssc.start()
  await until(() => second.completed.length === 3)
  await second.ssc.stop({ graceful: false })
  const lives = second.events.filter((event) => /^(started|completed)/.test(event))
  expect(lives).toEqual(
    [1_000, 2_000, 3_000].flatMap((time) => [`started ${String(time)}`, `completed ${String(time)}`]),
  )
})

test('E3: a batch that is run again is not planned again, and its transform is called again', async () => {
  const runs = new Restarts()
  const calls: number[] = []
  const plans: number[] = []
  const build = (run: Run, hold: Promise<void> | undefined): void => {
    const source = scriptedSource(script)
    const watched = {
      ...source,
      plan: (time: number) => {
        plans.push(time)
        return source.plan(time)
      },
    }
    run.ssc
      .inputStream(watched)
      .transform((rdd, time) => {
        calls.push(time)
        return rdd
      })
      .foreachRDD(() => hold)
  }
  const first = runs.launch()
  build(first, forever)
  await first.ssc.start()
  await first.clock.advance(1_000)
  await until(() => calls.length === 1)
  first.kill()
  const second = runs.launch()
  build(second, undefined)
  await second.ssc.start()
  await until(() => second.completed.length === 1)
  await second.ssc.stop({ graceful: false })
  expect(calls).toEqual([1_000, 1_000])
  expect(plans).toEqual([1_000])
})

test('E3: a batch that would be run again with another number of partitions is refused by name', async () => {
  const runs = new Restarts()
  const started = new Gate()
  const first = runs.launch()
  numbers(first)
    .repartition(3)
    .foreachRDD(
      () => {
        started.open()
        return forever
      },
      { name: 'out' },
    )
  await first.ssc.start()
  await first.clock.advance(1_000)
  await started.opened
  first.kill()
  const second = runs.launch()
  const end = second.end()
  numbers(second)
    .repartition(2)
    .foreachRDD(() => undefined, { name: 'out' })
  await second.ssc.start()
  expect(await end).toMatchObject({
    code: 'CHECKPOINT_CHANGED',
    component: 'out',
    message: expect.stringMatching(/began with 3 partitions and would have 2/) as string,
  })
  // As it was before it goes on.
  const third = runs.launch()
  numbers(third)
    .repartition(3)
    .foreachRDD(() => undefined, { name: 'out' })
  await third.ssc.start()
  await until(() => third.completed.length === 1)
  await third.ssc.stop({ graceful: false })
})

test('E3: an output that is new in the program has its partitions recorded when a batch is run again', async () => {
  const runs = new Restarts()
  const launch = async (partitions: number | undefined, hold: boolean): Promise<Run> => {
    const run = runs.launch()
    const stream = numbers(run)
    stream.foreachRDD(() => (partitions === undefined ? forever : undefined), { name: 'old' })
    const write = (): Promise<void> | undefined => (hold ? forever : undefined)
    if (partitions !== undefined) stream.repartition(partitions).foreachRDD(write, { name: 'new' })
    await run.ssc.start()
    return run
  }
  const first = await launch(undefined, false)
  await first.clock.advance(1_000)
  await until(() => first.events.includes('output-started 1000 old'))
  first.kill()
  const second = await launch(2, true)
  await until(() => second.events.includes('output-started 1000 new'))
  second.kill()
  const third = await launch(3, false)
  expect(await third.end()).toMatchObject({ code: 'CHECKPOINT_CHANGED', component: 'new' })
})

test('E13: after a restart outputs whose done mark survived are not run again, and all others are', async () => {
  const runs = new Restarts()
  const ran: string[] = []
  const build = (run: Run, mayEnd: boolean): void => {
    const stream = numbers(run)
    const out = (name: string, hold: boolean): void => {
      stream.foreachRDD(
        async (rdd) => {
          ran.push(`${name} ${String(await rdd.count())}`)
          // The log's next durable entry takes the mark of the output before with it.
          if (hold) await forever
        },
        { name },
      )
    }
    out('one', false)
    stream.foreachRDD(
      async (rdd) => {
        await rdd.writeTo(recordingSink([]), { name: 'inner' })
        ran.push('two')
        if (!mayEnd) await forever
      },
      { name: 'two' },
    )
    out('three', false)
  }
  const first = runs.launch()
  build(first, false)
  await first.ssc.start()
  await first.clock.advance(1_000)
  await until(() => ran.length === 2)
  first.kill()
  const second = runs.launch()
  build(second, true)
  await second.ssc.start()
  await until(() => second.completed.length === 1)
  await second.ssc.stop({ graceful: false })
  expect(ran).toEqual(['one 3', 'two', 'two', 'three 3'])
})

test('E25: writeTo in foreachRDD has the same identity after a crash, and refuses other partitions', async () => {
  const runs = new Restarts()
  const written: Written[] = []
  const build = (run: Run, partitions: number, hold: boolean): void => {
    numbers(run).foreachRDD(
      async (rdd) => {
        await rdd.repartition(partitions).writeTo(recordingSink(written), { name: 'inner' })
        if (hold) await forever
      },
      { name: 'each' },
    )
  }
  const first = runs.launch()
  build(first, 2, true)
  await first.ssc.start()
  await first.clock.advance(1_000)
  await until(() => written.length === 2)
  first.kill()
  const other = runs.launch()
  const otherEnd = other.end()
  build(other, 3, false)
  await other.ssc.start()
  expect(await otherEnd).toMatchObject({ code: 'CHECKPOINT_CHANGED', component: 'each/inner' })
  const second = runs.launch()
  build(second, 2, false)
  await second.ssc.start()
  await until(() => second.completed.length === 1)
  await second.ssc.stop({ graceful: false })
  expect(written).toHaveLength(4)
  const order = (a: Written, b: Written): number => a.partition - b.partition
  const [before, after] = [written.slice(0, 2).sort(order), written.slice(2).sort(order)]
  expect(after.map(identity)).toEqual(before.map(identity))
  expect(before.map(({ output }) => output)).toEqual(['each/inner', 'each/inner'])
  expect((after[0] as Written).epoch).toBeGreaterThan((before[0] as Written).epoch)
})

async function copyTree(from: Restarts['disk'], to: Restarts['disk'], folder: string): Promise<void> {
  await to.makeDirectory(folder)
  for await (const { kind, name } of from.list(folder)) {
    const path = `${folder}/${name}`
    if (kind === 'directory') await copyTree(from, to, path)
    else await to.create(path, await from.read(path))
  }
}
