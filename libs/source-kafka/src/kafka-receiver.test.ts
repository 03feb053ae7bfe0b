/** Consumers of a group on a broker, each run in the test's hands. */
import { systemClock } from '@sluice/core'
import { expect, test } from 'vitest'
import { string } from './decode/deserializer.js'
import type { KafkaReceiverStreamOptions } from './kafka-receiver.config.js'
import { until } from './testing/context.js'
import { HandRun, receiversOf } from './testing/group-streams.js'
import { describeOnKafka } from './testing/on-kafka.js'
import { numbered } from './testing/topics.js'

type Options = Partial<KafkaReceiverStreamOptions<Buffer, string, string>>

const LONG_MS = 60_000

await describeOnKafka('consumers of a group', ({ kafka }) => {
  const streamOf = (topic: string, group: string, options: Options = {}) =>
    receiversOf<Buffer, string, string>({
      brokers: kafka.brokers,
      group,
      topics: { [topic]: 1 },
      otherwise: 'earliest',
      reliable: true,
      commitIntervalMs: 50,
      sessionTimeoutMs: 3_000,
      rebalanceTimeoutMs: 10_000,
      value: string,
      handler: ({ value }) => value ?? '',
      ...options,
    } as KafkaReceiverStreamOptions<Buffer, string, string>)

  /** The runs of all consumers of a stream. */
  const runsOf = (topic: string, group: string, options?: Options, positions = new Map<string, bigint>()) => {
    const { receivers, batchDone } = streamOf(topic, group, options)
    const runs = receivers.map((receiver) => new HandRun(receiver, positions))
    return {
      runs,
      batchDone,
      positions,
      start: () => Promise.all(runs.map((run) => run.start())),
      end: () => Promise.all(runs.map((run) => run.end())),
      records: () => runs.flatMap((run) => run.records),
    }
  }

  const committed = async (topic: string, group: string, partition = 0): Promise<bigint | undefined> =>
    (await kafka.client.fetchCommitted(group, [{ topic, partitions: [partition] }]))[0]?.offset

  const members = async (group: string): Promise<number> =>
    (await kafka.admin.describeGroups([group])).groups[0]?.members.length ?? 0

  test(
    'nothing is committed while a store waits, and the member stays in its group',
    { timeout: LONG_MS },
    async () => {
      const [topic, group] = [await kafka.topic(), kafka.name('group')]
      const stream = runsOf(topic, group)
      const [run] = stream.runs as [HandRun<string>]
      let open: () => void = () => undefined
      run.gate = new Promise((resolve) => (open = resolve))
      await stream.start()
      await kafka.add(topic, numbered(10))
      await until(() => run.waiting === 1, 'a store waits')
      // Longer than the session lasts without heartbeats.
      const since = systemClock.monotonic()
      await until(() => systemClock.monotonic() - since > 4_000, 'the session would be over')
      expect(await committed(topic, group)).toBe(0n)
      expect(await members(group)).toBe(1)
      open()
      await until(async () => (await committed(topic, group)) === 10n, 'what is stored is committed')
      expect(run.records).toEqual(numbered(10))
      await stream.end()
      expect(await members(group)).toBe(0)
    },
  )

  test('a store that rejects commits nothing', async () => {
    const [topic, group] = [await kafka.topic(), kafka.name('group')]
    const stream = runsOf(topic, group)
    const [run] = stream.runs as [HandRun<string>]
    run.gate = Promise.reject(new Error('the disk is full'))
    run.gate.catch(() => undefined)
    await stream.start()
    await kafka.add(topic, numbered(10))
    await until(() => run.told.length > 0, 'it tells')
    expect(run.told).toEqual(['restart: cannot go on: the disk is full'])
    await stream.end()
    expect(await committed(topic, group)).toBe(0n)
  })

  test('E14: a start goes on above the logged position where the group is behind', async () => {
    const [topic, group] = [await kafka.topic(), kafka.name('group')]
    await kafka.add(topic, numbered(10))
    await kafka.client.commit(group, [{ topic, partition: 0, offset: 2n }])
    const stream = runsOf(topic, group, {}, new Map([[`${topic}-0`, 6n]]))
    await stream.start()
    await until(() => stream.records().length === 3, 'the others come')
    expect(stream.records()).toEqual(numbered(3, 7))
    await until(async () => (await committed(topic, group)) === 10n, 'all is committed')
    await stream.end()
  })

  test('where the group is ahead, others have had the records between', async () => {
    const [topic, group] = [await kafka.topic(), kafka.name('group')]
    await kafka.add(topic, numbered(10))
    await kafka.client.commit(group, [{ topic, partition: 0, offset: 8n }])
    const stream = runsOf(topic, group, {}, new Map([[`${topic}-0`, 3n]]))
    await stream.start()
    await until(() => stream.records().length === 2, 'the others come')
    expect(stream.records()).toEqual(numbered(2, 8))
    await stream.end()
  })

  test('without a write-ahead log only what a done batch holds is committed', async () => {
    const [topic, group] = [await kafka.topic(), kafka.name('group')]
    const stream = runsOf(topic, group, { reliable: false })
    await kafka.add(topic, numbered(10))
    await stream.start()
    await until(() => stream.records().length === 10, 'all are stored')
    const storedBy = systemClock.now()
    stream.batchDone(storedBy - 60_000)
    const since = systemClock.monotonic()
    await until(() => systemClock.monotonic() - since > 300, 'some commits might have been')
    expect(await committed(topic, group)).toBe(0n)
    stream.batchDone(storedBy + 60_000)
    await until(async () => (await committed(topic, group)) === 10n, 'the batch is done')
    await stream.end()
  })

  test('E14: a partition that moves while its last store waits is not doubled', { timeout: LONG_MS }, async () => {
    const [topic, group] = [await kafka.topic({ partitions: 2 }), kafka.name('group')]
    const positions = new Map<string, bigint>()
    const { receivers } = streamOf(topic, group, { topics: { [topic]: 2 }, rebalanceTimeoutMs: 3_000 })
    const [first, second] = receivers.map((receiver) => new HandRun(receiver, positions)) as [
      HandRun<string>,
      HandRun<string>,
    ]
    let open: () => void = () => undefined
    first.gate = new Promise((resolve) => (open = resolve))
    await first.start()
    await kafka.add(topic, numbered(10), 0)
    await kafka.add(topic, numbered(10, 10), 1)
    await until(() => first.waiting === 1, 'a store waits')
    const starting = second.start()
    await until(async () => (await members(group)) === 2, 'the second has joined')
    open()
    await starting
    await kafka.add(topic, numbered(10, 20), 0)
    await kafka.add(topic, numbered(10, 30), 1)
    await until(() => first.records.length + second.records.length >= 40, 'all have come')
    await first.end()
    await kafka.add(topic, numbered(10, 40), 0)
    await until(() => first.records.length + second.records.length >= 50, 'what the first had goes on')
    await second.end()
    expect([...first.records, ...second.records].toSorted()).toEqual(numbered(50).toSorted())
  })

  test(
    'another application that joins and leaves: nothing is lost, nothing doubled',
    { timeout: LONG_MS },
    async () => {
      const [topic, group] = [await kafka.topic({ partitions: 4 }), kafka.name('group')]
      const [ours, other] = [runsOf(topic, group, { topics: { [topic]: 2 } }), runsOf(topic, group)]
      await ours.start()
      let sent = 0
      let isSending = true
      const send = async (): Promise<void> => {
        while (isSending) {
          await kafka.add(topic, numbered(5, sent), (sent / 5) % 4)
          sent += 5
        }
      }
      const sending = send()
      await until(() => ours.records().length > 50, 'records come')
      await other.start()
      await until(() => other.records().length > 50, 'the other gets some')
      await other.end()
      const before = ours.records().length
      await until(() => ours.records().length > before + 50, 'they come to us again')
      isSending = false
      await sending
      await until(() => ours.records().length + other.records().length >= sent, 'all have come')
      await ours.end()
      expect([...ours.records(), ...other.records()].toSorted()).toEqual(numbered(sent).toSorted())
    },
  )

  test(
    "E14: consumers of kafkajs's own may be in the group, and are not given what is ours",
    { timeout: LONG_MS },
    async () => {
      const [topic, group] = [await kafka.topic({ partitions: 2 }), kafka.name('group')]
      const stream = runsOf(topic, group)
      await stream.start()
      await kafka.add(topic, numbered(10), 0)
      await until(() => stream.records().length === 10, 'the first have come')
      const theirs: string[] = []
      const consumer = kafka.kafka.consumer({
        groupId: group,
        sessionTimeout: 3_000,
        heartbeatInterval: 300,
        maxWaitTimeInMs: 50,
      })
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      await consumer.run({ eachMessage: ({ message }) => Promise.resolve(void theirs.push(String(message.value))) })
      await until(async () => (await members(group)) === 2, 'the other is in the group')
      for (const partition of [0, 1]) await kafka.add(topic, numbered(10, 10 + 10 * partition), partition)
      await until(() => stream.records().length + theirs.length >= 30, 'all have come')
      expect(theirs.length).toBe(10)
      await consumer.disconnect()
      await stream.end()
      expect([...stream.records(), ...theirs].toSorted()).toEqual(numbered(30).toSorted())
    },
  )

  test('from the latest on, also where another consumer gets the partition before there was a record', async () => {
    const [topic, group] = [await kafka.topic(), kafka.name('group')]
    await kafka.add(topic, numbered(5))
    const first = runsOf(topic, group, { otherwise: 'latest' })
    await first.start()
    await first.end()
    await kafka.add(topic, numbered(5, 5))
    const second = runsOf(topic, group, { otherwise: 'latest' })
    await second.start()
    await until(() => second.records().length === 5, 'what came meanwhile is not left out')
    expect(second.records()).toEqual(numbered(5, 5))
    await second.end()
  })

  test('records that are gone are told of, again and again, or left out where that is asked for', async () => {
    const [topic, group] = [await kafka.topic(), kafka.name('group')]
    await kafka.add(topic, numbered(10))
    await kafka.client.commit(group, [{ topic, partition: 0, offset: 2n }])
    await kafka.deleteRecords(topic, [0], 7n)
    const failing = runsOf(topic, group)
    await failing.start()
    await until(() => failing.runs[0]?.told.length === 1, 'it tells')
    expect(failing.runs[0]?.told[0]).toMatch(/^restart: cannot go on: .*offsets 2 to 6 of .* are gone/)
    await failing.end()
    const going = runsOf(topic, group, { onDataLoss: 'reset' })
    await going.start()
    await until(() => going.records().length === 3, 'the others come')
    expect(going.records()).toEqual(numbered(3, 7))
    expect(going.runs[0]?.told).toEqual([expect.stringMatching(/^goes on at 7, as onDataLoss says: .*offsets 2 to 6/)])
    await going.end()
  })

  test('a topic made anew is told of, and not waited for', async () => {
    const [topic, group] = [await kafka.topic(), kafka.name('group')]
    await kafka.add(topic, numbered(3))
    const stream = runsOf(topic, group, {}, new Map([[`${topic}-0`, 99n]]))
    await expect(stream.start()).rejects.toMatchObject({ code: 'OFFSETS_LOST' })
    await stream.end()
  })

  test('a topic that is not there is told of by name', async () => {
    const stream = runsOf('nowhere', kafka.name('group'))
    await expect(stream.start()).rejects.toMatchObject({ code: 'BROKER_REFUSED' })
    await stream.end()
  })
})
