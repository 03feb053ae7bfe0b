import { SinkDrive } from '@sluice/testkit'
import { seconds, SluiceError, type Rejected, type Sink } from '@sluice/core'
import { runBatches } from '@sluice/core/testing'
import { describeWithInstalled, describeWithServices, startService } from '@sluice/services'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, test } from 'vitest'
import { redisSink } from './redis-sink.js'
import { slotOf, tagOf } from './slots.js'
import { asJson, rejectedAsJson } from './values.js'

interface Count {
  readonly key: string
  readonly by: number
}

const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )

test('slots are those of the specification, and each has its tag', () => {
  expect(slotOf(Buffer.from('123456789'))).toBe(0x31c3)
  expect(slotOf(Buffer.from('{user}:a'))).toBe(slotOf(Buffer.from('user')))
  expect(slotOf(Buffer.from('{}:a'))).not.toBe(slotOf(Buffer.from('')))
  for (const slot of [0, 1, 9_999, 16_383]) expect(slotOf(Buffer.from(`x{${tagOf(slot)}}y`))).toBe(slot)
})

test('asJson takes what JSON keeps, and nothing else', () => {
  expect(asJson({ a: [1, null, 'x', { b: true }] })).toBe('{"a":[1,null,"x",{"b":true}]}')
  for (const value of [NaN, undefined, 1n, new Date(0), new Map(), { a: { b: undefined } }, [() => 1]])
    expect(() => asJson(value)).toThrow(/is no JSON; map it/)
})

test.each([
  [{ mode: 'append' }, /there is no mode 'append'; use one of set, hash/],
  [{ url: undefined }, /give one of `url`/],
  [{ url: 'localhost:6379' }, /must be redis:\/\/ or rediss/],
  [{ url: 'redis://me:se/cret@host:1' }, /special characters of a password/],
  [{ url: undefined, client: null }, /neither `call` nor `sendCommand`/],
  [{ url: undefined, cluster: ['localhost'] }, /'localhost' is not of the form host:port/],
  [{ url: undefined, sentinels: ['a:1'] }, /name of the `master`/],
  [{ key: '' }, /needs a `key`/],
  [{ key: 'a<b' }, /lone < or >/],
  [{ mode: 'sortedSet' }, /needs `member` and `score`/],
  [{ mode: 'sortedSet', member: 'a', score: 'b', update: 'increment', keep: { highest: 3 } }, /would begin at 0 again/],
  [{ mode: 'list', maxLength: 0 }, /maxLength must be at least 1/],
  [{ mode: 'custom' }, /needs `commands`/],
  [{ url: undefined, client: {} }, /neither `call` nor `sendCommand`/],
])('options that make no sense are refused: %o', (wrong, message) => {
  expect(() => redisSink({ url: 'redis://localhost:6379', mode: 'set', key: 'k', ...wrong } as never)).toThrow(message)
})

