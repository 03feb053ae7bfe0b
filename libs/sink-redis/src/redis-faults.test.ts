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
import { Cluster, Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { redisSink } from './redis-sink.js'
import type { RedisPlace } from './redis-sink.config.js'

const RECORDS = Array.from({ length: 30 }, (_, i) => i)
const CHUNK = 8
/** A time-out that a good line seldom meets; where it does, that is one more try. */
const SHORT_MS = 250
/** Of a cluster that loses a node in each. */
const BATCHES = 2
/** Conversations at the same time, mostly waiting. */
const LANES = 8
const LONG_MS = 240_000

type Writable = Sink<number>

const listSink = (place: RedisPlace, key: string, callTimeoutMs = 5_000): Writable =>
  redisSink<number>({ ...place, mode: 'list', key, callTimeoutMs })

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

await describeWithServices({ describe, test }, ['redis'], 'redisSink on a bad line', ({ redis: { url, address } }) => {
  const reader = new Redis(url)
  let proxy: Proxy
  let keys = 0
  let key = ''
  beforeEach(async () => {
    proxy = await startProxy({ target: address })
    key = `faults-${String(process.pid)}-${String(++keys)}`
  })
  afterEach(async () => {
    await proxy.stop()
    await reader.del(key)
  })
  afterAll(() => {
    reader.disconnect()
  })

  const place = (): RedisPlace => ({ url: `redis://${proxy.address}` })

  /** Opens and writes two batches, each tried again until it is written; at the first failure the line is in order again. */
  async function conversation(line: Proxy, sink: Writable): Promise<number> {
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

  const written = [...RECORDS.map((n) => 1_000 + n), ...RECORDS.map((n) => 2_000 + n)].map(String)

  type PlaceOf = (line: Proxy) => RedisPlace
  const clients: Readonly<Record<string, PlaceOf>> = {
    ioredis: (line) => ({ url: `redis://${line.address}` }),
    'node-redis': (line) => ({ client: createClient({ url: `redis://${line.address}` }) }),
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

  /** At the end of each message of a conversation in that direction, and in its middle, too: how many bytes have passed. */
  async function stepsOf(direction: Direction, placeOf: PlaceOf, isThorough: boolean): Promise<number[]> {
    // The first one also loads the scripts.
    await conversation(proxy, listSink(placeOf(proxy), key))
    const second = await startProxy({ target: address })
    await conversation(second, listSink(placeOf(second), key))
    await second.stop()
    const ends = second.steps[direction]
    const middles = isThorough ? ends.map((end, i) => Math.floor(((ends[i - 1] ?? 0) + end) / 2)) : []
    return [...ends.slice(0, -1), ...middles]
  }

  /** A whole conversation in which that happens after so many bytes; whether anything failed. */
  async function broken(bytes: number, direction: Direction, begin: Fault, placeOf: PlaceOf): Promise<boolean> {
    const list = `${key}-${String(bytes)}`
    const line = await startProxy({ target: address })
    begin(line, bytes, direction)
    const failures = await conversation(line, listSink(placeOf(line), list, SHORT_MS))
    expect(await reader.lrange(list, 0, -1), `after ${String(bytes)} bytes`).toEqual(written)
    // What was held up has landed, too, when all connections are gone.
    await line.stop()
    await reader.del(list)
    return failures > 0
  }

  // The other client differs in how connections end and what is queued, not in what is said.
  const all = Object.keys(faults)
  const tried: Readonly<Record<string, readonly string[]>> = {
    ioredis: all,
    'node-redis': ['is half-closed', 'falls silent'],
  }
  for (const [client, placeOf] of Object.entries(clients))
    for (const direction of ['up', 'down'] as const)
      for (const [fault, begin] of Object.entries(faults).filter(([name]) => tried[client]?.includes(name)))
        test(
          `E9: by ${client}, wherever in the bytes ${direction} the connection ${fault}, each batch is there once`,
          async () => {
            const steps = (await stepsOf(direction, placeOf, client === 'ioredis')).values()
            const failed: boolean[] = []
            const lane = async (): Promise<void> => {
              for (const bytes of steps) failed.push(await broken(bytes, direction, begin, placeOf))
            }
            await Promise.all(Array.from({ length: LANES }, lane))
            // Some messages differ in length from one time to the next, and the last bytes of some make no difference.
            expect(failed.filter(Boolean).length).toBeGreaterThan(failed.length / 2)
          },
          LONG_MS,
        )

  test('a connection that is closed on one side is not used for the next batch', async () => {
    const [sink, drive] = [listSink(place(), key, 500), new SinkDrive()]
    await drive.open(sink)
    let failures = 0
    for (const [i, direction] of (['up', 'down', 'up', 'down'] as const).entries()) {
      proxy.halfClose(direction)
      const batchTime = 1_000 * (i + 1)
      failures += await untilWritten((attempt) => drive.write(sink, [i], { id: { batchTime, attempt } }))
    }
    expect(await reader.lrange(key, 0, -1)).toEqual(['0', '1', '2', '3'])
    expect(failures).toBeLessThanOrEqual(4)
    await sink.close?.()
  })

  test('a slow line is no error', async () => {
    const [sink, drive] = [listSink(place(), key), new SinkDrive()]
    proxy.delay(20)
    await drive.open(sink)
    await drive.write(sink, RECORDS, { size: CHUNK })
    expect(await reader.lrange(key, 0, -1)).toEqual(RECORDS.map(String))
    await sink.close?.()
  })

  test('E9: a write that is held up and lands after the next batch changes nothing', async () => {
    const drive = new SinkDrive()
    const stuck = listSink(place(), key, 300)
    const other = listSink({ url }, key)
    await drive.open(stuck)
    await drive.open(other)
    proxy.pause()
    const late = drive.write(stuck, RECORDS)
    await expect(late).rejects.toMatchObject({ code: 'TIMEOUT', retryable: true })
    await drive.write(other, RECORDS, { id: { attempt: 1 } })
    await drive.write(other, [99], { id: { batchTime: 2_000 } })
    // What was sent before the time-out arrives only now, if it arrives at all.
    proxy.resume()
    await expect.poll(() => proxy.connections, { timeout: 20_000 }).toBe(0)
    expect(await reader.lrange(key, 0, -1)).toEqual([...RECORDS, 99].map(String))
    await stuck.close?.()
    await other.close?.()
  })
})

await describeWithInstalled(
  { describe, test },
  ['redis', 'redis-cluster', 'redis-sentinel'],
  'redisSink and servers that fail',
  () => {
    test(
      'E9: a frozen server ends in a time-out, what lands late is not doubled, and a killed one is waited for',
      async () => {
        const own = await startService('redis')
        const { url } = own.values
        const [server] = own.processes
        try {
          const [sink, drive] = [listSink({ url }, 'list', 400), new SinkDrive()]
          await drive.open(sink)
          const all: number[] = []
          for (let batch = 1; batch <= 6; batch++) {
            const records = RECORDS.map((n) => batch * 100 + n)
            const id = { batchTime: batch * 1_000 }
            if (batch % 2 === 0) {
              await server?.pause()
              await expect(drive.write(sink, records, { size: CHUNK, id })).rejects.toMatchObject({ code: 'TIMEOUT' })
              await server?.resume()
            } else {
              await server?.kill()
              const down = drive.write(sink, records, { size: CHUNK, id })
              await expect(down).rejects.toMatchObject({ code: 'CONNECTION_FAILED', retryable: true })
              await server?.restart()
            }
            await untilWritten((attempt) => drive.write(sink, records, { size: CHUNK, id: { ...id, attempt } }))
            all.push(...records)
          }
          const reader = new Redis(url)
          expect(await reader.lrange('list', 0, -1)).toEqual(all.map(String))
          reader.disconnect()
          await sink.close?.()
        } finally {
          await own.stop()
        }
      },
      LONG_MS,
    )

    test(
      'E19: a replica that hangs fails the write, which is not doubled when it is back; the master dies, and the next one goes on',
      async () => {
        const own = await startService('redis-sentinel')
        const { sentinels, master } = own.values
        const nodes = sentinels.split(',')
        const [first, replica] = own.processes
        try {
          const [sink, drive] = [listSink({ sentinels: nodes, master }, 'list', 1_000), new SinkDrive()]
          await drive.open(sink)
          await replica?.pause()
          await expect(drive.write(sink, RECORDS, { size: CHUNK })).rejects.toMatchObject({
            code: 'CONNECTION_FAILED',
            message: expect.stringMatching(/0 of 1 replicas have the write/) as string,
          })
          await replica?.resume()
          await untilWritten((attempt) => drive.write(sink, RECORDS, { size: CHUNK, id: { attempt } }))
          await first?.kill()
          // A replica that is away cannot be waited for.
          const place = { sentinels: nodes, master, replicas: 0, callTimeoutMs: 3_000 }
          const alone = redisSink<number>({ ...place, mode: 'list', key: 'list' })
          const next = RECORDS.map((n) => 100 + n)
          const failures = await untilWritten(async (attempt) => {
            await drive.open(alone)
            await drive.write(alone, next, { size: CHUNK, id: { batchTime: 2_000, attempt } })
          })
          expect(failures).toBeGreaterThan(0)
          const addresses = nodes.map((node) => ({ host: '127.0.0.1', port: Number(node.split(':')[1]) }))
          const reader = new Redis({ sentinels: addresses, name: master })
          expect(await reader.lrange('list', 0, -1)).toEqual([...RECORDS, ...next].map(String))
          reader.disconnect()
          for (const each of [sink, alone]) await each.close?.()
        } finally {
          await own.stop()
        }
      },
      LONG_MS,
    )

    test(
      'a node of a cluster dies in the middle: the batch is completed when it is back, and every key counts once',
      async () => {
        const own = await startService('redis-cluster')
        const nodes = own.values.nodes.split(',')
        try {
          const sink = redisSink<number>({
            cluster: nodes,
            mode: 'increment',
            key: (n) => `n:${String(n)}`,
            callTimeoutMs: 3_000,
          })
          const drive = new SinkDrive()
          await drive.open(sink)
          for (let batch = 1; batch <= BATCHES; batch++) {
            const id = { batchTime: batch * 1_000 }
            await own.processes[batch % 3]?.kill()
            const half = drive.write(sink, RECORDS, { size: CHUNK, id })
            await expect(half).rejects.toMatchObject({ retryable: true })
            await own.processes[batch % 3]?.restart()
            await untilWritten((attempt) => drive.write(sink, RECORDS, { size: CHUNK, id: { ...id, attempt } }))
          }
          const reader = new Cluster(nodes.map((node) => ({ host: '127.0.0.1', port: Number(node.split(':')[1]) })))
          for (const n of RECORDS) expect(await reader.get(`n:${String(n)}`)).toBe(String(BATCHES))
          reader.disconnect()
          await sink.close?.()
        } finally {
          await own.stop()
        }
      },
      LONG_MS,
    )
  },
)
