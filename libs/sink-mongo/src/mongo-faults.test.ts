/** Connections that break at every step, servers that hang, die and come back: each batch is there once all the same. */
import { SinkDrive } from '@sluice/testkit'
import { isSluiceError, systemClock, type Sink } from '@sluice/core'
import {
  describeWithInstalled,
  describeWithServices,
  startProxy,
  startService,
  type Direction,
  type Proxy,
} from '@sluice/services'
import { MongoClient } from 'mongodb'
import { afterAll, describe, expect, test } from 'vitest'
import type { MongoPlace, MongoWrite } from './mongo-sink.config.js'
import { mongoSink } from './mongo-sink.js'

const DATABASE = 'faults'
const RECORDS = Array.from({ length: 12 }, (_, i) => i)
const CHUNK = 5
/** A time-out that a good line seldom meets; where it does, that is one more try. */
const SHORT_MS = 400
/** Conversations at the same time, mostly waiting. */
const LANES = 8
const LONG_MS = 240_000

/** Counters for what is counted twice, inserts for what is there twice. */
const modes = {
  increment: { mode: 'increment', id: (n) => n % 5, by: (n) => ({ sum: n }) },
  insert: { mode: 'insert', document: (n) => ({ n }) },
} satisfies Record<string, MongoWrite<number>>
type ModeName = keyof typeof modes

const sinkOf = (place: MongoPlace, mode: ModeName, collection: string, callTimeoutMs = 5_000): Sink<number> =>
  mongoSink<number>({ ...place, ...modes[mode], database: DATABASE, collection, callTimeoutMs })

let collections = 0
const newName = (): string => `faults-${String(process.pid)}-${String(++collections)}`

async function contents(reader: MongoClient, mode: ModeName, name: string): Promise<number[]> {
  const found = await reader.db(DATABASE).collection(name).find().toArray()
  const values = mode === 'insert' ? found.map(({ n }) => Number(n)) : found.map(({ sum }) => Number(sum))
  return values.sort((a, b) => a - b)
}

function expectedOf(mode: ModeName, batches: readonly number[]): number[] {
  const all = batches.flatMap((batchTime) => RECORDS.map((n) => batchTime + n))
  if (mode === 'insert') return all.sort((a, b) => a - b)
  const sums = [0, 0, 0, 0, 0]
  for (const n of all) sums[n % 5] = (sums[n % 5] ?? 0) + n
  return sums.sort((a, b) => a - b)
}

/** What the engine does: again, as long as the error says that this may help. Gives how often it failed. */
async function untilWritten(
  write: (attempt: number) => Promise<void>,
  onFailure: () => void = () => undefined,
): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    try {
      await write(attempt)
      return attempt
    } catch (error) {
      if (!isSluiceError(error) || !error.retryable || attempt > 300) throw error
      onFailure()
      await systemClock.sleep(20)
    }
  }
}

type Fault = (line: Proxy, bytes: number, direction: Direction) => void
const faults: Readonly<Record<string, Fault>> = {
  breaks: (line, bytes, direction) => {
    line.cutAfter(bytes, direction)
  },
  'is half-closed': (line, bytes, direction) => {
    line.endAfter(bytes, direction)
  },
  'falls silent': (line, bytes, direction) => {
    line.dropAfter(bytes, direction)
  },
  'is held up beyond the time-out': (line, bytes, direction) => {
    line.holdAfter(bytes, direction, 2 * SHORT_MS)
  },
}

