/** Records that a sink refuses, with `onError: { deadLetter }`. */
import { expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import type { BatchPartitionId, OutputOptions, Rejected, Sink, WriteContext } from '../sink/sink.js'
import { textFileSink } from '../sink/text-file-sink.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { harness } from '../testing/harness.js'
import { milliseconds } from '../time/duration.js'

/** What happened in both sinks, in order. */
let events: string[] = []

type Refuses = (record: number, id: BatchPartitionId) => boolean

/** Takes all records but some. Writes nothing when `fails`. */
function pickySink(refuses: Refuses, fails: (id: BatchPartitionId) => boolean = () => false): Sink<number> {
  return {
    '~sluice': 'sink/1',
    name: 'picky',
    target: 'shelf',
    guarantee: { level: 'exactly-once', condition: 'it is a test' },
    open: ({ output }) => Promise.resolve(void events.push(`open ${output}`)),
    async writePartition(id, chunks, { reject, settleRejects }) {
      const good: number[] = []
      let index = 0
      for await (const chunk of chunks) {
        for (const record of chunk) {
          if (refuses(record, id)) reject(index, Object.assign(new Error(`no ${String(record)}`), { code: 'ODD' }))
          else good.push(record)
          index++
        }
      }
      await settleRejects()
      if (fails(id)) throw new Error('gone')
      events.push(`${id.output} ${String(id.partition)}: ${good.join(' ')}`)
    },
    commitBatch: ({ output }) => Promise.resolve(void events.push(`commit ${output}`)),
  }
}

/** A dead-letter sink with a ledger, as the contract wants it, or without. */
function letterSink(letters: Rejected<number>[], { hasLedger = true } = {}): Sink<Rejected<number>> {
  const stored = new Map<string, number[]>()
  const keyOf = ({ output, batchTime, partition }: BatchPartitionId): string => [output, batchTime, partition].join()
  return {
    '~sluice': 'sink/1',
    name: 'letters',
    target: 'box',
    guarantee: { level: 'exactly-once', condition: 'it is a test' },
    open: ({ output }) => Promise.resolve(void events.push(`open ${output}`)),
    async writePartition(
      id: BatchPartitionId,
      chunks: AsyncIterable<readonly Rejected<number>[]>,
      context: WriteContext,
    ) {
      const have = stored.get(keyOf(id)) ?? []
      const records: Rejected<number>[] = []
      for await (const chunk of chunks) records.push(...chunk)
      expect(context.indexes).toEqual(records.map(({ index }) => index))
      const fresh = records.filter(({ index }) => !have.includes(index))
      if (!hasLedger && have.length > 0) return
      letters.push(...fresh)
      stored.set(keyOf(id), [...have, ...fresh.map(({ index }) => index)])
      events.push(`${id.output} ${String(id.partition)}: ${fresh.map(({ record }) => record).join(' ')}`)
    },
    commitBatch: ({ output }) => Promise.resolve(void events.push(`commit ${output}`)),
    ...(hasLedger && { settledIndexes: (id: BatchPartitionId) => Promise.resolve(stored.get(keyOf(id)) ?? []) }),
  }
}

async function run(sink: Sink<number>, options: OutputOptions<number>, records: number[]): Promise<unknown> {
  events = []
  const h = harness()
  h.ssc.queueStream([records], { partitions: 2 }).to(sink, { name: 'out', ...options })
  await h.ssc.start()
  const ended = h.end()
  const batch = h.batch().then(() => undefined)
  const failure = await Promise.race([batch, ended])
  await h.ssc.stop({ graceful: false }).catch(() => undefined)
  return failure
}

const RETRY = { retries: 3, minDelay: milliseconds(0) }

test('E18: refused records go to the dead-letter sink under an output of its own, before the good ones of their partition', async () => {
  const letters: Rejected<number>[] = []
  const sink = pickySink((record) => record % 3 === 0)
  await run(sink, { onError: { deadLetter: letterSink(letters) } }, [1, 2, 3, 6, 5, 7, 8, 9])
  expect(events).toEqual([
    'open out',
    'open out/dead-letter',
    'out/dead-letter 0: 3 6',
    'out 0: 1 2',
    'out/dead-letter 1: 9',
    'out 1: 5 7 8',
    'commit out/dead-letter',
    'commit out',
  ])
  const common = { code: 'ODD', output: 'out', batchTime: 1_000 }
  expect(letters).toEqual([
    { ...common, record: 3, message: 'no 3', partition: 0, index: 2 },
    { ...common, record: 6, message: 'no 6', partition: 0, index: 3 },
    { ...common, record: 9, message: 'no 9', partition: 1, index: 3 },
  ])
})

test('E18: a re-run leaves out exactly the same records, though now they would be taken, and appends what is refused besides', async () => {
  const letters: Rejected<number>[] = []
  const sink = pickySink(
    (record, { attempt }) => record === (attempt === 0 ? 2 : 4),
    ({ attempt, partition }) => attempt === 0 && partition === 0,
  )
  await run(sink, { retry: RETRY, onError: { deadLetter: letterSink(letters) } }, [1, 2, 3, 4, 10, 11, 12, 13])
  expect(events.slice(2)).toEqual([
    'out/dead-letter 0: 2',
    'out/dead-letter 0: 4',
    'out 0: 1 3',
    'out 1: 10 11 12 13',
    'commit out/dead-letter',
    'commit out',
  ])
  expect(letters.map(({ index }) => index)).toEqual([1, 3])
})

test('E18: a sink that settles twice has the second lot appended; one that cannot append fails the batch instead', async () => {
  const twice: Sink<number> = {
    ...pickySink(() => false),
    async writePartition(_id, chunks, { reject, settleRejects }) {
      for await (const _ of chunks);
      reject(0, new Error('first'))
      await settleRejects()
      await settleRejects()
      reject(1, new Error('second'))
      await settleRejects()
    },
  }
  const letters: Rejected<number>[] = []
  await run(twice, { onError: { deadLetter: letterSink(letters) } }, [1, 2, 3, 4])
  expect(letters.map(({ partition, index }) => [partition, index])).toEqual([
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ])
  const failure = await run(twice, { onError: { deadLetter: letterSink([], { hasLedger: false }) } }, [1, 2, 3, 4])
  expect(isSluiceError(failure, 'RECORD_REJECTED') && failure.message).toContain('settledIndexes')
})

test('records that the dead-letter sink refuses itself fail the batch', async () => {
  const deadLetter: Sink<Rejected<number>> = {
    ...letterSink([]),
    writePartition: (_id, _chunks, { reject }) => Promise.resolve(reject(0, new Error('not even that'))),
  }
  const failure = await run(
    pickySink((record) => record === 1),
    { retry: { retries: 0 }, onError: { deadLetter } },
    [1, 2],
  )
  expect(isSluiceError(failure, 'RECORD_REJECTED') && failure.message).toMatch(/out\/dead-letter.*not even that/)
  expect(events).toEqual(['open out', 'open out/dead-letter'])
})

test("a sink that rejects a record which it was not given is at fault; onError: 'fail' fails the batch", async () => {
  const confused: Sink<number> = {
    ...pickySink(() => false),
    writePartition: (_id, _chunks, { reject }) => Promise.resolve(reject(7, new Error('what?'))),
  }
  const options = { retry: { retries: 0 } }
  const failure = await run(confused, { ...options, onError: { deadLetter: letterSink([]) } }, [1, 2])
  expect(isSluiceError(failure, 'ARGUMENT_INVALID')).toBe(true)
  const failed = await run(
    pickySink((record) => record === 1),
    { ...options, onError: 'fail' },
    [1, 2],
  )
  expect(isSluiceError(failed, 'RECORD_REJECTED') && failed.message).toContain('onError')
})

test('dead letters may go to text files: _SUCCESS says that they are all there', async () => {
  const disk = memoryFileSystem()
  const deadLetter = textFileSink<Rejected<number>>({ prefix: '/out/dead', fileSystem: disk })
  await run(
    pickySink((record) => record === 4),
    { onError: { deadLetter } },
    [1, 2, 3, 4],
  )
  const text = String(await disk.read('/out/dead-1000/part-00001'))
  expect(JSON.parse(text)).toMatchObject({ record: 4, index: 1, partition: 1, message: 'no 4' })
  expect(await disk.stat('/out/dead-1000/_SUCCESS')).toBeDefined()
})

test('a dead-letter sink that is none, or writes whole batches, is refused at the call', () => {
  const { ssc } = harness()
  const stream = ssc.queueStream([[1]])
  const sink = pickySink(() => false)
  const whole = { ...letterSink([]), unit: 'batch' as const }
  expect(() => {
    stream.to(sink, { onError: { deadLetter: whole } })
  }).toThrow(/letters cannot take dead letters/)
  expect(() => {
    stream.to(sink, { onError: { deadLetter: {} as Sink<Rejected<number>> } })
  }).toThrow(/the sink says it is/)
})
