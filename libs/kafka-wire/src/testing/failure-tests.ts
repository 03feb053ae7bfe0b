import { expect, it } from 'vitest'
import { readRows, valuesOf } from './suite-kit.js'
import type { Kit } from './suite-kit.js'

export function failureTests(kit: Kit): void {
  endingTests(kit)
  concurrencyTests(kit)
}

function endingTests({ client, newClient, newTopic }: Kit): void {
  it('refuses everything once it is closed, and closes at once while a fetch waits', async () => {
    const topic = await newTopic()
    const closing = newClient()
    await closing.connect()
    const request = {
      topic,
      partition: 0,
      offset: 0n,
      isolation: 'committed',
      maxBytes: 1000,
      maxWaitMs: 25_000,
    } as const
    expect((await closing.fetch({ ...request, maxWaitMs: 1 })).records.byteLength).toBe(0)
    const waiting = closing.fetch(request).catch((error: unknown) => error)
    await closing.close()
    expect(await waiting).toMatchObject({ code: 'STOPPED' })
    const stopped = { code: 'STOPPED' }
    await expect(closing.fetch(request)).rejects.toMatchObject(stopped)
    await expect(closing.connect()).rejects.toMatchObject(stopped)
    await expect(closing.metadata([topic])).rejects.toMatchObject(stopped)
    await expect(closing.listOffsets(topic, [0], 'latest')).rejects.toMatchObject(stopped)
    await expect(closing.commit('g', [{ topic, partition: 0, offset: 1n }])).rejects.toMatchObject(stopped)
    await expect(async () => closing.produce(topic, valuesOf(1))).rejects.toMatchObject(stopped)
    await expect(closing.transactional('id')).rejects.toMatchObject(stopped)
    await expect(readRows(closing, topic, { to: 1n })).rejects.toMatchObject(stopped)
    await closing.close()
  })

  it('ends a call by its signal, with its reason', async () => {
    const topic = await newTopic()
    const stop = new AbortController()
    const reason = new Error('enough')
    const range = readRows(client, topic, { to: 1n, signal: stop.signal }).catch((error: unknown) => error)
    const request = {
      topic,
      partition: 0,
      offset: 0n,
      isolation: 'committed',
      maxBytes: 1000,
      maxWaitMs: 5000,
    } as const
    const fetch = client.fetch({ ...request, signal: stop.signal }).catch((error: unknown) => error)
    await client.metadata([topic])
    stop.abort(reason)
    expect(await Promise.all([range, fetch])).toEqual([reason, reason])
    const options = { signal: stop.signal }
    await expect(client.metadata([topic], options)).rejects.toBe(reason)
    await expect(client.listOffsets(topic, [0], 'latest', options)).rejects.toBe(reason)
    await expect(client.produce(topic, valuesOf(1), options)).rejects.toBe(reason)
    expect((await client.listOffsets(topic, [0], 'latest')).get(0)).toBe(0n)
  })
}

function concurrencyTests({ client, newClient, newTopic }: Kit): void {
  it('reads many partitions at once', async () => {
    const topic = await newTopic(12)
    const partitions = Array.from({ length: 12 }, (_, partition) => partition)
    await client.produce(
      topic,
      partitions.flatMap((partition) => valuesOf(20).map((record) => ({ ...record, partition }))),
    )
    const young = newClient()
    const rows = await Promise.all(
      partitions.map((partition) => readRows(young, topic, { partition, to: 20n, maxBytes: 100 })),
    )
    expect(rows.map(({ length }) => length)).toEqual(partitions.map(() => 20))
    await young.close()
  })

  it('writes what is produced at once by many, each in its order', async () => {
    const topic = await newTopic()
    await Promise.all(Array.from({ length: 20 }, (_, i) => client.produce(topic, valuesOf(10, `call ${String(i)}`))))
    const values = (await readRows(client, topic, { to: 200n })).map(({ value }) =>
      Buffer.from(String(value), 'base64').toString(),
    )
    expect(values).toEqual(
      Array.from({ length: 20 }, (_, i) => valuesOf(10, `call ${String(i)}`).map(({ value }) => value)).flat(),
    )
  })
}
