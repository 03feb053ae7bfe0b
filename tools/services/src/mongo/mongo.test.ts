import { MongoClient, type Collection } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { describeWithInstalled, startService } from '../index.js'
import { mongoService } from './mongo.js'

async function visit<R>(url: string, ca: string, work: (client: MongoClient) => Promise<R>): Promise<R> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 5_000, ...(ca === '' ? {} : { ca }) })
  try {
    return await work(client)
  } finally {
    await client.close(true)
  }
}

type Numbers = Collection<{ _id: number }>

const write = (collection: Numbers, _id: number): Promise<boolean> =>
  collection.updateOne({ _id }, { $set: { seen: true } }, { upsert: true }).then(
    () => true,
    () => false,
  )

async function idsOf(collection: Numbers): Promise<number[]> {
  const found = await collection.find().sort({ _id: 1 }).toArray()
  return found.map(({ _id }) => _id)
}

await describeWithInstalled({ describe, test }, ['mongo', 'mongo-tls'], 'mongo', () => {
  test('keeps what it has acknowledged when its processes are killed', async () => {
    const own = await startService('mongo')
    try {
      const documents = (client: MongoClient) => client.db('service').collection<{ _id: number }>('kept')
      for (const [number, each] of own.processes.entries()) {
        // FerretDB notices only when it uses them that its connections have gone with its storage.
        await expect
          .poll(() => visit(own.values.url, '', (client) => write(documents(client), number)), { timeout: 60_000 })
          .toBe(true)
        await each.restart()
      }
      await expect
        .poll(() => visit(own.values.url, '', (client) => idsOf(documents(client))).catch(String), { timeout: 60_000 })
        .toEqual([0, 1])
    } finally {
      await own.stop()
    }
  }, 120_000)

  test('lets nobody in without TLS or with another password', async () => {
    const own = await startService('mongo-tls')
    const { url, password, ca } = own.values
    const insert = (client: MongoClient) => client.db('service').collection('c').insertOne({ a: 1 })
    try {
      expect(await visit(url, ca, insert)).toMatchObject({ acknowledged: true })
      await expect(visit(url.replace(password, 'wrong'), ca, insert)).rejects.toThrow()
      const plain = `${url.replace('tls=true', 'tls=false')}`
      await expect(visit(plain, '', insert)).rejects.toThrow()
    } finally {
      await own.stop()
    }
  }, 120_000)
})

describe('a server of one’s own', () => {
  test('is named by its URL', () => {
    const { fromEnvironment } = mongoService({ name: 'mongo', tls: false })
    expect(fromEnvironment('mongodb://me:p%40ss@h1:27017,h2:27017/?replicaSet=rs')).toMatchObject({
      address: 'h1:27017',
      user: 'me',
      password: 'p@ss',
    })
    expect(() => fromEnvironment('localhost:27017')).toThrow(/mongodb:\/\//)
  })
})
