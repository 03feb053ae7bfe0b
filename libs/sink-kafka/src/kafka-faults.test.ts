/**
 * Connections that break at any byte, brokers that hang, die and lose the lead: each batch is there once all the same. `KAFKA_FAULT_PLACES` says
 * at how many places of a conversation it breaks (default 4); at some of them it falls silent.
 */
import { SinkDrive } from '@sluice/testkit'
import { systemClock } from '@sluice/core'
import { kafkajsClient, type KafkaClient } from '@sluice/kafka-wire'
import {
  describeWithInstalled,
  readWithJava,
  readWithKcat,
  startProxy,
  startService,
  type KafkaValues,
  type Proxy,
  type ServiceInstance,
} from '@sluice/services'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kafkaSink } from './kafka-sink.js'
import { untilDone } from './testing/until-done.js'
import { clientOf, newTopic, readTopic } from './testing/targets.js'

const LONG_MS = 240_000
const PARTITIONS = 3
const BATCHES = 2
const PLACES = Number(process.env['KAFKA_FAULT_PLACES'] ?? 4)
/** Of so many places one is where the line falls silent, which takes longer. */
const SILENT_EVERY = 4
/** So that what nobody answers is given up soon. */
const SHORT_MS = 1_500
/** How long the line is silent, unless a call fails before. */
const SILENCE_MS = 2 * SHORT_MS

const recordsOf = (batch: number, partition: number): string[] =>
  Array.from({ length: 20 }, (_, i) => `${String(batch)}/${String(partition)}/${String(i)}`)
const all = (batches: number): string[] =>
  Array.from({ length: batches }, (_, batch) => [0, 1].flatMap((partition) => recordsOf(batch + 1, partition)))
    .flat()
    .sort()
const textsOf = async (client: KafkaClient, topic: string): Promise<string[]> =>
  (await readTopic(client, topic)).map(({ value }) => String(value)).sort()

/** Opens and writes batches of two partitions, each tried again until it is written; gives how often something failed. */
async function conversation(client: KafkaClient, topic: string, onFailure: () => void): Promise<number> {
  const drive = new SinkDrive()
  const sink = kafkaSink<string>({ client, topic, transactionTimeoutMs: SHORT_MS })
  const again = (work: () => Promise<unknown>): Promise<number> =>
    untilDone(() =>
      work().catch((error: unknown) => {
        onFailure()
        throw error
      }),
    )
  let failures = await again(() => drive.open(sink))
  for (let batch = 1; batch <= BATCHES; batch++) {
    for (const partition of [0, 1]) {
      const id = { batchTime: batch * 1_000, partition, partitions: 2 }
      failures += await again(() => drive.write(sink, recordsOf(batch, partition), { id }))
    }
  }
  await sink.close?.()
  return failures
}

