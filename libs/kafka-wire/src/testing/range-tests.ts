import { isDeepStrictEqual } from 'node:util'
import kafkajs from 'kafkajs'
import { expect, it } from 'vitest'
import type { Compression } from '../client.js'
import { lostRangeOf } from '../errors.js'
import { endOf, oracleRows, readRows, rowOf, until, valuesOf } from './suite-kit.js'
import type { Kit, Row } from './suite-kit.js'

const { ConfigResourceTypes } = kafkajs
const LONG_MS = 120_000

export function rangeTests(kit: Kit): void {
  contentTests(kit)
  placeTests(kit)
  codecTests(kit)
  sizeTests(kit)
  compactionTests(kit)
  logStartTests(kit)
}

function contentTests(kit: Kit): void {
  const { client, newTopic } = kit

  it('reads any part of a partition, and nothing of an empty one', async () => {
    const topic = await newTopic(2)
    await client.produce(topic, valuesOf(50))
    await client.produce(topic, valuesOf(50))
    const rows = await readRows(client, topic, { to: 100n })
    expect(rows.map(({ offset }) => offset)).toEqual(Array.from({ length: 100 }, (_, i) => BigInt(i)))
    for (const [from, to] of [
      [0n, 1n],
      [49n, 51n],
      [7n, 93n],
      [99n, 100n],
      [30n, 30n],
    ] as const) {
      expect(await readRows(client, topic, { from, to, maxBytes: 300 })).toEqual(rows.slice(Number(from), Number(to)))
    }
    expect(await readRows(client, topic, { partition: 1, to: 0n })).toEqual([])
  })

  it('keeps null and empty keys and values, repeated binary headers, and times', { timeout: LONG_MS }, async () => {
    const topic = await newTopic()
    const headers = [
      ['a', Buffer.of(0, 255, 128)],
      ['a', Buffer.alloc(0)],
      ['b', 'text'],
    ] as const
    await client.produce(topic, [
      { partition: 0, key: null, value: null, timestampMs: 1_700_000_000_123 },
      { partition: 0, key: '', value: '', timestampMs: 1_600_000_000_001 },
      { partition: 0, key: Buffer.of(0, 255), value: Buffer.of(254, 0), headers },
      { partition: 0, key: 'schlüssel', value: 'größe' },
    ])
    const found: unknown[] = []
    for await (const chunk of client.readRange({ topic, partition: 0, from: 0n, to: 4n })) {
      const cursor = chunk.records()
      while (cursor.next()) found.push([cursor.timestampMs, cursor.keyText, cursor.headers])
    }
    expect(found.slice(0, 2)).toEqual([
      [1_700_000_000_123, null, []],
      [1_600_000_000_001, '', []],
    ])
    expect((found[2] as unknown[])[2]).toEqual(
      headers.map(([name, value]) => ({ name, value: Buffer.from(value as string) })),
    )
    expect((found[3] as unknown[])[1]).toBe('schlüssel')
    expect(await readRows(client, topic, { to: 4n })).toEqual(await oracleRows(kit, topic))
  })
}

function placeTests(kit: Kit): void {
  const { client, newTopic } = kit

  it('sends keyed records where Java sends them, and others to all partitions', async () => {
    const topic = await newTopic(4)
    const keys = ['a', 'b', 'key-1', 'another key', 'ü', 'a longer key of many words']
    await client.produce(
      topic,
      keys.map((key) => ({ key, value: 'ours' })),
    )
    await client.produce(
      topic,
      Array.from({ length: 40 }, () => ({ value: 'none' })),
    )
    await kit.kcat(topic, keys.map((key) => `${key}:theirs`).join('\n'), [
      '-K:',
      '-X',
      'topic.partitioner=murmur2_random',
    ])
    const places = new Map<string, Set<number>>()
    for (const [partition, to] of await client.listOffsets(topic, [0, 1, 2, 3], 'latest')) {
      for (const { key, value } of await readRows(client, topic, { partition, to })) {
        const place = `${String(key)} ${String(value)}`
        places.set(place, (places.get(place) ?? new Set()).add(partition))
      }
    }
    const placesOf = (value: string) =>
      keys.map((key) => [...(places.get(`${String(rowOf(key))} ${String(rowOf(value))}`) ?? [])])
    expect(placesOf('ours')).toEqual(placesOf('theirs'))
    expect(new Set(placesOf('ours').flat()).size).toBeGreaterThan(1)
    expect(places.get(`null ${String(rowOf('none'))}`)?.size).toBe(4)
  })
}

