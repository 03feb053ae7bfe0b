/**
 * Writes and ledger in one transaction. The rules are tested on a simulated server, whose faults come when they are wanted, and on a real one
 * where `SLUICE_MONGO` names one whose transactions undo what they abort.
 */
import { isSluiceError, SluiceError, type Sink } from '@sluice/core'
import { sinkConformance, type Skip, SinkDrive } from '@sluice/testkit'
import { MongoClient } from 'mongodb'
import { afterAll, describe, expect, test } from 'vitest'
import type { MongoSinkOptions } from './mongo-sink.config.js'
import { mongoSink } from './mongo-sink.js'
import { SimulatedMongo } from './testing/simulated-mongo.js'
import { cases, item, targetOf, type Item } from './testing/targets.js'

const order: Skip = { test: 'the records of a partition keep their order', reason: 'a collection has none' }
const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )

const kinds: readonly [string, Partial<MongoSinkOptions<Item>>][] = [
  ['in a transaction', { transaction: true }],
  ['without a ledger', { ledger: false }],
]

for (const [kind, more] of kinds)
  for (const [name, mode] of Object.entries(cases)) {
    // Without a ledger nothing tells whose documents are there.
    if (more.ledger === false && name === 'insert by id') continue
    sinkConformance({
      ...{ describe, test, deadlineMs: 120_000 },
      name: `mongoSink on a simulated server, ${name} ${kind}`,
      open: () => {
        const server = new SimulatedMongo()
        const where = { client: server.client(), database: 'd', collection: 'c', ...more }
        const make = (): Sink<Item> => mongoSink<Item>({ ...where, ...mode.write } as MongoSinkOptions<Item>)
        return {
          sink: make(),
          reopen: make,
          readBack: () =>
            Promise.resolve(
              server.all('c').flatMap((each) => {
                const { id, value, count } = each as { id: string; value: Uint8Array; count?: number }
                return Array.from({ length: count ?? 1 }, () => item(id, value))
              }),
            ),
        }
      },
      record: (index) => item(`item ${String(index)}`),
      awkward: [item('größe \u{1f600}', Buffer.from([0, 255]))],
      refused: mode.refused,
      broken: () => {
        const server = new SimulatedMongo()
        server.faults.noTransactions = {
          code: 20,
          message: 'Transaction numbers are only allowed on a replica set member',
        }
        return mongoSink<Item>({
          client: server.client(),
          database: 'd',
          collection: 'c',
          transaction: true,
          mode: 'insert',
        })
      },
      manyRecords: 500,
      skip: [order],
    })
  }