await describeWithServices({ describe, test }, ['mongo'], 'mongoSink on a bad line', ({ mongo: { url, address } }) => {
  const reader = new MongoClient(url)
  afterAll(() => reader.close(true))

  // One connection: what is said on it is the same each time.
  const placeOf = (line: Proxy): MongoPlace => ({
    url: `mongodb://${line.address}/?directConnection=true`,
    options: { serverMonitoringMode: 'poll' },
  })

  /** Opens and writes two batches, each tried again until it is written; at the first failure the line is in order again. */
  async function conversation(line: Proxy, sink: Sink<number>): Promise<number> {
    const drive = new SinkDrive()
    const mend = (): void => {
      line.passAgain()
    }
    let failures = await untilWritten(() => drive.open(sink), mend)
    for (const batchTime of [1_000, 2_000]) {
      const records = RECORDS.map((n) => batchTime + n)
      failures += await untilWritten(
        (attempt) => drive.write(sink, records, { size: CHUNK, id: { batchTime, attempt } }),
        mend,
      )
    }
    await sink.close?.()
    return failures
  }

  /** At the end of each message of a conversation in that direction, and in its middle, too: how many bytes have passed. */
  async function stepsOf(direction: Direction, mode: ModeName): Promise<number[]> {
    const line = await startProxy({ target: address })
    await conversation(line, sinkOf(placeOf(line), mode, newName()))
    await line.stop()
    const ends = line.steps[direction]
    const middles = ends.map((end, i) => Math.floor(((ends[i - 1] ?? 0) + end) / 2))
    return [...ends.slice(0, -1), ...middles]
  }

  /** A whole conversation in which that happens after so many bytes; whether anything failed. */
  async function broken(bytes: number, direction: Direction, begin: Fault, mode: ModeName): Promise<boolean> {
    const name = newName()
    const line = await startProxy({ target: address })
    begin(line, bytes, direction)
    const failures = await conversation(line, sinkOf(placeOf(line), mode, name, SHORT_MS))
    // What was held up has landed, too, when all connections are gone.
    await line.stop()
    expect(await contents(reader, mode, name), `after ${String(bytes)} bytes`).toEqual(expectedOf(mode, [1_000, 2_000]))
    await reader.db(DATABASE).collection(name).drop()
    return failures > 0
  }

  for (const direction of ['up', 'down'] as const)
    for (const [number, [fault, begin]] of Object.entries(faults).entries()) {
      const mode = (['increment', 'insert'] as const)[number % 2] ?? 'insert'
      test(
        `E9, E20: wherever in the bytes ${direction} the connection ${fault}, each batch is there once (${mode})`,
        async () => {
          const steps = (await stepsOf(direction, mode)).values()
          const failed: boolean[] = []
          const lane = async (): Promise<void> => {
            for (const bytes of steps) failed.push(await broken(bytes, direction, begin, mode))
          }
          await Promise.all(Array.from({ length: LANES }, lane))
          // What the driver asks of itself, or asks again, no one else sees fail.
          expect(failed.filter(Boolean).length).toBeGreaterThan(failed.length / 4)
        },
        LONG_MS,
      )
    }

  test('a slow line is no error', async () => {
    const [line, name, drive] = [await startProxy({ target: address }), newName(), new SinkDrive()]
    const sink = sinkOf(placeOf(line), 'increment', name)
    line.delay(20)
    await drive.open(sink)
    await drive.write(sink, RECORDS, { size: CHUNK })
    expect(await contents(reader, 'increment', name)).toEqual(expectedOf('increment', [0]))
    await sink.close?.()
    await line.stop()
  })

  test('E9: a write that is held up and lands after the next batch changes nothing', async () => {
    const [line, name, drive] = [await startProxy({ target: address }), newName(), new SinkDrive()]
    const set = { mode: 'upsert', id: () => 'one', fields: (n: number) => ({ n }) } as const
    const place = { ...set, database: DATABASE, collection: name }
    const stuck = mongoSink<number>({ ...place, ...placeOf(line), callTimeoutMs: 1_000 })
    const other = mongoSink<number>({ ...place, url })
    await drive.open(stuck)
    await drive.open(other)
    line.pause()
    await expect(drive.write(stuck, [1])).rejects.toMatchObject({
      code: expect.stringMatching(/TIMEOUT|CONNECTION_FAILED/) as string,
    })
    await drive.write(other, [1], { id: { attempt: 1 } })
    await drive.write(other, [2], { id: { batchTime: 2_000 } })
    // What was sent before the time-out arrives only now, if it arrives at all.
    line.resume()
    await stuck.close?.()
    await expect.poll(() => line.connections, { timeout: 30_000 }).toBe(0)
    expect(
      await reader
        .db(DATABASE)
        .collection(name)
        .findOne({}, { projection: { n: 1, _id: 0 } }),
    ).toEqual({ n: 2 })
    await other.close?.()
    await line.stop()
  })
})

await describeWithInstalled({ describe, test }, ['mongo'], 'mongoSink and servers that fail', () => {
  test(
    'E9: a frozen server ends in a time-out, what lands late is not doubled, and a killed one is waited for',
    async () => {
      const own = await startService('mongo')
      const [storage, server] = own.processes
      try {
        const [sink, drive] = [sinkOf({ url: own.values.url }, 'increment', 'counts', 1_000), new SinkDrive()]
        await drive.open(sink)
        const times: number[] = []
        const away = [
          [server, 'pause', 'resume'],
          [server, 'kill', 'restart'],
          // Those that are connected go on for a moment without it.
          [storage, 'kill', 'restart'],
        ] as const
        for (const [number, [process, begin, end]] of away.entries()) {
          const batchTime = (number + 1) * 1_000
          const records = RECORDS.map((n) => batchTime + n)
          await process?.[begin]()
          const down = drive.write(sink, records, { size: CHUNK, id: { batchTime } })
          const failure: unknown = await down.catch((error: unknown) => error)
          if (process === server || failure !== undefined)
            expect(failure).toMatchObject({
              code: expect.stringMatching(/^(TIMEOUT|CONNECTION_FAILED|OUTPUT_FAILED)$/) as string,
              retryable: true,
            })
          await process?.[end]()
          await untilWritten((attempt) => drive.write(sink, records, { size: CHUNK, id: { batchTime, attempt } }))
          times.push(batchTime)
        }
        const reader = new MongoClient(own.values.url)
        expect(await contents(reader, 'increment', 'counts')).toEqual(expectedOf('increment', times))
        await reader.close(true)
        await sink.close?.()
      } finally {
        await own.stop()
      }
    },
    LONG_MS,
  )
})
