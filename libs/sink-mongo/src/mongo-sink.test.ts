/** What the sink's options mean, and what it leaves in documents and ledger. */
import { SinkDrive } from '@sluice/testkit'
import { SluiceError, type Logger, type Rejected, type Sink } from '@sluice/core'
import { runBatches } from '@sluice/core/testing'
import { describeWithServices } from '@sluice/services'
import fc from 'fast-check'
import { Binary, Decimal128, Double, Int32, Long, MongoClient, ObjectId, type Collection, type Document } from 'mongodb'
import { afterAll, describe, expect, test } from 'vitest'
import { idKey, requireDocument } from './documents.js'
import type { MongoSinkOptions } from './mongo-sink.config.js'
import { mongoSink } from './mongo-sink.js'
import { missingActions, requireKind } from './permissions.js'

const DATABASE = 'sink'
const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )

interface Count {
  readonly key: string
  readonly by: number
}

const options = { url: 'mongodb://localhost', database: 'd', collection: 'c', mode: 'insert' } as const

describe('options', () => {
  test.each<[string, object, RegExp]>([
    ['an unknown mode', { mode: 'delete' }, /no mode 'delete'; use one of insert/],
    ['no place', { url: undefined }, /one of `url` and `client`/],
    ['two places', { client: { db: () => undefined } }, /one of `url` and `client`/],
    ['a client of another kind', { url: undefined, client: {} }, /has no `db`/],
    ['another scheme', { url: 'http://me:secret@h' }, /must be mongodb:\/\//],
    ['a database that is none', { database: 'a.b' }, /name of a `database`/],
    ['a collection that is none', { collection: '$x' }, /needs a `collection`/],
    ['the ledger’s collection', { collection: 'sluice_ledger' }, /ledger needs a collection of its own/],
    ['no operations', { mode: 'custom' }, /needs `operations`/],
    ['a transaction without a ledger', { ledger: false, transaction: true }, /leave one of them out/],
    ['inserts by id without a ledger', { ledger: false, id: 'x' }, /use mode replace/],
    ['no time', { callTimeoutMs: 0 }, /at least 1/],
  ])('%s is refused', (_, wrong, message) => {
    const make = () => mongoSink({ ...options, ...wrong } as never)
    expect(make).toThrow(message)
    expect(make).not.toThrow(/secret/)
  })

  test.each<[object, string]>([
    [{}, 'exactly-once'],
    [{ transaction: true, mode: 'custom', operations: () => [] }, 'exactly-once'],
    [{ writeConcern: { w: 1 } }, 'effectively-once'],
    [{ writeConcern: { journal: false } }, 'effectively-once'],
    [{ mode: 'custom', operations: () => [] }, 'at-least-once'],
    [{ ledger: false }, 'at-least-once'],
  ])('with %j the guarantee is %s', (more, level) => {
    expect(mongoSink({ ...options, ...more } as MongoSinkOptions<object>).guarantee.level).toBe(level)
  })
})

describe('documents', () => {
  test('E20: what the server takes for one _id has one key, and what differs has another', () => {
    const id = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.boolean(),
      fc.date({ noInvalidDate: true }),
      fc.uint8Array(),
    )
    fc.assert(
      fc.property(id, id, (a, b) => {
        const isOne = typeof a === typeof b ? sameValue(a, b) : isNumber(a) && isNumber(b) && isSameNumber(a, b)
        expect(idKey(a) === idKey(b)).toBe(isOne)
        expect(idKey({ a, b })).not.toBe(idKey({ b, a }))
      }),
    )
  })

  test('numbers of the driver’s types are the numbers that they hold', () => {
    for (const one of [1, 1n, new Int32(1), new Double(1), Long.fromNumber(1)]) expect(idKey(one)).toBe('n1')
    const bytes = new Uint8Array([1, 2])
    expect(idKey(new Binary(bytes))).toBe(idKey(bytes))
    expect(idKey(new Binary(bytes, 4))).not.toBe(idKey(bytes))
    const id = new ObjectId()
    expect(idKey(ObjectId.createFromHexString(id.toHexString()))).toBe(idKey(id))
    expect(() => idKey(Decimal128.fromString('1'))).toThrow(/several forms/)
  })

  test.each([[{ $gt: '' }], [{ a: { $in: [] } }], [/x/], [new Error('x')], [new Map([['a', 1]])]])(
    'E20: %o is no _id: a filter would take it for a question, or for nothing',
    (id) => {
      expect(() => idKey(id)).toThrow(/begins with \$|is an instance of/)
    },
  )

  test.each<[string, unknown, RegExp]>([
    ['null', null, /is null, not a plain object/],
    ['a list', [1], /is an array/],
    ['what an update takes for an operator', { $set: 1 }, /\$ begins the server/],
    ['the sink’s own field', { _sluice: {} }, /the sink's own/],
    ['undefined', { a: { b: undefined } }, /field a field b is undefined/],
    ['half a character', { a: ['\ud800'] }, /half a character/],
    ['an instance', { a: new Error('x') }, /an instance of Error/],
    ['NUL in a name', { 'a\0': 1 }, /name that is no text/],
    ['more than 16 MiB', { a: 'x'.repeat(2 ** 24) }, /16 MiB/],
  ])('%s is none', (_, document, message) => {
    expect(() => {
      requireDocument(document)
    }).toThrow(message)
  })

  test('what holds itself is none, and what is large but not too large is one', () => {
    const ring: Record<string, unknown> = {}
    ring['ring'] = ring
    expect(() => {
      requireDocument(ring)
    }).toThrow(/holds itself/)
    requireDocument({ text: 'x'.repeat(2 ** 23), bytes: new Uint8Array(2 ** 22), map: new Map([['a', 1n]]), n: NaN })
  })
})

const sameValue = (a: unknown, b: unknown): boolean => {
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime()
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.from(a).equals(b)
  return a === b
}
/** Numbers and bigints compare by their value. */
const isSameNumber = (a: number | bigint, b: number | bigint): boolean => !(a < b) && !(a > b)
const isNumber = (value: unknown): value is number | bigint => typeof value === 'number' || typeof value === 'bigint'

describe('what is asked at the start', () => {
  const needed = ['find', 'insert', 'update']
  const users = { authenticatedUsers: [{ user: 'me', db: 'admin' }] }
  const may = (resource: object, ...actions: string[]) => ({
    ...users,
    authenticatedUserPrivileges: [{ resource, actions }],
  })
  test.each<[string, object, readonly string[]]>([
    ['nobody logs in', { authenticatedUsers: [] }, []],
    ['the server does not say', users, []],
    ['all of the database', may({ db: 'd', collection: '' }, ...needed), []],
    ['all databases', may({ db: '', collection: '' }, ...needed), []],
    ['anything', may({ anyResource: true }, ...needed), []],
    ['reading', may({ db: 'd', collection: '' }, 'find'), ['insert', 'update']],
    ['another collection', may({ db: 'd', collection: 'x' }, ...needed), needed],
    ['the cluster', may({ cluster: true }, ...needed), needed],
  ])('privileges: %s', (_, info, missing) => {
    expect(missingActions(info, 'd', 'c', needed)).toEqual(missing)
  })

  test('views, time series and collations are refused, with the remedy', () => {
    expect(() => {
      requireKind({ type: 'timeseries' }, 'c')
    }).toThrow(/c is a timeseries/)
    expect(() => {
      requireKind({ type: 'collection', options: { collation: { locale: 'de', strength: 1 } } }, 'c')
    }).toThrow(/collation de/)
    requireKind({ type: 'collection', options: { collation: { locale: 'simple' } } }, 'c')
    requireKind(undefined, 'c')
  })
})

await describeWithServices({ describe, test }, ['mongo'], 'mongoSink and what it writes', ({ mongo: { url } }) => {
  const reader = new MongoClient(url)
  afterAll(() => reader.close(true))
  let names = 0
  const newName = (): string => `sink-${String(process.pid)}-${String(++names)}`
  const stored = (name: string): Collection<Document & { _id: string }> => reader.db(DATABASE).collection(name)
  const place = (collection: string) => ({ url, database: DATABASE, collection })
  const counting = (name: string): Sink<Count> =>
    mongoSink<Count>({ ...place(name), mode: 'increment', id: 'key', by: ({ by }) => ({ by }) })
  const plain = (name: string, fields: object = {}) =>
    stored(name)
      .find({}, { projection: { _sluice: 0, ...fields } })
      .sort({ _id: 1 })
      .toArray()

  test('E20: increments are summed by _id, and a replay after a crash half-way adds only what is missing', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = counting(name)
    await drive.open(sink)
    const batch = ['a', 'b', 'a', 'c'].map((key, i) => ({ key, by: i + 1 }))
    await drive.write(sink, batch)
    // As if the process had died before b and c, and before the ledger was told.
    await stored(name).deleteMany({ _id: { $in: ['b', 'c'] } })
    await reader
      .db(DATABASE)
      .collection<{ _id: string }>('sluice_ledger')
      .updateOne({ _id: `${drive.app}:to-0` }, { $unset: { partitions: 1 } })
    await drive.write(sink, batch, { id: { attempt: 1 } })
    expect(await plain(name)).toEqual([
      { _id: 'a', by: 4 },
      { _id: 'b', by: 2 },
      { _id: 'c', by: 4 },
    ])
    await sink.close?.()
  })

  test('E20: two partitions that make the same document at once count both, and so does a later batch', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = counting(name)
    await drive.open(sink)
    const records = Array.from({ length: 50 }, (_, i) => ({ key: `k${String(i)}`, by: 1 }))
    for (const batchTime of [1_000, 2_000])
      await Promise.all(
        [0, 1, 2, 3].map((partition) => drive.write(sink, records, { id: { batchTime, partition, partitions: 4 } })),
      )
    expect(await plain(name)).toEqual(
      records.map(({ key }) => ({ _id: key, by: 8 })).sort((a, b) => (a._id < b._id ? -1 : 1)),
    )
    await sink.close?.()
  })

  test('a document that somebody else has inserted is a conflict, one’s own of an earlier try is not', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = mongoSink<Count>({ ...place(name), mode: 'insert', id: 'key' })
    await drive.open(sink)
    await stored(name).insertOne({ _id: 'theirs' })
    const records = ['mine', 'theirs', 'too'].map((key) => ({ key, by: 1 }))
    for (const attempt of [0, 1]) {
      const rejected: number[] = []
      const policy = new SluiceError({ code: 'RECORD_REJECTED', component: 'test', message: 'no' })
      const outcome = await errorOf(
        drive.write(sink, records, {
          id: { attempt },
          reject: (index, error) => {
            expect(error.message).toMatch(/refuses it: .*uplicate key/)
            expect(error.message).not.toMatch(/theirs/)
            rejected.push(index)
          },
          settleRejects: () => (rejected.length > 0 ? Promise.reject(policy) : Promise.resolve()),
        }),
      )
      expect(outcome).toBe(policy)
      expect(rejected).toEqual([1])
    }
    await drive.write(
      sink,
      records.filter(({ key }) => key !== 'theirs'),
      { id: { attempt: 2 } },
    )
    expect(await plain(name)).toEqual([
      { _id: 'mine', key: 'mine', by: 1 },
      { _id: 'theirs' },
      { _id: 'too', key: 'too', by: 1 },
    ])
    await sink.close?.()
  })

  test('E18: what a unique index refuses goes to the dead letters; run again, the others keep their numbers', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    await stored(name).createIndex({ by: 1 }, { unique: true })
    const sink = mongoSink<Count>({ ...place(name), mode: 'insert' })
    await drive.open(sink)
    const records = [1, 2, 1, 3, 4].map((by) => ({ key: 'x', by }))
    const rejected: number[] = []
    const crash = new Error('the process died after the dead letters')
    const first = drive.write(sink, records, {
      reject: (index) => void rejected.push(index),
      settleRejects: () => (rejected.length > 0 ? Promise.reject(crash) : Promise.resolve()),
    })
    expect(await errorOf(first)).toBe(crash)
    expect(rejected).toEqual([2])
    // The engine leaves out what has its dead letter.
    await drive.write(
      sink,
      records.filter((_, i) => i !== 2),
      { id: { attempt: 1 } },
    )
    expect((await plain(name, { _id: 0 })).map((each) => (each as unknown as Count).by).sort()).toEqual([1, 2, 3, 4])
    await sink.close?.()
  })

  test('E18: a field that cannot be added to is refused, its neighbours are written', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    await stored(name).insertOne({ _id: 'text', by: 'x' } as never)
    const sink = counting(name)
    await drive.open(sink)
    const rejected: number[] = []
    const batch = ['a', 'text', 'b', 'text'].map((key) => ({ key, by: 1 }))
    await drive.write(sink, batch, { reject: (index) => void rejected.push(index) })
    expect(rejected).toEqual([1, 3])
    expect(await plain(name)).toEqual([
      { _id: 'a', by: 1 },
      { _id: 'b', by: 1 },
      { _id: 'text', by: 'x' },
    ])
    await sink.close?.()
  })

  test('E18: as a dead-letter sink it keeps each index once, also of a partition that is done', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = mongoSink<{ n: number }>({ ...place(name), mode: 'insert' })
    await drive.open(sink)
    expect(await sink.settledIndexes?.(drive.id())).toEqual([])
    const letters = (...indexes: number[]) => indexes.map((n) => ({ n }))
    await drive.write(sink, letters(2, 5), { indexes: [2, 5] })
    await drive.write(sink, letters(2, 5, 17), { indexes: [2, 5, 17] })
    expect(await sink.settledIndexes?.(drive.id({ attempt: 3 }))).toEqual([2, 5, 17])
    const numbers = (await plain(name)).map((each) => Number((each as Document)['n']))
    expect(numbers.sort((a, b) => a - b)).toEqual([2, 5, 17])
    await drive.write(sink, letters(1), { indexes: [1], id: { batchTime: 2_000 } })
    expect(await sink.settledIndexes?.(drive.id())).toEqual([2, 5, 17])
    expect(await sink.settledIndexes?.(drive.id({ batchTime: 2_000 }))).toEqual([1])
    await sink.close?.()
  })

  test('E18: an engine sends what is refused to the dead letters in the same server', async () => {
    const name = newName()
    const letters = mongoSink<Rejected<Count>>({
      ...place(`${name}-letters`),
      mode: 'insert',
      document: ({ index, message, batchTime }) => ({ index, message, batchTime }),
    })
    const records = ['a', undefined, 'b'].map((key) => ({ key: key as string, by: 1 }))
    await runBatches([records], (stream) => {
      stream.to(counting(name), { onError: { deadLetter: letters } })
    })
    expect(await plain(name)).toEqual([
      { _id: 'a', by: 1 },
      { _id: 'b', by: 1 },
    ])
    expect(await plain(`${name}-letters`, { _id: 0 })).toMatchObject([
      { index: 1, message: expect.stringMatching(/_id that is undefined/) as string },
    ])
  })

  test('the collection may differ from record to record', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = mongoSink<Count>({
      url,
      database: DATABASE,
      collection: ({ key }) => (key === '' ? '' : `${name}-${key}`),
      mode: 'upsert',
      id: 'by',
    })
    await drive.open(sink)
    const rejected: number[] = []
    const records = [
      { key: 'a', by: 1 },
      { key: 'b', by: 1 },
      { key: '', by: 1 },
      { key: 'a', by: 2 },
    ]
    await drive.write(sink, records, { reject: (index) => void rejected.push(index) })
    expect(rejected).toEqual([2])
    expect(await plain(`${name}-a`)).toEqual([
      { _id: 1, key: 'a', by: 1 },
      { _id: 2, key: 'a', by: 2 },
    ])
    expect(await plain(`${name}-b`)).toEqual([{ _id: 1, key: 'b', by: 1 }])
    expect(sink.target).toBe('upsert sink.*')
    await sink.close?.()
  })

  test('the ledger has one document for each output, and a document one guard for each output or partition', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const [counters, latest] = [counting(name), mongoSink<Count>({ ...place(name), mode: 'upsert', id: 'key' })]
    await drive.open(counters)
    await drive.open(latest, { output: 'latest' })
    for (const batchTime of [1_000, 2_000, 3_000])
      for (const partition of [0, 1]) {
        const id = { batchTime, partition, partitions: 2 }
        await drive.write(counters, [{ key: 'a', by: 1 }], { id })
        await drive.write(latest, [{ key: 'a', by: 7 }], { id: { ...id, output: 'latest' } })
      }
    const ledgers = await reader
      .db(DATABASE)
      .collection<{ _id: string }>('sluice_ledger')
      .find({ _id: { $regex: `^${drive.app}:` } })
      .toArray()
    expect(ledgers.map(({ _id }) => _id).sort()).toEqual([`${drive.app}:latest`, `${drive.app}:to-0`])
    expect(ledgers[0]).toMatchObject({ epoch: 1, newest: 3_000, partitions: { 1: { time: 3_000, isDone: true } } })
    const guards = (await stored(name).findOne({ _id: 'a' })) as unknown as { _sluice: Record<string, number> }
    expect(Object.values(guards._sluice)).toEqual([3_000, 3_000, 3_000])
    for (const sink of [counters, latest]) await sink.close?.()
  })

  test.each(['replace', 'upsert'] as const)(
    'E9: by %s, what lands after a later batch leaves it as it is',
    async (mode) => {
      const [drive, name] = [new SinkDrive(), newName()]
      const sink = mongoSink<Count>({ ...place(name), mode, id: 'key' } as MongoSinkOptions<Count>)
      await drive.open(sink)
      await drive.write(sink, [{ key: 'a', by: 2 }], { id: { batchTime: 2_000 } })
      // As it was when the older batch asked the ledger.
      const ledger = reader.db(DATABASE).collection<{ _id: string }>('sluice_ledger')
      await ledger.updateOne({ _id: `${drive.app}:to-0` }, { $unset: { newest: 1, plan: 1, partitions: 1 } })
      const late = ['a', 'b'].map((key) => ({ key, by: 1 }))
      await drive.write(sink, late)
      expect(await plain(name)).toEqual([
        { _id: 'a', key: 'a', by: 2 },
        { _id: 'b', key: 'b', by: 1 },
      ])
      await sink.close?.()
    },
  )

  test('E8: without its fence nothing is written', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = counting(name)
    await drive.open(sink)
    await reader
      .db(DATABASE)
      .collection<{ _id: string }>('sluice_ledger')
      .deleteOne({ _id: `${drive.app}:to-0` })
    expect(await errorOf(drive.write(sink, [{ key: 'a', by: 1 }]))).toMatchObject({
      code: 'FENCED',
      message: expect.stringMatching(/fence .* is gone/) as string,
    })
    expect(await plain(name)).toEqual([])
    await sink.close?.()
  })

  test('sums that no number holds are refused, and whole numbers of 64 bits are kept', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = mongoSink<bigint>({ ...place(name), mode: 'increment', id: () => 'one', by: (n) => ({ n }) })
    await drive.open(sink)
    await drive.write(sink, [2n ** 62n, 1n])
    const rejected: number[] = []
    const beyond = [2n ** 62n, 2n ** 62n, 2n ** 62n]
    await drive.write(sink, beyond, { id: { batchTime: 2_000 }, reject: (index) => void rejected.push(index) })
    expect(rejected).toEqual([0, 1, 2])
    const found = await stored(name).findOne({}, { useBigInt64: true, projection: { n: 1, _id: 0 } })
    expect(found).toEqual({ n: 2n ** 62n + 1n })
    await sink.close?.()
  })

  test('the records that were given are left as they were', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const records = [
      { _id: 'a', deep: { x: 1 } },
      { _id: 'a', deep: { x: 2 } },
    ].map((each) => Object.freeze(each))
    for (const mode of ['replace', 'upsert'] as const) {
      const sink = mongoSink<object>({ ...place(name), mode } as MongoSinkOptions<object>)
      await drive.open(sink, { output: mode })
      await drive.write(sink, records, { id: { output: mode } })
      await sink.close?.()
    }
    expect(await plain(name)).toEqual([{ _id: 'a', deep: { x: 2 } }])
  })

  test('a given client is never closed, however it is set', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const client = new MongoClient(url, { promoteValues: false, ignoreUndefined: true, readPreference: 'secondary' })
    const sink = mongoSink<Count>({ client, database: DATABASE, collection: name, mode: 'increment', id: 'key' })
    await drive.open(sink)
    await drive.write(sink, [{ key: 'a', by: 1 }])
    await drive.write(sink, [{ key: 'a', by: 1 }], { id: { attempt: 1 } })
    await sink.close?.()
    expect(await client.db(DATABASE).collection(name).find().toArray()).toHaveLength(1)
    expect(await plain(name)).toEqual([{ _id: 'a', count: 1 }])
    await client.close(true)
  })

  test('a server whose abort undoes nothing is found out at the start', async () => {
    const [drive, name] = [new SinkDrive(), newName()]
    const sink = mongoSink<Count>({ ...place(name), mode: 'insert', transaction: true })
    const error = await errorOf(drive.open(sink))
    expect(error).toMatchObject({
      code: 'ARGUMENT_INVALID',
      message: expect.stringMatching(/keeps what an aborted transaction has written; leave out/) as string,
    })
    expect(
      await reader
        .db(DATABASE)
        .collection<{ _id: string }>('sluice_ledger')
        .findOne({ _id: `probe:${drive.app}:to-0` }),
    ).toBeNull()
    await sink.close?.()
  })
})

