/** The examples of docs/redis.md are run as they stand there, against a server. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DStream } from '@sluice/core'
import { runBatches } from '@sluice/core/testing'
import { importBlock, ROOT } from '@sluice/doc-blocks'
import { describeWithInstalled, startService, type ServiceInstance } from '@sluice/services'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { redisSink } from './redis-sink.js'

interface Examples {
  addByHand(redis: Redis, orders: readonly { country: string; amount: number }[]): Promise<void>
  countOrders(stream: DStream<{ country: string; amount: number }>, url: string): void
  latest(stream: DStream<{ id: string; state: string }>, url: string): Redis
  scores(stream: DStream<{ player: string; points: number }>, url: string): void
  visits(stream: DStream<{ page: string; user: string }>, url: string): void
}

await describeWithInstalled({ describe, test }, ['redis'], 'docs/redis.md', () => {
  let server: ServiceInstance<'redis'>
  let reader: Redis
  let url = ''
  beforeAll(async () => {
    server = await startService('redis')
    url = server.values.url
    reader = new Redis(url)
  })
  afterAll(async () => {
    reader.disconnect()
    await server.stop()
  })

  test('the pipeline by hand counts, and twice what is written twice', async () => {
    const { addByHand } = await importBlock<Examples>('docs/redis.md', 'addByHand')
    const orders = [{ country: 'fr', amount: 5 }]
    await addByHand(reader, [...orders, { country: 'de', amount: 7 }])
    await addByHand(reader, orders)
    expect(await reader.hgetall('orders:count')).toEqual({ fr: '2', de: '1' })
    expect(await reader.zrevrange('orders:revenue', 0, -1, 'WITHSCORES')).toEqual(['fr', '10', 'de', '7'])
    await reader.del('orders:count')
  })

  test('orders are counted and ranked', async () => {
    const { countOrders } = await importBlock<Examples>('docs/redis.md', 'countOrders')
    const order = (country: string, amount: number) => ({ country, amount })
    await runBatches([[order('fr', 5), order('de', 7)], [order('fr', 4)]], (stream) => {
      countOrders(stream, url)
    })
    expect(await reader.hgetall('orders:count')).toEqual({ fr: '2', de: '1' })
    expect(await reader.zrevrange('orders:top', 0, 9, 'WITHSCORES')).toEqual(['fr', '9', 'de', '7'])
    const [ledger = ''] = await reader.keys('sluice:ledger:*:count')
    expect(await reader.hgetall(ledger)).toMatchObject({
      newest: '2000',
      g0: expect.stringMatching(/^\d+ \d+ \d+$/) as string,
    })
  })

  test('a client of one’s own, with its prefix, is not closed', async () => {
    const { latest } = await importBlock<Examples>('docs/redis.md', 'latest')
    let client: Redis | undefined
    await runBatches([[{ id: 'a', state: 'new' }], [{ id: 'a', state: 'paid' }]], (stream) => {
      client = latest(stream, url)
    })
    expect(await client?.get('state:a')).toBe('paid')
    expect(await reader.get('shop:state:a')).toBe('paid')
    client?.disconnect()
  })

  test('records that do not fit are dead letters', async () => {
    const { scores } = await importBlock<Examples>('docs/redis.md', 'scores')
    await reader.set('scores:bob', 'no number')
    const records = [
      { player: 'ann', points: 3 },
      { player: 'bob', points: 1 },
      { player: 'cid', points: 0.5 },
    ]
    await runBatches([records], (stream) => {
      scores(stream, url)
    })
    expect(await reader.get('scores:ann')).toBe('3')
    const letters = (await reader.lrange('scores:refused', 0, -1)).map((text) => JSON.parse(text) as object)
    expect(letters).toMatchObject([
      { index: 2, code: 'RECORD_REJECTED', message: expect.stringMatching(/by is 0.5/) as string },
      { index: 1, partition: 0, message: expect.stringMatching(/not an integer/) as string },
    ])
  })

  test('commands of one’s own', async () => {
    const { visits } = await importBlock<Examples>('docs/redis.md', 'visits')
    const visit = (user: string) => ({ page: 'home', user })
    await runBatches([[visit('ann'), visit('bob')], [visit('ann')]], (stream) => {
      visits(stream, url)
    })
    expect(await reader.pfcount('{home}:users')).toBe(2)
    expect(await reader.get('{home}:visits')).toBe('3')
  })

  test('a user with the rules of the page is enough', async () => {
    const [, rules = ''] =
      /ACL SETUSER sluice on >… (.*)$/m.exec(readFileSync(join(ROOT, 'docs/redis.md'), 'utf8')) ?? []
    await reader.acl('SETUSER', 'sluice', 'on', '>pass', ...rules.split(' '))
    await runBatches([['a'], ['b']], (stream) => {
      stream.to(redisSink<string>({ url: url.replace('//', '//sluice:pass@'), mode: 'list', key: 'orders' }))
    })
    expect(await reader.lrange('orders', 0, -1)).toEqual(['a', 'b'])
  })
})
