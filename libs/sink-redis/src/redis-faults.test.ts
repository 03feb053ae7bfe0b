/** Connections that break at every step, servers that hang, die and come back: each batch is there once all the same. */
import { isSluiceError, systemClock, type Sink } from '@sluice/core'
import { describeWithInstalled, describeWithServices, startProxy, startService, type Proxy } from '@sluice/services'
import { Cluster, Redis } from 'ioredis'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { redisSink } from './redis-sink.js'
import type { RedisPlace } from './redis-sink.config.js'
import { Drive } from './testing/drive.js'

const RECORDS = Array.from({ length: 30 }, (_, i) => i)
const CHUNK = 8
/** Places in a conversation at which it is broken. */
const STEPS = 24
const LONG_MS = 240_000

type Writable = Sink<number>

const listSink = (place: RedisPlace, key: string, callTimeoutMs = 5_000): Writable =>
  redisSink<number>({ ...place, mode: 'list', key, callTimeoutMs })

/** What the engine does: again, as long as the error says that this may help. Gives how often it failed. */
async function untilWritten(write: (attempt: number) => Promise<void>): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    try {
      await write(attempt)
      return attempt
    } catch (error) {
      if (!isSluiceError(error) || !error.retryable || attempt > 300) throw error
      await systemClock.sleep(50)
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

  /** Opens and writes two batches, each tried again until it is written. */
  async function conversation(sink: Writable, drive: Drive): Promise<number> {
    let failures = await untilWritten(() => drive.open(sink))
    for (const batchTime of [1_000, 2_000])
      failures += await untilWritten((attempt) =>
        drive.write(
          sink,
          RECORDS.map((n) => batchTime + n),
          { size: CHUNK, id: { batchTime, attempt } },
        ),
      )
    await sink.close?.()
    return failures
  }

  const written = [...RECORDS.map((n) => 1_000 + n), ...RECORDS.map((n) => 2_000 + n)].map(String)

  for (const direction of ['up', 'down'] as const) {
    for (const fault of ['cut', 'drop'] as const) {
      test(
        `E9: whatever of the bytes ${direction} comes before the connection ${fault === 'cut' ? 'breaks' : 'falls silent'}, each batch is there once`,
        async () => {
          await conversation(listSink(place(), key), new Drive())
          const whole = proxy.passed[direction]
          let failures = 0
          for (let step = 0; step < STEPS; step++) {
            await reader.del(key)
            const bytes = Math.floor((whole * step) / STEPS)
            if (fault === 'cut') proxy.cutAfter(bytes, direction)
            else proxy.dropAfter(bytes, direction)
            const sink = listSink(place(), key, fault === 'cut' ? 5_000 : 250)
            const work = conversation(sink, new Drive())
            if (fault === 'drop') await passAgainWhenSilent(work)
            failures += await work
            proxy.passAgain()
            expect(await reader.lrange(key, 0, -1)).toEqual(written)
          }
          expect(failures).toBeGreaterThan(STEPS / 2)
        },
        LONG_MS,
      )
    }
  }

  /** The line works again after the first time-out. */
  async function passAgainWhenSilent(work: Promise<number>): Promise<void> {
    let isDone = false
    void work.then(
      () => (isDone = true),
      () => (isDone = true),
    )
    const before = proxy.accepted
    while (!isDone && proxy.accepted <= before + 1) await systemClock.sleep(10)
    proxy.passAgain()
  }

  test('a connection that is closed on one side is not used for the next batch', async () => {
    const [sink, drive] = [listSink(place(), key, 500), new Drive()]
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
    const [sink, drive] = [listSink(place(), key), new Drive()]
    proxy.delay(20)
    await drive.open(sink)
    await drive.write(sink, RECORDS, { size: CHUNK })
    expect(await reader.lrange(key, 0, -1)).toEqual(RECORDS.map(String))
    await sink.close?.()
  })

  test('E9: a write that is held up and lands after the next batch changes nothing', async () => {
    const drive = new Drive()
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
          const [sink, drive] = [listSink({ url }, 'list', 400), new Drive()]
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
      'the master of a sentinel group dies: the batch goes to the next one, and what was acknowledged is there',
      async () => {
        const own = await startService('redis-sentinel')
        const { sentinels, master } = own.values
        const nodes = sentinels.split(',')
        try {
          const [sink, drive] = [listSink({ sentinels: nodes, master }, 'list', 3_000), new Drive()]
          await drive.open(sink)
          await drive.write(sink, RECORDS, { size: CHUNK })
          await own.processes[0]?.kill()
          // A replica that is away cannot be waited for.
          const alone = redisSink<number>({
            sentinels: nodes,
            master,
            mode: 'list',
            key: 'list',
            replicas: 0,
            callTimeoutMs: 3_000,
          })
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
      'E19: too few replicas have the write: it fails, and is not written again when they are back',
      async () => {
        const own = await startService('redis-sentinel')
        const { sentinels, master } = own.values
        try {
          const [sink, drive] = [listSink({ sentinels: sentinels.split(','), master }, 'list', 1_000), new Drive()]
          await drive.open(sink)
          await own.processes[1]?.pause()
          await expect(drive.write(sink, RECORDS, { size: CHUNK })).rejects.toMatchObject({
            code: 'CONNECTION_FAILED',
            message: expect.stringMatching(/0 of 1 replicas have the write/) as string,
          })
          await own.processes[1]?.resume()
          await untilWritten((attempt) => drive.write(sink, RECORDS, { size: CHUNK, id: { attempt } }))
          const addresses = sentinels
            .split(',')
            .map((node) => ({ host: '127.0.0.1', port: Number(node.split(':')[1]) }))
          const reader = new Redis({ sentinels: addresses, name: master })
          expect(await reader.lrange('list', 0, -1)).toEqual(RECORDS.map(String))
          reader.disconnect()
          await sink.close?.()
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
          const drive = new Drive()
          await drive.open(sink)
          for (let batch = 1; batch <= 3; batch++) {
            const id = { batchTime: batch * 1_000 }
            await own.processes[batch % 3]?.kill()
            const half = drive.write(sink, RECORDS, { size: CHUNK, id })
            await expect(half).rejects.toMatchObject({ retryable: true })
            await own.processes[batch % 3]?.restart()
            await untilWritten((attempt) => drive.write(sink, RECORDS, { size: CHUNK, id: { ...id, attempt } }))
          }
          const reader = new Cluster(nodes.map((node) => ({ host: '127.0.0.1', port: Number(node.split(':')[1]) })))
          for (const n of RECORDS) expect(await reader.get(`n:${String(n)}`)).toBe('3')
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
