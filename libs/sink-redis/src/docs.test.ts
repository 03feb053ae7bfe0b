/** The examples of docs/redis.md are run as they stand there, against a server; that they compile is checked with all of the docs. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { DStream } from '@sluice/core'
import { runBatches } from '@sluice/core/testing'
import { describeWithInstalled, startService, type ServiceInstance } from '@sluice/services'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { redisSink } from './redis-sink.js'

const page = readFileSync(new URL('../../../docs/redis.md', import.meta.url), 'utf8')
const examples = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, source = '']) => source)

interface Examples {
  countOrders(stream: DStream<{ country: string; amount: number }>, url: string): void
  latest(stream: DStream<{ id: string; state: string }>, url: string): Redis
  scores(stream: DStream<{ player: string; points: number }>, url: string): void
  visits(stream: DStream<{ page: string; user: string }>, url: string): void
}

await describeWithInstalled({ describe, test }, ['redis'], 'docs/redis.md', () => {
  const folder = mkdtempSync(join(fileURLToPath(new URL('..', import.meta.url)), 'out-'))
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
    rmSync(folder, { recursive: true })
  })

  /** The example that has this function. */
  async function example<K extends keyof Examples>(name: K): Promise<Examples[K]> {
    const source = examples.find((each) => each.includes(`function ${name}(`)) ?? ''
    const file = join(folder, `${name}.ts`)
    writeFileSync(file, source)
    const module = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as Examples
    return module[name]
  }

  test('orders are counted and ranked', async () => {
    const countOrders = await example('countOrders')
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
    const latest = await example('latest')
    let client: Redis | undefined
    await runBatches([[{ id: 'a', state: 'new' }], [{ id: 'a', state: 'paid' }]], (stream) => {
      client = latest(stream, url)
    })
    expect(await client?.get('state:a')).toBe('paid')
    expect(await reader.get('shop:state:a')).toBe('paid')
    client?.disconnect()
  })

  test('records that do not fit are dead letters', async () => {
    const scores = await example('scores')
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
    const visits = await example('visits')
    const visit = (user: string) => ({ page: 'home', user })
    await runBatches([[visit('ann'), visit('bob')], [visit('ann')]], (stream) => {
      visits(stream, url)
    })
    expect(await reader.pfcount('{home}:users')).toBe(2)
    expect(await reader.get('{home}:visits')).toBe('3')
  })

  test('a user with the rules of the page is enough', async () => {
    const [, rules = ''] = /ACL SETUSER sluice on >… (.*)$/m.exec(page) ?? []
    await reader.acl('SETUSER', 'sluice', 'on', '>pass', ...rules.split(' '))
    await runBatches([['a'], ['b']], (stream) => {
      stream.to(redisSink<string>({ url: url.replace('//', '//sluice:pass@'), mode: 'list', key: 'orders' }))
    })
    expect(await reader.lrange('orders', 0, -1)).toEqual(['a', 'b'])
  })
})
