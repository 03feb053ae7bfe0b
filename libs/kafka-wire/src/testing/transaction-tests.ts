import { expect, it } from 'vitest'
import type { RecordToProduce, Transaction, TransactionalProducer } from '../client.js'
import { endOf, oracleRows, readRows, rowOf, until, untilStable, valuesOf } from './suite-kit.js'
import type { Kit } from './suite-kit.js'

const LONG_MS = 120_000

export function transactionTests(kit: Kit): void {
  readingTests(kit)
  writingTests(kit)
  fencingTests(kit)
}

async function opened(kit: Kit, id = kit.name()): Promise<TransactionalProducer> {
  const producer = await kit.client.transactional(id)
  await producer.init()
  return producer
}

const MARKER_LIKE: RecordToProduce = { partition: 0, key: Buffer.alloc(4), value: 'with the key of an abort marker' }

/** Two producers at once, whose transactions lie in each other; A and B abort, then A commits. */
async function interleave(kit: Kit, topic: string): Promise<void> {
  const { client } = kit
  const [a, b] = [await opened(kit), await opened(kit)]
  const [inA, inB] = [await a.begin(), await b.begin()]
  const send = (transaction: Transaction, ...values: string[]) =>
    transaction.send(
      topic,
      values.map((value) => ({ partition: 0, value })),
    )
  await send(inA, 'a0')
  await send(inB, 'b1', 'b2')
  await client.produce(topic, valuesOf(2, 'plain'))
  await inA.send(topic, [MARKER_LIKE, { partition: 0, value: 'a6' }])
  await send(inB, 'b7')
  await inA.abort()
  await send(inB, 'b8 or later')
  await inB.abort()
  await untilStable(client, topic)
  const again = await a.begin()
  await again.send(topic, [MARKER_LIKE, { partition: 0, value: 'committed' }])
  await again.commit()
  await client.produce(topic, valuesOf(1, 'last'))
  await untilStable(client, topic)
  await a.close()
  await b.close()
}

function readingTests(kit: Kit): void {
  const { client, newTopic } = kit

  it(
    'hides interleaved aborted ones wherever reading begins and ends, as others do',
    { timeout: LONG_MS },
    async () => {
      const topic = await newTopic()
      await interleave(kit, topic)
      const to = await endOf(client, topic)
      const expected = await oracleRows(kit, topic)
      expect(expected.map(({ value }) => value)).toEqual(
        ['plain 0', 'plain 1', String(MARKER_LIKE.value), 'committed', 'last 0'].map(rowOf),
      )
      expect(await readRows(client, topic, { to })).toEqual(expected)
      for (let from = 0n; from < to; from++) {
        const behind = expected.filter(({ offset }) => offset >= from)
        expect(await readRows(client, topic, { from, to, maxBytes: 1 })).toEqual(behind)
        expect(await readRows(client, topic, { from: 0n, to: from })).toEqual(
          expected.filter(({ offset }) => offset < from),
        )
      }
    },
  )

  it('shows all of them, but no marker, where uncommitted records are asked for', async () => {
    const topic = await newTopic()
    await interleave(kit, topic)
    const to = await endOf(client, topic)
    const rows = await readRows(client, topic, { to, isolation: 'uncommitted' })
    // All but three markers.
    expect(rows.length).toBe(Number(to) - 3)
  })

  it('waits at an open one, and goes on when it ends', async () => {
    const topic = await newTopic()
    const producer = await opened(kit)
    const transaction = await producer.begin()
    await transaction.send(topic, valuesOf(2))
    const read = readRows(client, topic, { to: 2n })
    await expect(readRows(client, topic, { to: 2n, deadlineMs: 1 })).rejects.toMatchObject({
      code: 'TIMEOUT',
      retryable: true,
    })
    await transaction.commit()
    expect((await read).length).toBe(2)
    await producer.close()
  })
}

function writingTests(kit: Kit): void {
  const { client, newTopic, name } = kit

  it('commits records of several partitions together with offsets of a group', async () => {
    const [topic, group] = [await newTopic(2), name()]
    const producer = await opened(kit)
    for (const round of [1n, 2n]) {
      const transaction = await producer.begin()
      await transaction.send(topic, [
        { partition: 0, value: 'a' },
        { partition: 1, value: 'b' },
      ])
      await transaction.sendOffsets(group, [{ topic, partition: 0, offset: round * 10n }])
      await transaction.commit()
      const committed = await until(async () => {
        const [found] = await client.fetchCommitted(group, [{ topic, partitions: [0, 1] }])
        return found?.offset === round * 10n ? found : undefined
      })
      expect(committed).toEqual({ topic, partition: 0, offset: round * 10n })
    }
    expect((await readRows(client, topic, { partition: 1, to: await untilStable(client, topic) })).length).toBe(2)
    await producer.close()
  })

  it('leaves offsets of an aborted one as they were', async () => {
    const [topic, group] = [await newTopic(), name()]
    await client.commit(group, [{ topic, partition: 0, offset: 1n }])
    const producer = await opened(kit)
    const transaction = await producer.begin()
    await transaction.send(topic, valuesOf(1))
    await transaction.sendOffsets(group, [{ topic, partition: 0, offset: 99n }])
    await transaction.abort()
    await untilStable(client, topic)
    const committed = await client.fetchCommitted(group, [{ topic, partitions: [0] }])
    expect(committed).toEqual([{ topic, partition: 0, offset: 1n }])
    await producer.close()
  })

  it('begins and ends without any record', async () => {
    const producer = await opened(kit)
    await (await producer.begin()).commit()
    await (await producer.begin()).abort()
    await producer.close()
  })
}

function fencingTests(kit: Kit): void {
  const { client, newTopic, name } = kit

  it('E22: ends what an earlier producer of the id left open, and fences that', async () => {
    const [topic, id] = [await newTopic(), name()]
    const old = await opened(kit, id)
    const left = await old.begin()
    await left.send(topic, valuesOf(2, 'left open'))
    expect(await endOf(client, topic, 'last-stable')).toBe(0n)
    const young = await opened(kit, id)
    const to = await untilStable(client, topic)
    expect(await readRows(client, topic, { to })).toEqual([])
    const transaction = await young.begin()
    await transaction.send(topic, valuesOf(1, 'new'))
    await expect(left.commit()).rejects.toMatchObject({ code: 'FENCED', retryable: false })
    await expect(old.begin()).rejects.toMatchObject({ code: 'STOPPED' })
    await transaction.commit()
    const rows = await readRows(client, topic, { to: await untilStable(client, topic) })
    expect(rows.map(({ value }) => value)).toEqual([rowOf('new 0')])
    await old.close()
    await young.close()
  })

  it('fences a send, too', async () => {
    const [topic, id] = [await newTopic(), name()]
    const old = await opened(kit, id)
    const transaction = await old.begin()
    const young = await opened(kit, id)
    await expect(transaction.send(topic, valuesOf(1))).rejects.toMatchObject({ code: 'FENCED' })
    await old.close()
    await young.close()
    expect(await readRows(client, topic, { to: await untilStable(client, topic) })).toEqual([])
  })
}
