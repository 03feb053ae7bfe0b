import { expect, test } from 'vitest'
import type { BatchInfo } from '../observe/listener.js'
import { unpackLines } from '../rdd/engine-functions.js'
import { harness, until, type Harness } from '../testing/harness.js'
import { seconds } from '../time/duration.js'
import type { Receiver, ReceiverContext } from './receiver.js'
import type { ReceiverStreamOptions } from './receiver-stream.js'

type Unpack = Receiver<string>['unpack']

/** A receiver of lines in the test's hands. */
class LineReceiver implements Receiver<string> {
  readonly '~sluice' = 'receiver/1'
  readonly name = 'lines'
  readonly unpack: Unpack
  context!: ReceiverContext<string>

  constructor(unpack: Unpack = unpackLines) {
    this.unpack = unpack
  }

  onStart(context: ReceiverContext<string>): void {
    this.context = context
  }

  onStop(): void {
    // It holds nothing.
  }

  lines(...lines: readonly string[]): Promise<void> {
    return this.context.storePacked(Buffer.from(lines.map((line) => `${line}\n`).join('')), { records: lines.length })
  }
}

interface Run extends Harness {
  /** Records of each partition of each batch. */
  readonly partitions: unknown[][][]
  readonly infos: BatchInfo[]
}

async function started(
  receivers: readonly LineReceiver[],
  options: ReceiverStreamOptions = {},
  context: Parameters<typeof harness>[0] = {},
): Promise<Run> {
  const run = harness(context)
  const partitions: unknown[][][] = []
  const infos: BatchInfo[] = []
  run.ssc.addListener({ onBatchCompleted: (info) => void infos.push(info) })
  run.ssc.receiverStream<string>(receivers, options).foreachRDD(async (rdd) => {
    partitions.push(await rdd.glom().collect())
  })
  await run.ssc.start()
  await run.clock.settle()
  return { ...run, partitions, infos }
}

test('what is stored as bytes is unpacked when its batch reads it; the batch has the number of records told', async () => {
  const receiver = new LineReceiver()
  const { ssc, batch, clock, partitions, infos } = await started([receiver])
  await receiver.lines('a', 'b')
  await receiver.lines('c')
  await clock.advance(200)
  await receiver.lines('d')
  await batch()
  expect(partitions).toEqual([[['a', 'b', 'c'], ['d']]])
  expect(infos[0]).toMatchObject({ records: 4, inputs: [{ name: 'lines', records: 4 }] })
  await ssc.stop({ graceful: false })
})

test('records and packed bytes in turn keep their order, in blocks of their own', async () => {
  const receiver = new LineReceiver()
  const { ssc, batch, partitions } = await started([receiver])
  await receiver.context.store('a')
  await receiver.lines('b', 'c')
  await receiver.context.storeAll(['d', 'e'])
  await receiver.lines('f')
  await receiver.context.store('g')
  await batch()
  expect(partitions).toEqual([[['a'], ['b', 'c'], ['d', 'e'], ['f'], ['g']]])
  await ssc.stop({ graceful: false })
})

test('count() of an RDD and of a stream unpacks nothing; behind an operator it does', async () => {
  let unpacked = 0
  const receiver = new LineReceiver((bytes) => {
    unpacked++
    return unpackLines(bytes)
  })
  const { ssc, batch } = harness()
  const counts: number[] = []
  const stream = ssc.receiverStream<string>(receiver)
  stream.foreachRDD(async (rdd) => void counts.push(await rdd.count(), unpacked))
  stream.count().foreachRDD(async (rdd) => void counts.push(...(await rdd.collect()), unpacked))
  stream.foreachRDD(async (rdd) => void counts.push(await rdd.filter((line) => line !== 'b').count(), unpacked))
  await ssc.start()
  await receiver.lines('a', 'b', 'c')
  await batch()
  expect(counts).toEqual([3, 0, 3, 0, 2, 1])
  await ssc.stop({ graceful: false })
})

test('each receiver of a stream unpacks its own blocks', async () => {
  const upper: Unpack = (bytes) => unpackLines(bytes).map((line) => line.toUpperCase())
  const receivers = [new LineReceiver(), new LineReceiver(upper)]
  const { ssc, batch, partitions } = await started(receivers)
  for (const receiver of receivers) await receiver.lines('a', 'b')
  await batch()
  expect(partitions).toEqual([
    [
      ['a', 'b'],
      ['A', 'B'],
    ],
  ])
  await ssc.stop({ graceful: false })
})

