import { expect, it } from 'vitest'
import { endOf, until, valuesOf } from './suite-kit.js'
import type { Kit } from './suite-kit.js'

export function offsetTests(kit: Kit): void {
  metadataTests(kit)
  listOffsetsTests(kit)
  growingTests(kit)
  groupTests(kit)
}

function metadataTests({ client, name, newTopic }: Kit): void {
  it('tells partitions and leaders, of topics in the order asked for', async () => {
    const [one, three] = [await newTopic(1), await newTopic(3)]
    const [first, second] = await client.metadata([three, one])
    expect(first).toEqual({
      topic: three,
      partitions: [0, 1, 2].map((partition) => ({ partition, leader: expect.any(Number) as number })),
    })
    expect(second?.partitions.map(({ leader }) => leader >= 0)).toEqual([true])
    expect(await client.metadata([])).toEqual([])
  })

  it('makes a topic, and leaves one of that name as it is', async () => {
    const topic = name()
    await client.createTopic({ topic, partitions: 3, settings: { 'cleanup.policy': 'compact' } })
    await client.createTopic({ topic, partitions: 1, settings: { 'cleanup.policy': 'delete' } })
    expect((await client.metadata([topic]))[0]?.partitions.length).toBe(3)
    const settings = await client.topicSettings(topic)
    expect(settings.get('cleanup.policy')).toBe('compact')
    expect(Number(settings.get('max.message.bytes'))).toBeGreaterThan(0)
    await expect(client.createTopic({ topic: 'no topic', partitions: 1 })).rejects.toMatchObject({
      code: 'BROKER_REFUSED',
      retryable: false,
    })
  })

  it('finds topics by a pattern, which none may match', async () => {
    const prefix = name()
    const topics = [await newTopic(), await newTopic()].sort()
    expect((await client.metadata(new RegExp(`^(${topics.join('|')})$`))).map(({ topic }) => topic)).toEqual(topics)
    expect(await client.metadata(new RegExp(`^${prefix}$`))).toEqual([])
  })

  it('says which topic is not there, and makes none', async () => {
    const topic = name()
    const missing = {
      code: 'BROKER_REFUSED',
      retryable: false,
      message: expect.stringMatching(`${topic}.*UNKNOWN_TOPIC_OR_PARTITION; create it`) as unknown,
    }
    await expect(client.metadata([topic], { newTopicMs: 0 })).rejects.toMatchObject(missing)
    await Promise.all([
      expect(client.listOffsets(topic, [0], 'latest')).rejects.toMatchObject(missing),
      expect(client.produce(topic, valuesOf(1))).rejects.toMatchObject(missing),
    ])
    expect(await client.metadata(new RegExp(`^${topic}$`))).toEqual([])
  })
}

function listOffsetsTests({ client, newTopic, name }: Kit): void {
  it('lists where partitions begin and end, empty ones as well', async () => {
    const topic = await newTopic(3)
    await client.produce(topic, [
      { partition: 2, value: 'a' },
      { partition: 2, value: 'b' },
      { partition: 0, value: 'c' },
    ])
    expect([...(await client.listOffsets(topic, [2, 1], 'earliest'))].sort()).toEqual([
      [1, 0n],
      [2, 0n],
    ])
    expect([...(await client.listOffsets(topic, [0, 1, 2], 'latest'))].sort()).toEqual([
      [0, 1n],
      [1, 0n],
      [2, 2n],
    ])
    expect([...(await client.listOffsets(topic, [0, 1, 2], 'last-stable'))].sort()).toEqual([
      [0, 1n],
      [1, 0n],
      [2, 2n],
    ])
  })

  it('finds the first record that is not older than a time, and the end where none is', async () => {
    const topic = await newTopic()
    const at = (timestampMs: number) => ({ partition: 0, value: 'x', timestampMs })
    await client.produce(topic, [at(1000), at(2000), at(3000)])
    const offsetAt = async (timestampMs: number) => (await client.listOffsets(topic, [0], { timestampMs })).get(0)
    expect([await offsetAt(0), await offsetAt(1001), await offsetAt(3000), await offsetAt(3001)]).toEqual([
      0n,
      1n,
      2n,
      3n,
    ])
  })

  it('ends before an open transaction, where what is stable is asked for', async () => {
    const topic = await newTopic()
    await client.produce(topic, valuesOf(2))
    const producer = await client.transactional(name())
    await producer.init()
    const transaction = await producer.begin()
    await transaction.send(topic, valuesOf(3))
    expect([await endOf(client, topic, 'last-stable'), await endOf(client, topic)]).toEqual([2n, 5n])
    await transaction.abort()
    await producer.close()
  })
}

function growingTests({ client, admin, newTopic }: Kit): void {
  it('lists offsets of partitions that were added after the topic was looked up', async () => {
    const topic = await newTopic()
    expect([...(await client.listOffsets(topic, [0], 'latest'))]).toEqual([[0, 0n]])
    await admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] })
    await until(async () => ((await client.metadata([topic]))[0]?.partitions.length === 2 ? true : undefined))
    expect([...(await client.listOffsets(topic, [0, 1], 'latest'))].sort()).toEqual([
      [0, 0n],
      [1, 0n],
    ])
  })
}

function groupTests({ client, newTopic, name }: Kit): void {
  it('commits offsets of a group without being its member, and reads them back', async () => {
    const [topic, group] = [await newTopic(3), name()]
    const asked = [{ topic, partitions: [0, 1, 2] }]
    expect(await client.fetchCommitted(group, asked)).toEqual([])
    await client.commit(group, [
      { topic, partition: 0, offset: 5n },
      { topic, partition: 2, offset: 2n ** 60n + 1n },
    ])
    await client.commit(group, [{ topic, partition: 0, offset: 4n }])
    const committed = [...(await client.fetchCommitted(group, asked))].sort((a, b) => a.partition - b.partition)
    expect(committed).toEqual([
      { topic, partition: 0, offset: 4n },
      { topic, partition: 2, offset: 2n ** 60n + 1n },
    ])
  })
}