await describeWithInstalled({ describe, test }, ['kafka', 'kcat'], 'kafkaSink on a bad line', () => {
  let proxy: Proxy
  let own: ServiceInstance<'kafka'>
  let direct: KafkaValues
  let reader: KafkaClient

  beforeAll(async () => {
    proxy = await startProxy()
    own = await startService('kafka', { advertised: [proxy.address] })
    direct = own.values
    proxy.setTarget(String((own.values as { targets?: string }).targets))
    reader = clientOf(direct)
  }, LONG_MS)
  afterAll(async () => {
    await reader.close()
    await own.stop()
    await proxy.stop()
  }, LONG_MS)

  for (const transactions of ['safe', 'classic'] as const) {
    test.each(['up', 'down'] as const)(
      `E9, E22: ${transactions} transactions survive a connection that breaks, %s`,
      async (direction) => {
        const newClient = (): KafkaClient =>
          kafkajsClient({ brokers: direct.bootstrap.split(','), transactions, callTimeoutMs: SHORT_MS })
        const quiet = newClient()
        const before = proxy.passed[direction]
        expect(await conversation(quiet, await newTopic(direct, { partitions: PARTITIONS }), () => undefined)).toBe(0)
        const length = proxy.passed[direction] - before
        await quiet.close()
        for (let place = 1; place <= PLACES; place++) {
          const topic = await newTopic(direct, { partitions: PARTITIONS })
          const client = newClient()
          const bytes = Math.floor((length * place) / (PLACES + 1))
          const over = new AbortController()
          const mend = (): void => {
            over.abort()
            proxy.passAgain()
            // What was swallowed is missing in the middle of a stream: no line does that and goes on.
            proxy.cut()
          }
          if (place % SILENT_EVERY === 0) {
            proxy.dropAfter(bytes, direction)
            void systemClock.sleep(SILENCE_MS, over.signal).then(mend, () => undefined)
          } else {
            proxy.cutAfter(bytes, direction)
          }
          await conversation(client, topic, mend)
          over.abort()
          proxy.passAgain()
          expect(await textsOf(reader, topic)).toEqual(all(BATCHES))
          await client.close()
        }
      },
      LONG_MS,
    )
  }

  test(
    'E9: a broker that hangs ends in an error within the time-out, and the batch is there once when it wakes',
    async () => {
      const topic = await newTopic(direct, { partitions: PARTITIONS })
      const client = kafkajsClient({ brokers: direct.bootstrap.split(','), callTimeoutMs: SHORT_MS })
      const drive = new SinkDrive()
      const sink = kafkaSink<string>({ client, topic, transactionTimeoutMs: SHORT_MS })
      await drive.open(sink)
      await drive.write(sink, recordsOf(1, 0), { id: { partitions: 2 } })
      await own.processes[0]?.pause()
      const write = (): Promise<unknown> => drive.write(sink, recordsOf(1, 1), { id: { partition: 1, partitions: 2 } })
      await expect(write()).rejects.toMatchObject({ code: 'TIMEOUT', retryable: true })
      await own.processes[0]?.resume()
      await untilDone(write)
      expect(await textsOf(reader, topic)).toEqual(all(1))
      await sink.close?.()
      await client.close()
    },
    LONG_MS,
  )

  test(
    'E8, E22: an old owner that writes on after a take-over is fenced, also by a producer that it makes anew',
    async () => {
      const topic = await newTopic(direct, { partitions: PARTITIONS })
      const drive = new SinkDrive()
      const brokers = direct.bootstrap.split(',')
      const [old, young] = [kafkaSink<string>({ brokers, topic }), kafkaSink<string>({ brokers, topic })]
      await drive.open(old)
      await drive.write(old, recordsOf(1, 0), { id: { partitions: 2 } })
      await drive.open(young, { epoch: 2 })
      // One that it has, one that it would make, and one that nobody has named.
      for (const partition of [0, 1, 2]) {
        const id = { partition, partitions: 3, batchTime: 2_000 }
        await expect(drive.write(old, recordsOf(9, partition), { id })).rejects.toMatchObject({ code: 'FENCED' })
        await expect(drive.write(old, recordsOf(9, partition), { id })).rejects.toMatchObject({ code: 'FENCED' })
      }
      await drive.write(young, recordsOf(1, 0), { id: { partitions: 2, epoch: 2 } })
      await untilDone(() => drive.write(young, recordsOf(1, 1), { id: { partition: 1, partitions: 2, epoch: 2 } }))
      for (const read of [readWithKcat, readWithJava]) {
        const rows = await read(direct, { topic })
        expect(rows.map(({ value }) => value).sort()).toEqual(all(1))
      }
      await old.close?.()
      await young.close?.()
    },
    LONG_MS,
  )
})

await describeWithInstalled({ describe, test }, ['kafka3', 'kcat'], 'kafkaSink on three brokers', () => {
  test(
    'E22: batches go on, each once, while each broker is killed in turn',
    async () => {
      const own = await startService('kafka3')
      try {
        const topic = await newTopic(own.values, { partitions: PARTITIONS, replicas: 3 })
        const sink = kafkaSink<string>({ brokers: own.values.bootstrap.split(','), topic })
        const drive = new SinkDrive()
        await drive.open(sink)
        let batch = 0
        const writeBatches = async (count: number): Promise<void> => {
          for (let i = 0; i < count; i++) {
            batch++
            for (const partition of [0, 1]) {
              const id = { batchTime: batch * 1_000, partition, partitions: 2 }
              await untilDone(() => drive.write(sink, recordsOf(batch, partition), { id }))
            }
          }
        }
        for (const [index, broker] of own.processes.entries()) {
          const writing = writeBatches(3)
          await systemClock.yield()
          await broker.kill()
          // The last of them stays away, to the end.
          await Promise.all([writing, index + 1 < own.processes.length ? broker.restart() : undefined])
        }
        for (const rows of await Promise.all([readWithKcat, readWithJava].map((read) => read(own.values, { topic })))) {
          expect(rows.map(({ value }) => value).sort()).toEqual(all(batch))
        }
        await sink.close?.()
      } finally {
        await own.stop()
      }
    },
    LONG_MS,
  )
})