function codecTests(kit: Kit): void {
  const { client, newTopic, kcat } = kit
  const codecs: readonly Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

  it('reads all codecs of others, and others read its own', { timeout: LONG_MS }, async () => {
    const topic = await newTopic()
    for (const codec of codecs) {
      if (client.supports.compression.includes(codec)) {
        const values = [...valuesOf(400, `ours by ${codec}`), { partition: 0, value: noise(codec.length) }]
        await client.produce(topic, values, { compression: codec })
        await kcat(
          topic,
          valuesOf(400, `theirs by ${codec}`)
            .map(({ value }) => String(value))
            .join('\n'),
          ['-z', codec],
        )
      } else {
        await expect(client.produce(topic, valuesOf(1), { compression: codec })).rejects.toMatchObject({
          code: 'CODEC_MISSING',
        })
      }
    }
    const to = await endOf(client, topic)
    expect(to).toBe(BigInt(client.supports.compression.length * 801))
    expect(await readRows(client, topic, { to })).toEqual(await oracleRows(kit, topic))
  })

  it('reads a codec, or names the topic where it cannot', async () => {
    const topic = await newTopic()
    // kcat sends as it is what would not become smaller, as a record that it sends alone might.
    const value = 'z'.repeat(10_000)
    await kcat(topic, value, ['-z', 'zstd'])
    const rows = readRows(client, topic, { to: 1n })
    if (client.supports.compression.includes('zstd')) {
      expect(await rows).toMatchObject([{ offset: 0n, value: Buffer.from(value).toString('base64') }])
      return
    }
    await expect(rows).rejects.toMatchObject({
      code: 'CODEC_MISSING',
      message: expect.stringMatching(topic) as unknown,
    })
  })
}

function noise(seed: number): Buffer {
  let state = seed
  return Buffer.from(Uint8Array.from({ length: 10_000 }, () => (state = (state * 16807) % 2147483647) & 0xff))
}

function sizeTests(kit: Kit): void {
  const { client, newTopic, kcat } = kit

  it('reads 300,000 records of one batch, and any part of it', { timeout: LONG_MS }, async () => {
    const topic = await newTopic(1, { 'max.message.bytes': '10000000' })
    const settings = [
      'linger.ms=20000',
      'batch.num.messages=300000',
      'batch.size=9000000',
      'queue.buffering.max.messages=1000000',
      'message.max.bytes=10000000',
    ]
    await kcat(topic, Array.from({ length: 300_000 }, (_, i) => String(i)).join('\n'), [
      '-z',
      'lz4',
      ...settings.flatMap((each) => ['-X', each]),
    ])
    expect(await endOf(client, topic)).toBe(300_000n)
    let batches = 0
    for await (const chunk of client.readRange({ topic, partition: 0, from: 0n, to: 300_000n, maxBytes: 1000 })) {
      batches++
      expect(chunk.count()).toBe(300_000)
    }
    expect(batches).toBe(1)
    const rows = await readRows(client, topic, { from: 123_456n, to: 123_459n })
    expect(rows.map(({ value }) => value)).toEqual(['123456', '123457', '123458'].map(rowOf))
  })

  it('reads records of 1 MiB, though maxBytes is less', { timeout: LONG_MS }, async () => {
    const topic = await newTopic(1, { 'max.message.bytes': '3000000' })
    const value = Buffer.alloc(1024 * 1024, 7)
    for (const _ of [1, 2, 3]) await client.produce(topic, [{ partition: 0, value }])
    const rows = await readRows(client, topic, { to: 3n, maxBytes: 1000 })
    expect(rows.map(({ value: found }) => found === value.toString('base64'))).toEqual([true, true, true])
    await expect(client.produce(topic, [{ partition: 0, value: Buffer.alloc(4_000_000) }])).rejects.toMatchObject({
      code: 'BROKER_REFUSED',
      retryable: false,
      message: expect.stringMatching(/MESSAGE_TOO_LARGE; raise max.message.bytes/) as unknown,
    })
    await client.produce(topic, [{ partition: 0, value: 'goes on' }])
    expect(await endOf(client, topic)).toBe(4n)
  })
}