await describeWithServices({ describe, test }, ['redis'], 'redisSink', ({ redis: { url } }) => {
  const reader = new Redis(url)
  afterAll(() => {
    reader.disconnect()
  })
  const counting = (key: string): Sink<Count> =>
    redisSink<Count>({ url, mode: 'increment', key: `${key}:<key>`, by: 'by' })
  const named = (name: string): string => `${name}-${String(process.pid)}`

  test('the guarantee is what was found at the server', async () => {
    const sink = counting(named('guarantee'))
    await new SinkDrive().open(sink)
    expect(sink.guarantee).toMatchObject({
      level: 'exactly-once',
      condition: expect.stringMatching(/appendfsync always/),
    })
    await sink.close?.()
  })

  test('E19: what the server refuses fails by its index, and its neighbours are there', async () => {
    const [drive, key] = [new SinkDrive(), named('neighbours')]
    await reader.set(`${key}:text`, 'no number')
    const sink = counting(key)
    await drive.open(sink)
    const records = ['a', 'text', 'b', 'text', 'a'].map((each) => ({ key: each, by: 2 }))
    const rejected: number[] = []
    const reject = (index: number, error: Error): void => {
      expect(error.message).toMatch(/Redis refuses it: .*not an integer/)
      rejected.push(index)
    }
    await drive.write(sink, records, { reject })
    expect(rejected).toEqual([1, 3])
    expect(await reader.mget(`${key}:a`, `${key}:b`, `${key}:text`)).toEqual(['4', '2', 'no number'])
    // Settled: neither refused nor counted again.
    await drive.write(sink, records, { id: { attempt: 1 } })
    expect(await reader.mget(`${key}:a`, `${key}:b`)).toEqual(['4', '2'])
    await sink.close?.()
  })

  test('E19: a key of another type is refused, not replaced, by SET too', async () => {
    const [drive, key] = [new SinkDrive(), named('types')]
    await reader.hset(`${key}:hash`, 'field', 'kept')
    const sink = redisSink<Count>({ url, mode: 'set', key: `${key}:<key>`, value: 'by' })
    await drive.open(sink)
    const rejected: string[] = []
    const reject = (index: number, error: Error): void => void rejected.push(`${String(index)}: ${error.message}`)
    await drive.write(
      sink,
      [
        { key: 'hash', by: 1 },
        { key: 'free', by: 2 },
      ],
      { reject },
    )
    expect(rejected).toEqual([expect.stringMatching(/^0: .*WRONGTYPE the key holds a hash, not a string/)])
    expect(await reader.hget(`${key}:hash`, 'field')).toBe('kept')
    expect(await reader.get(`${key}:free`)).toBe('2')
    await sink.close?.()
  })

  test('E19: where a refused record fails the batch, it is tried again with it, and nothing else is', async () => {
    const [drive, key] = [new SinkDrive(), named('again')]
    await reader.set(`${key}:bad`, 'no number')
    const sink = counting(key)
    await drive.open(sink)
    const records = Array.from({ length: 10 }, (_, i) => ({ key: i === 4 ? 'bad' : `k${String(i)}`, by: 1 }))
    const policy = new SluiceError({ code: 'RECORD_REJECTED', component: 'test', message: 'no' })
    const refusing = { size: 3, reject: () => undefined, settleRejects: () => Promise.reject(policy) }
    let rejects = 0
    const settleRejects = (): Promise<void> => (rejects > 0 ? Promise.reject(policy) : Promise.resolve())
    for (let run = 0; run < 2; run++) {
      rejects = 0
      const outcome = errorOf(drive.write(sink, records, { ...refusing, reject: () => void rejects++, settleRejects }))
      expect(await outcome).toBe(policy)
    }
    await reader.set(`${key}:bad`, '5')
    await drive.write(sink, records, { size: 4 })
    expect(await reader.get(`${key}:bad`)).toBe('6')
    expect(await reader.mget(...records.map((each) => `${key}:${each.key}`))).toEqual(
      records.map((each) => (each.key === 'bad' ? '6' : '1')),
    )
    await sink.close?.()
  })

  test('E19: a partition that was cut short goes on where it was, also with another chunk size', async () => {
    const [drive, key] = [new SinkDrive(), named('resize')]
    const list = redisSink<Count>({ url, mode: 'custom', key, commands: ({ by }) => [['RPUSH', key, by]] })
    const records = Array.from({ length: 30 }, (_, by) => ({ key: '', by }))
    await drive.open(list)
    // A guard as a run before has left it.
    // Beside the one key that it is about.
    const ledger = `sluice:ledger:{${tagOf(slotOf(Buffer.from(key)))}}:${drive.app}:to-0`
    await drive.write(list, [], { id: { batchTime: 500, planDigest: 'before' } })
    await reader.rpush(key, ...records.slice(0, 13).map(({ by }) => String(by)))
    await reader.hset(ledger, { newest: '1000', plan: '1 plan', g0: '1000 13 30' })
    await drive.write(list, records, { size: 7 })
    await drive.write(list, records, { size: 4, id: { attempt: 1 } })
    expect(await reader.lrange(key, 0, -1)).toEqual(records.map(({ by }) => String(by)))
    await list.close?.()
  })

  test('E1: a partition that was cut short and now has other records is an error', async () => {
    const [drive, key] = [new SinkDrive(), named('other')]
    const sink = counting(key)
    await drive.open(sink)
    await reader.hset(`sluice:ledger:${drive.app}:to-0`, { newest: '1000', plan: '1 plan', g0: '1000 1 3' })
    const error = await errorOf(
      drive.write(sink, [
        { key: 'a', by: 1 },
        { key: 'b', by: 1 },
      ]),
    )
    expect(error).toMatchObject({
      code: 'IDENTITY_CONFLICT',
      message: expect.stringMatching(/1 of 3 .* now there are 2/),
    })
    await sink.close?.()
  })

  test('E8: without its fence nothing is written', async () => {
    const [drive, key] = [new SinkDrive(), named('fence')]
    const sink = counting(key)
    await drive.open(sink)
    await reader.del(`sluice:ledger:${drive.app}:to-0`)
    const error = await errorOf(drive.write(sink, [{ key: 'a', by: 1 }]))
    expect(error).toMatchObject({ code: 'FENCED', message: expect.stringMatching(/fence .* is gone/) })
    expect(await reader.exists(`${key}:a`)).toBe(0)
    await sink.close?.()
  })

  test('the ledger has one key for each output, without expiry, whatever was written', async () => {
    const [drive, key] = [new SinkDrive(), named('bounded')]
    const sink = redisSink<Count>({ url, mode: 'set', key: `${key}:<key>`, value: 'by', expire: seconds(100) })
    await drive.open(sink)
    for (let batch = 1; batch <= 5; batch++)
      for (let partition = 0; partition < 6 - batch; partition++)
        await drive.write(sink, [{ key: String(partition), by: batch }], {
          id: { batchTime: batch * 1_000, partitions: 6 - batch, partition },
        })
    const [, ledgers] = await reader.scan(0, 'MATCH', `sluice:ledger:${drive.app}*`, 'COUNT', 1_000_000)
    expect(ledgers).toEqual([`sluice:ledger:${drive.app}:to-0`])
    expect((await reader.hkeys(ledgers[0]!)).sort()).toEqual(['epoch', 'g0', 'newest', 'partitions', 'plan'])
    expect(await reader.pttl(ledgers[0]!)).toBe(-1)
    expect(await reader.pttl(`${key}:0`)).toBeGreaterThan(0)
    await sink.close?.()
  })

  test('the top members stay, lists and streams keep their newest', async () => {
    const [drive, key] = [new SinkDrive(), named('top')]
    const records = [5, 1, 4, 2, 3].map((by) => ({ key: `m${String(by)}`, by }))
    const top = redisSink<Count>({
      url,
      mode: 'sortedSet',
      key: `${key}:top`,
      member: 'key',
      score: 'by',
      keep: { highest: 2 },
    })
    const low = redisSink<Count>({
      url,
      mode: 'sortedSet',
      key: `${key}:low`,
      member: 'key',
      score: 'by',
      keep: { lowest: 2 },
    })
    const list = redisSink<Count>({ url, mode: 'list', key: `${key}:list`, value: 'by', side: 'left', maxLength: 3 })
    const stream = redisSink<Count>({ url, mode: 'stream', key: `${key}:stream`, maxLength: 2 })
    for (const [output, sink] of Object.entries({ top, low, list, stream })) {
      await drive.open(sink, { output })
      await drive.write(sink, records, { id: { output } })
      await sink.close?.()
    }
    expect(await reader.zrange(`${key}:top`, '0', '-1')).toEqual(['m4', 'm5'])
    expect(await reader.zrange(`${key}:low`, '0', '-1')).toEqual(['m1', 'm2'])
    expect(await reader.lrange(`${key}:list`, 0, -1)).toEqual(['3', '2', '4'])
    expect(await reader.xlen(`${key}:stream`)).toBe(2)
  })

  test('scores are kept where they are higher, and counters reach beyond 2^53', async () => {
    const [drive, key] = [new SinkDrive(), named('scores')]
    const max = redisSink<Count>({ url, mode: 'sortedSet', key, member: 'key', score: 'by', update: 'max' })
    await drive.open(max)
    await drive.write(
      max,
      [3, 9, 5].map((by) => ({ key: 'm', by })),
    )
    expect(await reader.zscore(key, 'm')).toBe('9')
    const big = redisSink<bigint>({ url, mode: 'increment', key: `${key}:big`, by: (each) => each })
    await drive.open(big, { output: 'big' })
    const rejected: number[] = []
    await drive.write(big, [2n ** 62n, 1n], { id: { output: 'big' } })
    expect(await reader.get(`${key}:big`)).toBe(String(2n ** 62n + 1n))
    const beyond = { id: { output: 'big', batchTime: 2_000 }, reject: (index: number) => void rejected.push(index) }
    await drive.write(big, [2n ** 62n, 2n ** 62n, 2n ** 62n], beyond)
    expect(rejected).toEqual([0, 1, 2])
    for (const sink of [max, big]) await sink.close?.()
  })

  test('publish reaches who listens', async () => {
    const [drive, channel] = [new SinkDrive(), named('channel')]
    const listener = new Redis(url)
    const heard: string[] = []
    await listener.subscribe(channel)
    const all = new Promise<void>((resolve) => {
      listener.on('message', (_, text: string) => {
        heard.push(text)
        if (heard.length === 3) resolve()
      })
    })
    const sink = redisSink<string>({ url, mode: 'publish', key: channel })
    expect(sink.guarantee.level).toBe('at-least-once')
    await drive.open(sink)
    await drive.write(sink, ['a', 'größe', 'c'])
    await all
    expect(heard).toEqual(['a', 'größe', 'c'])
    listener.disconnect()
    await sink.close?.()
  })

  test('E18: dead letters go to a key of the same server, by index, and a batch that is run again adds none', async () => {
    const key = named('letters')
    const letters = redisSink<Rejected<Count>>({
      url,
      mode: 'list',
      key: `${key}:letters`,
      value: rejectedAsJson,
    })
    await reader.set(`${key}:text`, 'no number')
    const words = ['a', 'text', null, 'b'].map((each) => ({ key: each as string, by: 1 }))
    await runBatches([words], (stream) => {
      stream.to(counting(key), { onError: { deadLetter: letters } })
    })
    const found = (await reader.lrange(`${key}:letters`, 0, -1)).map((text) => JSON.parse(text) as { index: number })
    expect(found.map(({ index }) => index)).toEqual([2, 1])
    expect(await reader.mget(`${key}:a`, `${key}:b`)).toEqual(['1', '1'])
  })

  test('E18: settled dead letters are appended to, each index once', async () => {
    const [drive, key] = [new SinkDrive(), named('settled')]
    const sink = redisSink<string>({ url, mode: 'list', key })
    await drive.open(sink)
    expect(await sink.settledIndexes?.(drive.id())).toEqual([])
    await drive.write(sink, ['r2', 'r5'], { indexes: [2, 5] })
    await drive.write(sink, ['r2', 'r5', 'r7'], { indexes: [2, 5, 7], size: 2 })
    expect(await sink.settledIndexes?.(drive.id({ attempt: 3 }))).toEqual([2, 5, 7])
    expect(await reader.lrange(key, 0, -1)).toEqual(['r2', 'r5', 'r7'])
    await drive.write(sink, ['s1'], { indexes: [1], id: { batchTime: 2_000 } })
    expect(await sink.settledIndexes?.(drive.id({ batchTime: 2_000 }))).toEqual([1])
    expect(await sink.settledIndexes?.(drive.id())).toEqual([])
    await sink.close?.()
  })

  test('a given client is never closed, and its key prefix is used', async () => {
    const drive = new SinkDrive()
    const client = new Redis(url, { keyPrefix: `${named('prefix')}:` })
    const sink = redisSink<Count>({ client, mode: 'increment', key: '<key>', by: 'by' })
    await drive.open(sink)
    await drive.write(sink, [{ key: 'a', by: 3 }])
    await sink.close?.()
    expect(client.status).toBe('ready')
    expect(await client.get('a')).toBe('3')
    client.disconnect()
  })

  test('a client that cannot be duplicated lowers the guarantee, and start says so', async () => {
    const drive = new SinkDrive()
    const shared = new Redis(url)
    const client = {
      options: {},
      call: (...words: string[]) => shared.call(...(words as [string])),
      evalsha: (...words: unknown[]) => shared.evalsha(...(words as [string, number])),
      eval: (...words: unknown[]) => shared.eval(...(words as [string, number])),
    }
    const sink = redisSink<Count>({ client, mode: 'increment', key: `${named('shared')}:<key>`, by: 'by' })
    const warnings: string[] = []
    await drive.open(sink, { logger: { ...drive.context().logger, warn: (text) => void warnings.push(text) } })
    expect(sink.guarantee.level).toBe('at-least-once')
    expect(warnings.join()).toMatch(/at-least-once, as the given client cannot be duplicated/)
    await drive.write(sink, [{ key: 'a', by: 3 }])
    await sink.close?.()
    expect(await shared.get(`${named('shared')}:a`)).toBe('3')
    shared.disconnect()
  })
})