test.each(['memory', 'memory-and-disk', 'disk'] as const)(
  'packed blocks of storage level %s, in next to no memory, are read twice by a window',
  async (storageLevel) => {
    const { ssc, batch, batches } = harness({ memoryBudgetBytes: storageLevel === 'memory' ? 2 ** 20 : 0 })
    const receiver = new LineReceiver()
    const windows: string[][] = []
    ssc
      .receiverStream<string>(receiver, { storageLevel })
      .window(seconds(2))
      .foreachRDD(async (rdd) => void windows.push(await rdd.collect()))
    await ssc.start()
    await receiver.lines('a', 'b')
    await batch()
    await receiver.lines('c')
    await batches(2)
    expect(windows).toEqual([['a', 'b'], ['a', 'b', 'c'], ['c']])
    await ssc.stop({ graceful: false })
  },
)

test('E16: packed bytes take exactly their length of room, and give it back when their batch is committed', async () => {
  const receiver = new LineReceiver()
  const { ssc, clock, batch } = await started([receiver], { maxHeldBytes: 9 })
  let isThere = false
  await receiver.lines('12', '34', '56')
  const waiting = receiver.lines('7').then(() => (isThere = true))
  await clock.advance(100)
  expect(isThere).toBe(false)
  await batch()
  await waiting
  await ssc.stop({ graceful: false })
})

test('a rate limit counts the records of packed bytes', async () => {
  const receiver = new LineReceiver()
  const { ssc, clock } = await started([receiver], { maxRate: 2 })
  let isThere = false
  const waiting = receiver.lines('a', 'b', 'c').then(() => (isThere = true))
  await clock.advance(400)
  expect(isThere).toBe(false)
  await clock.advance(1_200)
  await waiting
  await ssc.stop({ graceful: false })
})

test('E14: packed bytes carry a position like other records', async () => {
  const receiver = new LineReceiver()
  const { ssc } = await started([receiver])
  await receiver.context.storePacked(Buffer.from('a\n'), { records: 1, position: { p: 7n } })
  expect(receiver.context.position).toEqual({ p: 7n })
  await ssc.stop({ graceful: false })
})

test('storePacked is refused without unpack, without a number of records, and after the end of the run', async () => {
  const without = new LineReceiver(undefined)
  Object.assign(without, { unpack: undefined })
  const receiver = new LineReceiver()
  const { ssc } = await started([without, receiver])
  await expect(without.lines('a')).rejects.toMatchObject({
    code: 'ARGUMENT_INVALID',
    message: expect.stringMatching(/^\[lines\] storePacked needs a receiver that has unpack/) as string,
  })
  for (const records of [-1, 0.5, NaN]) {
    await expect(receiver.context.storePacked(Buffer.from('a\n'), { records })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
      message: expect.stringMatching(/number of records, a whole number from 0/) as string,
    })
  }
  const { context } = receiver
  await ssc.stop({ graceful: false })
  await expect(context.storePacked(Buffer.from('a\n'), { records: 1 })).rejects.toMatchObject({ code: 'STOPPED' })
})

test('an unpack that throws fails the batch with an error that names the stream', async () => {
  const receiver = new LineReceiver(() => {
    throw new Error('boom')
  })
  const { ssc, clock } = await started([receiver], { name: 'numbers' })
  const ended = expect(ssc.awaitTermination()).rejects.toMatchObject({
    code: 'USER_FUNCTION_FAILED',
    message: expect.stringMatching(/^\[numbers\] .*boom/) as string,
  })
  await receiver.lines('a')
  await clock.advance(1_000)
  await ended
})

test('an unpack that returns a promise fails the batch with ASYNC_FUNCTION', async () => {
  const receiver = new LineReceiver((() => Promise.resolve(['a'])) as unknown as Unpack)
  const { ssc, clock } = await started([receiver])
  const ended = expect(ssc.awaitTermination()).rejects.toMatchObject({ code: 'ASYNC_FUNCTION' })
  await receiver.lines('a')
  await clock.advance(1_000)
  await ended
})

test('what is stored as bytes during a graceful stop is processed', async () => {
  const receiver = new LineReceiver()
  const { ssc, partitions } = await started([receiver])
  await receiver.lines('a')
  await ssc.stop()
  await until(() => partitions.length > 0)
  expect(partitions.flat(2)).toEqual(['a'])
})