function compactionTests(kit: Kit): void {
  const { client, admin, newTopic } = kit

  it('goes over gaps and emptied batches of a compacted topic', { timeout: LONG_MS }, async () => {
    const settings = {
      'cleanup.policy': 'compact',
      'segment.ms': '100',
      'min.cleanable.dirty.ratio': '0.01',
      'max.compaction.lag.ms': '100',
    }
    const topic = await newTopic(1, settings)
    const write = (key: string, value: string) => client.produce(topic, [{ partition: 0, key, value }])
    const mixed = ['a', 'b', 'c', 'a', 'd', 'a'].map((key, i) => ({ partition: 0, key, value: `mixed ${String(i)}` }))
    await client.produce(topic, mixed)
    let written = BigInt(mixed.length)
    // The last segment is never compacted: new ones begin only when something is written.
    await until(async () => {
      await write('b', `b ${String(written++)}`)
      const found = await readRows(client, topic, { to: written })
      return found.some(({ offset }) => offset < 4n && offset !== 2n) ? undefined : found
    })
    // It must end, or the log changes under the comparisons.
    const configEntries = [{ name: 'cleanup.policy', value: 'delete' }]
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }],
    })
    const rows = await until<Row[]>(async () => {
      const found = await readRows(client, topic, { to: written })
      const same = isDeepStrictEqual(found, await oracleRows(kit, topic))
      return same && isDeepStrictEqual(found, await readRows(client, topic, { to: written })) ? found : undefined
    })
    const offsets = rows.map(({ offset }) => offset)
    expect(offsets.slice(0, 3)).toEqual([2n, 4n, 5n])
    for (const from of [0n, 1n, 3n, 6n, 7n]) {
      expect(await readRows(client, topic, { from, to: written, maxBytes: 1 })).toEqual(
        rows.filter(({ offset }) => offset >= from),
      )
      expect(await readRows(client, topic, { from: 0n, to: from })).toEqual(rows.filter(({ offset }) => offset < from))
    }
    expect(rows).toEqual(await oracleRows(kit, topic))
  })
}

function logStartTests({ client, admin, newTopic }: Kit): void {
  it(
    'says what is lost where the partition now begins later, also while it is read',
    { timeout: LONG_MS },
    async () => {
      const topic = await newTopic()
      for (let i = 0; i < 20; i++) await client.produce(topic, valuesOf(5))
      const positions: bigint[] = []
      const run = async () => {
        for await (const chunk of client.readRange({ topic, partition: 0, from: 3n, to: 100n, maxBytes: 1 })) {
          positions.push(chunk.position)
          if (positions.length === 2) {
            // It must have heard of the topic.
            await admin.fetchTopicOffsets(topic)
            await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '62' }] })
          }
        }
      }
      const error: unknown = await run().catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'OFFSETS_LOST' })
      // One more was read ahead.
      expect(positions).toEqual([5n, 10n, 15n])
      expect(lostRangeOf(error)).toEqual({ topic, partition: 0, from: 15n, to: 62n, earliest: 62n, latest: 100n })
      expect((await client.listOffsets(topic, [0], 'earliest')).get(0)).toBe(62n)
      expect((await readRows(client, topic, { from: 62n, to: 100n })).length).toBe(38)
      await expect(readRows(client, topic, { from: 10n, to: 20n })).rejects.toMatchObject({ code: 'OFFSETS_LOST' })
      await expect(readRows(client, topic, { from: 101n, to: 120n })).rejects.toMatchObject({ code: 'OFFSETS_LOST' })
    },
  )
}
