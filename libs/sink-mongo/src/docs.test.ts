/** The examples of docs/mongo.md are run as they stand there, against a server. */
import type { DStream } from '@sluice/core'
import { runBatches } from '@sluice/core/testing'
import { importBlock } from '@sluice/doc-blocks'
import { describeWithInstalled, startService, type ServiceInstance } from '@sluice/services'
import { MongoClient, type Db, type Document } from 'mongodb'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

interface Examples {
  addByHand(db: Db, orders: readonly { country: string; amount: number }[]): Promise<void>
  countOrders(stream: DStream<{ id: string; country: string; amount: number }>, url: string): void
  move(stream: DStream<{ from: string; to: string; amount: number }>, url: string): void
  latest(stream: DStream<{ user: string; page: string }>, url: string): MongoClient
  scores(stream: DStream<{ player: string; points: number }>, url: string): void
}

await describeWithInstalled({ describe, test }, ['mongo'], 'docs/mongo.md', () => {
  let server: ServiceInstance<'mongo'>
  let reader: MongoClient
  let url = ''
  beforeAll(async () => {
    server = await startService('mongo')
    url = server.values.url
    reader = new MongoClient(url)
  }, 120_000)
  afterAll(async () => {
    await reader.close(true)
    await server.stop()
  })

  const all = (database: string, name: string): Promise<Document[]> =>
    reader
      .db(database)
      .collection(name)
      .find({}, { projection: { _sluice: 0 } })
      .sort({ _id: 1 })
      .toArray()

  test('the bulk write by hand counts, and twice what is written twice', async () => {
    const { addByHand } = await importBlock<Examples>('docs/mongo.md', 'addByHand')
    const db = reader.db('by_hand')
    const orders = [{ country: 'fr', amount: 5 }]
    await addByHand(db, [...orders, { country: 'de', amount: 7 }])
    await addByHand(db, orders)
    expect(await all('by_hand', 'countries')).toEqual([
      { _id: 'de', orders: 1, amount: 7 },
      { _id: 'fr', orders: 2, amount: 10 },
    ])
  })

  test('orders are counted and kept', async () => {
    const { countOrders } = await importBlock<Examples>('docs/mongo.md', 'countOrders')
    const order = (id: string, country: string, amount: number) => ({ id, country, amount })
    await runBatches([[order('1', 'fr', 5), order('2', 'de', 7)], [order('3', 'fr', 4)]], (stream) => {
      countOrders(stream, url)
    })
    expect(await all('shop', 'countries')).toEqual([
      { _id: 'de', orders: 1, amount: 7 },
      { _id: 'fr', orders: 2, amount: 9 },
    ])
    expect(await all('shop', 'orders')).toMatchObject([{ _id: '1' }, { _id: '2', amount: 7 }, { _id: '3' }])
    const guarded = await reader.db('shop').collection<{ _id: string }>('countries').findOne({ _id: 'fr' })
    expect(Object.keys((guarded as Document | null)?.['_sluice'] as object)).toEqual([
      expect.stringMatching(/^[-\w]{11}_\d$/),
    ])
  })

  test('a server whose transactions undo nothing is refused, as the page says', async () => {
    const { move } = await importBlock<Examples>('docs/mongo.md', 'move')
    const running = runBatches([[{ from: 'a', to: 'b', amount: 1 }]], (stream) => {
      move(stream, url)
    })
    await expect(running).rejects.toThrow(/keeps what an aborted transaction has written/)
  })

  test('a client of one’s own is not closed', async () => {
    const { latest } = await importBlock<Examples>('docs/mongo.md', 'latest')
    let client: MongoClient | undefined
    await runBatches([[{ user: 'ann', page: 'home' }], [{ user: 'ann', page: 'cart' }]], (stream) => {
      client = latest(stream, url)
    })
    expect(await client?.db('shop').collection('users').countDocuments()).toBe(1)
    expect(await all('shop', 'users')).toEqual([{ _id: 'ann', page: 'cart' }])
    await client?.close(true)
  })

  test('records that do not fit are dead letters', async () => {
    const { scores } = await importBlock<Examples>('docs/mongo.md', 'scores')
    await reader.db('games').collection<Document & { _id: string }>('scores').insertOne({ _id: 'bob', points: 'many' })
    const records = [
      { player: 'ann', points: 3 },
      { player: 'bob', points: 1 },
      { player: 'cid', points: NaN },
    ]
    await runBatches([records], (stream) => {
      scores(stream, url)
    })
    expect(await all('games', 'scores')).toEqual([
      { _id: 'ann', points: 3 },
      { _id: 'bob', points: 'many' },
    ])
    const letters = await all('games', 'refused')
    expect(letters.sort((a, b) => Number(a['index']) - Number(b['index']))).toMatchObject([
      { index: 1, code: 'RECORD_REJECTED', message: expect.stringMatching(/non-numeric/) as string },
      { index: 2, message: expect.stringMatching(/points is NaN/) as string },
    ])
  })
})
