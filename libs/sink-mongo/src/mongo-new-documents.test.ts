/** Documents that are not there yet are inserted, once most of them are new: what is written stays what an upsert writes. */
import { SinkDrive } from '@sluice/testkit'
import type { Sink } from '@sluice/core'
import { describeWithServices } from '@sluice/services'
import fc from 'fast-check'
import { BatchType, MongoClient, type Collection, type Document } from 'mongodb'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { guardOf, planMode, type Mode, type Write } from './modes.js'
import type { MongoSinkOptions } from './mongo-sink.config.js'
import { mongoSink } from './mongo-sink.js'

const DATABASE = 'new-documents'

interface Row {
  readonly key: string
  readonly by: number
}

const rows = (from: number, to: number, by = 1): Row[] =>
  Array.from({ length: to - from }, (_, i) => ({ key: `k${String(from + i).padStart(5, '0')}`, by }))

const modes = {
  replace: { mode: 'replace', id: 'key' },
  upsert: { mode: 'upsert', id: 'key' },
  increment: { mode: 'increment', id: 'key', by: ({ by }: Row) => ({ by }), set: ({ key }: Row) => ({ key }) },
} as const
type Name = keyof typeof modes
const names = Object.keys(modes) as Name[]

await describeWithServices({ describe, test }, ['mongo'], 'mongoSink and new documents', ({ mongo: { url } }) => {
  const client = new MongoClient(url, { monitorCommands: true })
  const commands: string[] = []
  client.on('commandStarted', ({ commandName }) => {
    if (['insert', 'update', 'find'].includes(commandName)) commands.push(commandName)
  })
  beforeEach(() => {
    commands.length = 0
  })
  afterAll(() => client.close(true))

  let number = 0
  const newName = (): string => `new-${String(process.pid)}-${String(++number)}`
  const stored = (name: string): Collection<Document & { _id: string }> => client.db(DATABASE).collection(name)
  const plain = (name: string) =>
    stored(name)
      .find({}, { projection: { _sluice: 0 } })
      .sort({ _id: 1 })
      .toArray()
  const sinkOf = (name: string, mode: Name, more: object = {}): Sink<Row> =>
    mongoSink<Row>({ client, database: DATABASE, collection: name, ...modes[mode], ...more } as MongoSinkOptions<Row>)
  /** What was sent, but for the ledger's own. */
  const sent = (): string[] => {
    const own = commands.slice(0, -1)
    commands.length = 0
    return own
  }
  const forget = (drive: SinkDrive) =>
    stored('sluice_ledger').updateOne({ _id: `${drive.app}:to-0` }, { $unset: { partitions: 1 } })

  test.each(names)('after a bulk of new ones %s looks first, and changes those that are there', async (mode) => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = sinkOf(name, mode)
    await drive.open(sink)
    sent()
    await drive.write(sink, rows(0, 200))
    expect(sent()).toEqual(['update'])
    await drive.write(sink, rows(200, 400), { id: { batchTime: 2_000 } })
    expect(sent()).toEqual(['find', 'insert'])
    await drive.write(sink, rows(350, 600, 5), { id: { batchTime: 3_000 } })
    expect(sent()).toEqual(['find', 'insert', 'update'])
    await drive.write(sink, rows(300, 600, 7), { id: { batchTime: 4_000 } })
    expect(sent()).toEqual(['find', 'update'])
    await drive.write(sink, rows(300, 500, 7), { id: { batchTime: 5_000 } })
    expect(sent()).toEqual(['update'])
    const by = (i: number): number => {
      if (i < 300) return 1
      if (mode !== 'increment') return 7
      return (i < 400 ? 1 : 0) + (i >= 350 ? 5 : 0) + 7 + (i < 500 ? 7 : 0)
    }
    const expected = rows(0, 600).map(({ key }, i) => ({ _id: key, key, by: by(i) }))
    expect(await plain(name)).toEqual(expected)
    await sink.close?.()
  })

  test('it asks for at most 1,000 of them at once', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = sinkOf(name, 'increment')
    await drive.open(sink)
    await drive.write(sink, rows(0, 200))
    sent()
    await drive.write(sink, rows(0, 2_001), { size: 5_000, id: { batchTime: 2_000 } })
    expect(sent()).toEqual(['find', 'find', 'find', 'insert', 'update'])
    const expected = rows(0, 2_001).map((_, i) => (i < 200 ? 2 : 1))
    expect((await plain(name)).map((each) => (each as unknown as Row).by)).toEqual(expected)
    await sink.close?.()
  })

  test('E20: a replay finds what it has inserted, and adds only what is missing', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = sinkOf(name, 'increment')
    await drive.open(sink)
    await drive.write(sink, rows(0, 200))
    await drive.write(sink, rows(200, 400), { id: { batchTime: 2_000 } })
    // As if the process had died before the last ones, and before the ledger was told.
    await stored(name).deleteMany({ _id: { $gte: 'k00350' } })
    await forget(drive)
    await drive.write(sink, rows(200, 400), { id: { batchTime: 2_000, attempt: 1 } })
    expect((await plain(name)).map((each) => (each as unknown as Row).by)).toEqual(Array.from({ length: 400 }, () => 1))
    await sink.close?.()
  })

  test('E20: partitions that insert the same documents at once count all of them', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = sinkOf(name, 'increment')
    await drive.open(sink)
    await drive.write(sink, rows(0, 200))
    const ids = [0, 1, 2, 3].map((partition) => ({ batchTime: 2_000, partition, partitions: 4 }))
    await Promise.all(ids.map((id) => drive.write(sink, rows(200, 400), { id })))
    const expected = rows(0, 400).map((_, i) => (i < 200 ? 1 : 4))
    expect((await plain(name)).map((each) => (each as unknown as Row).by)).toEqual(expected)
    await sink.close?.()
  })

  test('E9: what is inserted late, after a later batch has, changes nothing', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = sinkOf(name, 'replace')
    await drive.open(sink)
    await drive.write(sink, rows(0, 200))
    const bulk = stored(name).initializeUnorderedBulkOp()
    const mode = planMode({ mode: 'replace', id: 'key' })
    await drive.write(sink, rows(200, 400, 3), { id: { batchTime: 3_000 } })
    for (const row of rows(200, 400, 2)) bulk.insert(newDocument(mode, row, 2_000))
    await expect(bulk.execute()).rejects.toMatchObject({ code: 11_000 })
    const expected = rows(0, 400).map((_, i) => (i < 200 ? 1 : 3))
    expect((await plain(name)).map((each) => (each as unknown as Row).by)).toEqual(expected)
    await sink.close?.()
  })

  test('a unique index refuses a new document by itself, and its neighbours are written', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = sinkOf(name, 'replace')
    await stored(name).createIndex(
      { unique: 1 },
      { unique: true, partialFilterExpression: { unique: { $exists: true } } },
    )
    await drive.open(sink)
    await drive.write(sink, rows(0, 200))
    const rejected: number[] = []
    const batch = rows(200, 400).map((row, i) => (i === 17 || i === 23 ? { ...row, unique: 1 } : row))
    await drive.write(sink, batch, { id: { batchTime: 2_000 }, reject: (index) => void rejected.push(index) })
    expect(rejected).toHaveLength(1)
    expect([17, 23]).toContain(rejected[0])
    expect(await stored(name).countDocuments()).toBe(399)
    await sink.close?.()
  })

  test('nothing is added to an _id, and a document of another _id than its own has that of `id`', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const counting = sinkOf(name, 'increment', { id: () => 'one', by: () => ({ _id: 1 }), set: () => ({}) })
    await drive.open(counting)
    const rejected: string[] = []
    await drive.write(counting, rows(0, 1), { reject: (_, { message }) => void rejected.push(message) })
    expect(rejected).toEqual([expect.stringMatching(/adds to _id, which never changes/)])
    const document = ({ key }: Row) => ({ _id: 'another', key })
    const sink = sinkOf(name, 'replace', { document })
    await drive.open(sink, { output: 'to-1' })
    for (const batchTime of [1_000, 2_000])
      await drive.write(sink, [...rows(0, 1), ...rows(batchTime, batchTime + 200)], {
        id: { output: 'to-1', batchTime },
      })
    for (const { _id, ...rest } of await plain(name)) expect(rest).toEqual({ key: _id })
    expect(await stored(name).countDocuments()).toBe(401)
    await sink.close?.()
  })

  test.each(names)('whatever it holds, by %s a new document is what an upsert makes of it', async (name) => {
    const mode = planMode({
      mode: name,
      id: 'key',
      by: () => ({ n: 1 }),
      set: ({ n, ...row }: Document) => row,
    } as never)
    const guard = guardOf(mode, 'owner', 1_000, 3)
    const value = fc.oneof(fc.integer(), fc.double({ noNaN: true }), fc.string({ unit: 'grapheme' }), fc.boolean())
    const some = fc.dictionary(fc.constantFrom('a', 'b', 'é', 'a b', '1', '_id'), fc.oneof(value, fc.array(value)))
    const bodies = fc.sample(some, { numRuns: 100, seed: 7 })
    for (const held of [guard, undefined]) {
      const collections = ['inserted', 'upserted'].map((side) => stored(`${newName()}-${side}`))
      const [inserting, upserting] = collections.map((each) => each.initializeUnorderedBulkOp())
      for (const [i, body] of bodies.entries()) {
        const write = writeOf(mode, { ...body, key: i })
        inserting?.insert(mode.document?.(write, held) ?? {})
        upserting?.addToOperationsList(BatchType.UPDATE, mode.statement?.(write, held, true) ?? {})
      }
      await inserting?.execute()
      await upserting?.execute()
      const [made, upserted] = await Promise.all(collections.map((each) => each.find().sort({ _id: 1 }).toArray()))
      expect(made).toHaveLength(bodies.length)
      expect(made).toEqual(upserted)
    }
  })
})

function writeOf(mode: Mode, record: unknown): Write {
  return { collection: '', index: 0, others: undefined, ...mode.writeOf(record) }
}

function newDocument(mode: Mode, row: Row, batchTime: number): Document {
  const write = writeOf(mode, row)
  return mode.document?.(write, guardOf(mode, 'owner', batchTime, 0)) ?? {}
}