await describeWithServices({ describe, test }, ['mongo-tls'], 'mongoSink and logging in', ({ 'mongo-tls': server }) => {
  const { url, ca, password, address } = server
  test.each([
    ['another password', url.replace(password, 'wrong-secret'), { ca }],
    ['another certificate', url, {}],
    ['no TLS', url.replace('tls=true', 'tls=false'), {}],
    ['nobody', `mongodb://${address}/?tls=true`, { ca }],
  ])('%s is refused at the start, with a remedy and without the password', async (_, given, more) => {
    const lines: unknown[] = []
    const log = (...line: unknown[]): void => void lines.push(line)
    const logger: Logger = { debug: log, info: log, warn: log, error: log }
    const sink = mongoSink<object>({
      ...{ url: given, options: more, database: DATABASE, collection: 'c', mode: 'insert', callTimeoutMs: 2_000 },
    })
    const error = (await errorOf(new SinkDrive().open(sink, { logger }))) as SluiceError
    expect(error).toMatchObject({ code: expect.stringMatching(/CONNECTION_FAILED|TIMEOUT|OUTPUT_FAILED/) as string })
    expect(error.message).toMatch(/; /)
    for (const secret of [password, 'wrong-secret'])
      expect(JSON.stringify([lines, error.message, error.stack, String(error.cause), sink.target])).not.toContain(
        secret,
      )
    await sink.close?.()
  })
})