describe('a transaction', () => {
  interface Count {
    readonly key: string
    readonly email?: string
  }
  const where = { database: 'd', collection: 'c', transaction: true } as const
  const counting = (server: SimulatedMongo): Sink<Count> =>
    mongoSink<Count>({ ...where, client: server.client(), mode: 'increment', id: 'key' })
  const counts = (server: SimulatedMongo): unknown[] =>
    server.all('c').map(({ _id, count }) => [_id as unknown, count as unknown])
  const batch = ['a', 'b', 'a'].map((key) => ({ key }))

  test.each([
    ['was done', true],
    ['was not done', false],
  ])('E9: of a commit whose answer is lost, and which %s, the ledger tells', async (_, isDone) => {
    const [server, drive] = [new SimulatedMongo(), new SinkDrive()]
    const sink = counting(server)
    await drive.open(sink)
    server.faults.loseCommit = { after: 0, isDone }
    expect(await errorOf(drive.write(sink, batch))).toMatchObject({ code: 'CONNECTION_FAILED', retryable: true })
    await drive.write(sink, batch, { id: { attempt: 1 } })
    expect(counts(server)).toEqual([
      ['a', 2],
      ['b', 1],
    ])
    await sink.close?.()
  })

  test('wherever an operation fails, nothing of it is there, and the next try writes all', async () => {
    for (let after = 0; ; after++) {
      const [server, drive] = [new SimulatedMongo(), new SinkDrive()]
      const sink = counting(server)
      await drive.open(sink)
      server.faults.failOperation = { after, code: 112 }
      const error = await errorOf(drive.write(sink, batch, { size: 1 }))
      if (error === undefined) {
        expect(after).toBeGreaterThan(3)
        break
      }
      expect(isSluiceError(error) && error.retryable).toBe(true)
      expect(counts(server)).toEqual([])
      await drive.write(sink, batch, { id: { attempt: 1 } })
      expect(counts(server)).toEqual([
        ['a', 2],
        ['b', 1],
      ])
      await sink.close?.()
    }
  })

  test('E18: what the server refuses is known before anything is durable, and left out', async () => {
    const [server, drive] = [new SimulatedMongo(), new SinkDrive()]
    server.unique.push('email')
    const sink = mongoSink<Count>({ ...where, client: server.client(), mode: 'insert', id: 'key' })
    await drive.open(sink)
    const records = ['x', 'y', 'x', 'z', 'y'].map((email, i) => ({ key: String(i), email }))
    const rejected: number[] = []
    let before: unknown
    await drive.write(sink, records, {
      reject: (index) => void rejected.push(index),
      settleRejects: () => {
        if (rejected.length > 0) before = counts(server)
        return Promise.resolve()
      },
    })
    expect(rejected).toEqual([2, 4])
    expect(before).toEqual([])
    expect(server.all('c').map(({ email }) => email as string)).toEqual(['x', 'y', 'z'])
    expect(server.commits).toBe(1)
    await sink.close?.()
  })

  test('E18: where a refused record fails the batch, nothing is there', async () => {
    const [server, drive] = [new SimulatedMongo(), new SinkDrive()]
    server.unique.push('email')
    const sink = mongoSink<Count>({ ...where, client: server.client(), mode: 'insert', id: 'key' })
    await drive.open(sink)
    const policy = new SluiceError({ code: 'RECORD_REJECTED', component: 'test', message: 'no' })
    let rejects = 0
    const records = ['x', 'x'].map((email, i) => ({ key: String(i), email }))
    const outcome = drive.write(sink, records, {
      reject: () => void rejects++,
      settleRejects: () => (rejects > 0 ? Promise.reject(policy) : Promise.resolve()),
    })
    expect(await errorOf(outcome)).toBe(policy)
    expect(counts(server)).toEqual([])
    await sink.close?.()
  })

  test('E18: as a dead-letter sink it adds to a partition that is done only what is not there', async () => {
    const [server, drive] = [new SimulatedMongo(), new SinkDrive()]
    const sink = mongoSink<{ n: number }>({ ...where, client: server.client(), mode: 'insert' })
    await drive.open(sink)
    const letters = (...indexes: number[]) => indexes.map((n) => ({ n }))
    await drive.write(sink, letters(2), { indexes: [2] })
    await drive.write(sink, letters(2, 5), { indexes: [2, 5] })
    await drive.write(sink, letters(2, 5), { indexes: [2, 5] })
    expect(await sink.settledIndexes?.(drive.id())).toEqual([2, 5])
    await sink.close?.()
  })

  test('partitions take turns: they would conflict in the ledger', async () => {
    const [server, drive] = [new SimulatedMongo(), new SinkDrive()]
    const sink = counting(server)
    await drive.open(sink)
    await Promise.all([0, 1, 2, 3].map((partition) => drive.write(sink, batch, { id: { partition, partitions: 4 } })))
    expect(counts(server)).toEqual([
      ['a', 8],
      ['b', 4],
    ])
    await sink.close?.()
  })

  test('a user who may not write is refused at the start, with the remedy', async () => {
    const server = new SimulatedMongo()
    server.faults.command = { code: 13, message: 'not authorized on d to execute command { find: "secret" }' }
    const error = await errorOf(new SinkDrive().open(counting(server)))
    expect(error).toMatchObject({
      code: 'CONNECTION_FAILED',
      retryable: false,
      message: expect.stringMatching(/refuses this user: .*; grant it readWrite/) as string,
    })
    expect(String(error)).not.toContain('secret')
  })
})

const url = process.env['SLUICE_MONGO'] ?? ''
const refusal = url === '' ? 'SLUICE_MONGO names no server' : await transactionsOf(url)

/** Why its transactions cannot be used; undefined where they can. */
async function transactionsOf(place: string): Promise<string | undefined> {
  const sink = mongoSink<object>({
    url: place,
    database: 'conformance',
    collection: 'probe',
    mode: 'insert',
    transaction: true,
  })
  const error = await errorOf(new SinkDrive().open(sink))
  await sink.close?.()
  return error === undefined ? undefined : String(error)
}

describe('transactions of a real server', () => {
  if (refusal !== undefined) {
    test.skip(`needs a replica set in SLUICE_MONGO: ${refusal}`, () => undefined)
    return
  }
  const reader = new MongoClient(url)
  afterAll(() => reader.close(true))
  for (const [name, mode] of Object.entries(cases))
    sinkConformance({
      ...{ describe, test, deadlineMs: 120_000 },
      name: `mongoSink on a real server, ${name} in a transaction`,
      open: () => targetOf(mode, { url }, reader, { transaction: true }),
      record: (index) => item(`item ${String(index)}`),
      awkward: [item('größe \u{1f600}', Buffer.from([0, 255]))],
      refused: mode.refused,
      broken: () =>
        mongoSink<Item>({
          url: 'mongodb://127.0.0.1:1/',
          callTimeoutMs: 500,
          database: 'd',
          collection: 'c',
          mode: 'insert',
          transaction: true,
        }),
      manyRecords: 10_000,
      skip: [order],
    })
})