await describeWithServices(
  { describe, test },
  ['redis-cluster'],
  'redisSink and a cluster',
  ({ 'redis-cluster': found }) => {
    const [node = ''] = found.nodes.split(',')

    test('a node of a cluster is not taken for a server of its own', async () => {
      const sink = redisSink<string>({ url: `redis://${node}`, mode: 'list', key: 'k' })
      const error = await errorOf(new SinkDrive().open(sink))
      expect(error).toMatchObject({
        code: 'ARGUMENT_INVALID',
        message: expect.stringMatching(/is a node of a cluster; name nodes/),
      })
      await sink.close?.()
    })

    test('dead letters are indexed where all are in one slot, and not elsewhere', () => {
      const cluster = [node]
      expect(redisSink<string>({ cluster, mode: 'list', key: 'k' }).settledIndexes).toBeTypeOf('function')
      expect(redisSink<Count>({ cluster, mode: 'set', key: '{x}:<key>' }).settledIndexes).toBeTypeOf('function')
      expect(redisSink<Count>({ cluster, mode: 'set', key: '{<key>}:x' }).settledIndexes).toBeUndefined()
    })
  },
)

await describeWithInstalled({ describe, test }, ['redis'], 'redisSink and what a server is set to', () => {
  test('what is missing for exactly-once is named: lowered, or refused', async () => {
    const settings = {
      appendonly: 'no',
      appendfsync: 'everysec',
      maxmemory: '100mb',
      'maxmemory-policy': 'allkeys-lru',
    }
    const own = await startService('redis', { settings })
    try {
      const options = { url: own.values.url, mode: 'list', key: 'k' } as const
      const warnings: string[] = []
      const lowered = redisSink<string>(options)
      const drive = new SinkDrive()
      const { logger } = drive.context()
      await drive.open(lowered, { logger: { ...logger, warn: (text) => void warnings.push(text) } })
      expect(warnings.join()).toMatch(/appendonly is off.*appendfsync is everysec.*maxmemory-policy is allkeys-lru/)
      expect(lowered.guarantee).toMatchObject({ level: 'at-least-once', condition: expect.stringMatching(/evict/) })
      const refusing = redisSink<string>({ ...options, unsafe: 'refuse' })
      expect(await errorOf(new SinkDrive().open(refusing))).toMatchObject({
        code: 'ARGUMENT_INVALID',
        message: expect.stringMatching(/appendonly is off: set appendonly yes/),
      })
      const admin = new Redis(own.values.url)
      await admin.config('SET', 'maxmemory-policy', 'noeviction')
      admin.disconnect()
      const better = redisSink<string>(options)
      await new SinkDrive().open(better)
      expect(better.guarantee).toMatchObject({
        level: 'effectively-once',
        condition: expect.stringMatching(/everysec/),
      })
      for (const sink of [lowered, refusing, better]) await sink.close?.()
    } finally {
      await own.stop()
    }
  })

  test('E19: a server without memory takes nothing of a chunk, and all of it once when there is some', async () => {
    const own = await startService('redis', { settings: { maxmemory: '3mb' } })
    const reader = new Redis(own.values.url)
    try {
      const drive = new SinkDrive()
      const sink = redisSink<string>({ url: own.values.url, mode: 'list', key: 'list' })
      await drive.open(sink)
      const records = Array.from({ length: 100 }, (_, i) => `${String(i)} ${'x'.repeat(200_000)}`)
      const error = await errorOf(drive.write(sink, records, { size: 10 }))
      expect(error).toMatchObject({ code: 'OUTPUT_FAILED', retryable: true, message: expect.stringMatching(/OOM/) })
      const there = await reader.llen('list')
      expect(there).toBeLessThan(100)
      await reader.config('SET', 'maxmemory', '200mb')
      await drive.write(sink, records, { size: 25 })
      expect((await reader.lrange('list', 0, -1)).map((text) => Number(text.split(' ')[0]))).toEqual(
        records.map((_, i) => i),
      )
      await sink.close?.()
    } finally {
      reader.disconnect()
      await own.stop()
    }
  })
})
