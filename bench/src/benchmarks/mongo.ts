/**
 * The MongoDB sink against what one writes by hand: the driver's bulk writes of as many operations. With a ledger the sink also keeps each
 * batch from being written twice, by a guard in each document, which the bulk writes do not. The ratio is that of the process's CPU time,
 * which is what the sink adds; the server, FerretDB in place of MongoDB, takes longer than both.
 */
import { startService } from '@sluice/services'
import { mongoSink, type MongoSinkOptions, type MongoWrite } from '@sluice/sink-mongo'
import { MongoClient, type AnyBulkWriteOperation, type Document } from 'mongodb'
import type { Benchmark, Sizes } from '../benchmark.js'
import { measure, type Contest } from '../measure.js'
import { sinkDriver } from '../sink-driver.js'

const RECORDS = 20_000
const PARTITION = 10_000
const CHUNK = 1_000
const KEYS = 500
const DATABASE = 'bench'
const WITHOUT_LEDGER_AIM = 0.9
const WITH_LEDGER_AIM = 0.8

interface Order {
  readonly id: string
  readonly region: string
  readonly cents: number
}

interface Mode {
  readonly write: object
  /** Whether the documents are there before a run, as its last one has left them. Else the collection is empty. */
  readonly isRewriting?: boolean
  readonly operation: (order: Order) => AnyBulkWriteOperation<Document>
}

const replace: Mode = {
  write: { mode: 'replace', id: 'id' },
  operation: (order) => ({
    replaceOne: { filter: { _id: order.id as never }, replacement: { ...order }, upsert: true },
  }),
}
const upsert: Mode = {
  write: { mode: 'upsert', id: 'id' },
  operation: (order) => ({
    updateOne: { filter: { _id: order.id as never }, update: { $set: { ...order } }, upsert: true },
  }),
}

const modes: Readonly<Record<string, Mode>> = {
  insert: { write: { mode: 'insert' }, operation: (order) => ({ insertOne: { document: { ...order } } }) },
  replace,
  'replace what is there': { ...replace, isRewriting: true },
  upsert,
  'upsert what is there': { ...upsert, isRewriting: true },
  increment: {
    write: { mode: 'increment', id: 'region', by: ({ cents }: Order) => ({ cents }) },
    operation: ({ region, cents }) => ({
      updateOne: { filter: { _id: region as never }, update: { $inc: { cents } }, upsert: true },
    }),
  },
}

export const mongo: Benchmark = {
  name: 'mongo',
  about:
    'the MongoDB sink against bulk writes of the driver by hand, with and without a ledger; needs the service mongo',
  run: async (sizes) => {
    const server = await startService('mongo')
    const client = new MongoClient(server.values.url)
    try {
      const contests: Contest[] = []
      for (const [name, mode] of Object.entries(modes))
        for (const ledger of [false, true]) contests.push(await contestOf(name, mode, ledger, client, sizes))
      return await measure(contests, sizes.repeats({ warmUp: 1, rounds: 5 }))
    } finally {
      await client.close(true)
      await server.stop()
    }
  },
}

function ordersOf(count: number, run: number): readonly Order[] {
  return Array.from({ length: count }, (_, i) => {
    const region = `region ${String((i * 7_919) % KEYS)}`
    return { id: `order ${String(i)}`, region, cents: (i % 1_000) + run }
  })
}

async function contestOf(
  name: string,
  mode: Mode,
  ledger: boolean,
  client: MongoClient,
  sizes: Sizes,
): Promise<Contest> {
  const label = ledger ? 'with a ledger' : 'without'
  const names = { ours: `${name} ${label} ours`, reference: `${name} ${label} by hand` }
  const where = { client, database: DATABASE, collection: names.ours, ledger, callTimeoutMs: 60_000 }
  const sink = mongoSink<Order>({ ...where, ...(mode.write as MongoWrite<Order>) } as MongoSinkOptions<Order>)
  const drive = await sinkDriver(sink, { partition: PARTITION, chunk: CHUNK })
  const runs = { ours: 0, reference: 0 }
  let orders: readonly Order[] = []
  return {
    name: `mongo/${name}, ${label}`,
    aim: ledger ? WITH_LEDGER_AIM : WITHOUT_LEDGER_AIM,
    noun: 'records',
    count: sizes.count(RECORDS),
    prepare: async (side) => {
      // What is there already is not what is written: a server may leave out what changes nothing.
      orders = ordersOf(sizes.count(RECORDS), ++runs[side])
      if (mode.isRewriting !== true) await client.db(DATABASE).collection(names[side]).drop()
    },
    ours: () => drive(orders),
    reference: () => writeByHand(client, names.reference, orders.map(mode.operation)),
    made: (side) => totalOf(client, names[side]),
  }
}

/** So much is there: both sides must have written the same. */
async function totalOf(client: MongoClient, name: string): Promise<number> {
  const [found] = await client
    .db(DATABASE)
    .collection(name)
    .aggregate([{ $group: { _id: null, cents: { $sum: '$cents' } } }])
    .toArray()
  return Number(found?.['cents'])
}

async function writeByHand(
  client: MongoClient,
  name: string,
  operations: readonly AnyBulkWriteOperation<Document>[],
): Promise<void> {
  const collection = client.db(DATABASE).collection<Document>(name, { writeConcern: { w: 'majority', journal: true } })
  for (let at = 0; at < operations.length; at += CHUNK)
    await collection.bulkWrite(operations.slice(at, at + CHUNK), { ordered: false })
}
