/** The simulated cluster keeps Kafka's rules: else what is found with it would say nothing. */
import { seededRandom, seedOf } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import type { KafkaClient } from '../client.js'
import type { Call, SimulatedWorld } from './places.js'
import type { Unrest } from './sim-brokers.js'
import { SimKafka } from './sim-kafka.js'

const STEP_MS = 100

/** Nothing changes by itself. */
const peace: Unrest = { leaderChange: 0, lateMarker: 0, rebalance: 0 }

let clock: ManualClock
/** What becomes of the next calls of this name. */
let fates: { readonly what: string; readonly fate: 'lost' | 'answer lost' }[]

beforeEach(() => {
  clock = new ManualClock(1_000)
  fates = []
})

const call: Call = async (what, _on, effect) => {
  const at = fates.findIndex((each) => each.what === what)
  const [found] = at < 0 ? [] : fates.splice(at, 1)
  if (found?.fate === 'lost') throw new Error('the connection broke')
  const answer = effect()
  if (found !== undefined) throw new Error('the connection broke')
  await Promise.resolve()
  return answer
}

function cluster(unrest: Unrest = peace, intervals = 0): SimKafka {
  const begunMs = clock.monotonic()
  const world: SimulatedWorld = {
    intervalMs: 1_000,
    intervals,
    lastFaultMs: 0,
    get nowMs() {
      return clock.monotonic() - begunMs
    },
    randomFor: (...purpose) => seededRandom(seedOf('test', ...purpose)),
    after: (delayMs, _what, effect) => void clock.sleep(delayMs).then(effect),
  }
  return new SimKafka(world, {
    topics: { lines: 3, rows: 1 },
    feed: { topic: 'lines', value: (i) => `line ${String(i)}`, aborts: 0.5 },
    result: { topic: 'rows', of: (value) => value },
    ...unrest,
  })
}

/** Lets time pass until it is done. */
async function done<T>(work: Promise<T>): Promise<T> {
  let isOver = false
  const mark = (): void => void (isOver = true)
  work.then(mark, mark)
  for (let step = 0; step < 2_000; step++) {
    await clock.settle()
    if (isOver) break
    await clock.advance(STEP_MS)
  }
  return work
}

const clientOf = (kafka: SimKafka): KafkaClient => kafka.client({ options: { clock }, call })

async function read(client: KafkaClient, topic: string, isolation: 'committed' | 'uncommitted'): Promise<string[]> {
  const moment = isolation === 'committed' ? 'last-stable' : 'latest'
  const to = (await done(client.listOffsets(topic, [0], moment))).get(0) ?? 0n
  const texts: string[] = []
  const chunks = client.readRange({ topic, partition: 0, from: 0n, to, isolation })[Symbol.asyncIterator]()
  for (let next = await done(chunks.next()); next.done !== true; next = await done(chunks.next())) {
    const record = next.value.records()
    while (record.next()) texts.push(record.valueText ?? '')
  }
  return texts
}

describe('transactions', () => {
  test('are there for readers of what is committed when they are, and never when they are aborted', async () => {
    const client = clientOf(cluster())
    const producer = await client.transactional('one')
    await done(producer.init())
    for (const how of ['commit', 'abort', 'commit'] as const) {
      const transaction = await producer.begin()
      await done(transaction.send('rows', [{ value: how }]))
      await done(transaction[how]())
      await clock.advance(STEP_MS)
    }
    expect(await read(client, 'rows', 'committed')).toEqual(['commit', 'commit'])
    expect(await read(client, 'rows', 'uncommitted')).toEqual(['commit', 'abort', 'commit'])
  })

  test('hold back what lies behind them until partitions have heard of their end, which may come late', async () => {
    const kafka = cluster({ ...peace, lateMarker: 1 })
    const client = clientOf(kafka)
    const producer = await client.transactional('one')
    await done(producer.init())
    const transaction = await producer.begin()
    await done(transaction.send('rows', [{ value: 'a' }]))
    await done(transaction.commit())
    await done(client.produce('rows', [{ value: 'b' }]))
    expect(await read(client, 'rows', 'committed')).toEqual([])
    await clock.advance(10_000)
    expect(await read(client, 'rows', 'committed')).toEqual(['a', 'b'])
    expect(kafka.committed('rows')).toEqual(['a', 'b'])
  })

  test('a second producer of the id ends what the first has open, which is fenced then', async () => {
    const client = clientOf(cluster())
    const [first, second] = [await client.transactional('one'), await client.transactional('one')]
    await done(first.init())
    const transaction = await first.begin()
    await done(transaction.send('rows', [{ value: 'old' }]))
    await done(second.init())
    await expect(done(transaction.commit())).rejects.toMatchObject({ code: 'FENCED' })
    const next = await second.begin()
    await done(next.send('rows', [{ value: 'new' }]))
    await done(next.commit())
    await clock.advance(STEP_MS)
    expect(await read(client, 'rows', 'committed')).toEqual(['new'])
  })

  test('one that is left open is aborted when its time is out', async () => {
    const client = clientOf(cluster())
    const producer = await client.transactional('one', { timeoutMs: 5_000 })
    await done(producer.init())
    const transaction = await producer.begin()
    await done(transaction.send('rows', [{ value: 'late' }]))
    await clock.advance(6_000)
    await expect(done(transaction.commit())).rejects.toMatchObject({ code: 'FENCED' })
    expect(await read(client, 'rows', 'committed')).toEqual([])
  })
})

describe('calls that go wrong', () => {
  test.each(['lost', 'answer lost'] as const)('records whose request or answer is %s are there once', async (fate) => {
    const client = clientOf(cluster())
    await done(client.produce('rows', [{ value: 'a' }]))
    fates.push({ what: 'Produce', fate }, { what: 'Produce', fate })
    await done(client.produce('rows', [{ value: 'b' }]))
    await done(client.produce('rows', [{ value: 'c' }]))
    expect(await read(client, 'rows', 'committed')).toEqual(['a', 'b', 'c'])
  })

  test('a transaction whose end was not answered is asked for again, and ends once', async () => {
    const client = clientOf(cluster())
    const producer = await client.transactional('one')
    await done(producer.init())
    for (const value of ['a', 'b']) {
      const transaction = await producer.begin()
      await done(transaction.send('rows', [{ value }]))
      fates.push({ what: 'EndTxn', fate: 'answer lost' })
      await done(transaction.commit())
      await clock.advance(STEP_MS)
    }
    expect(await read(client, 'rows', 'committed')).toEqual(['a', 'b'])
  })

  test('while leaders change, clients that know the old ones find the new ones', async () => {
    const client = clientOf(cluster({ ...peace, leaderChange: 1 }, 30))
    const leaders = new Set<number>()
    const written: string[] = []
    for (let i = 0; i < 30; i++) {
      await done(client.produce('rows', [{ value: String(i) }]))
      written.push(String(i))
      const [rows] = await done(client.metadata(['rows']))
      leaders.add(rows?.partitions[0]?.leader ?? -1)
      await clock.advance(1_000)
    }
    expect(leaders.size).toBeGreaterThan(1)
    expect(await read(client, 'rows', 'committed')).toEqual(written)
  })
})

describe('groups', () => {
  const membersOf = (client: KafkaClient) =>
    client.groupMember?.({ group: 'g', topics: ['lines'], sessionTimeoutMs: 6_000, rebalanceTimeoutMs: 10_000 })

  test('give each partition to one member, and refuse the commits of a generation that is over', async () => {
    const client = clientOf(cluster())
    const [one, two] = [membersOf(client), membersOf(client)]
    const alone = await done(one!.join())
    expect(alone.partitions.map(({ partition }) => partition)).toEqual([0, 1, 2])
    const joining = two!.join()
    for (let step = 0; !alone.signal.aborted && step < 100; step++) await clock.advance(STEP_MS)
    const [again, other] = await done(Promise.all([one!.join(), joining]))
    const all = [...again.partitions, ...other.partitions].map(({ partition }) => partition)
    expect(all.sort()).toEqual([0, 1, 2])
    const offsets = [{ topic: 'lines', partition: 0, offset: 7n }]
    await expect(done(alone.commit(offsets))).rejects.toMatchObject({ code: 'ABORTED' })
    await done(other.commit(offsets))
    expect(await done(client.fetchCommitted('g', [{ topic: 'lines', partitions: [0] }]))).toEqual(offsets)
    await done(Promise.all([one!.leave(), two!.leave()]))
  })

  test('go on without a member of which nothing is heard', async () => {
    const kafka = cluster()
    let isDead = false
    const dying: Call = (what, on, effect) => (isDead ? new Promise(() => undefined) : call(what, on, effect))
    const one = membersOf(kafka.client({ options: { clock }, call: dying }))
    const generation = await done(one!.join())
    expect(generation.partitions).toHaveLength(3)
    isDead = true
    const two = membersOf(clientOf(kafka))
    const begunMs = clock.monotonic()
    expect((await done(two!.join())).partitions).toHaveLength(3)
    expect(clock.monotonic() - begunMs).toBeGreaterThan(4_000)
    await done(two!.leave())
  })

  test('take offsets from who is no member only while there are none', async () => {
    const client = clientOf(cluster())
    const offsets = [{ topic: 'lines', partition: 0, offset: 7n }]
    await done(client.commit('g', offsets))
    const member = membersOf(client)
    await done(member!.join())
    await expect(done(client.commit('g', offsets))).rejects.toMatchObject({ code: 'BROKER_REFUSED' })
    await done(member!.leave())
    await done(client.commit('g', offsets))
  })
})

test('what the other application aborts it writes again, and the cluster tells what is missing, doubled and never committed', async () => {
  const kafka = cluster(peace, 4)
  const rows: string[] = []
  await clock.advance(30_000)
  const lines = kafka.committed('lines')
  expect([...lines].sort()).toEqual(Array.from({ length: 24 }, (_, i) => `line ${String(i)}`).sort())
  expect(kafka.isThrough(() => rows)).toBe(false)
  expect(kafka.problem(() => rows)).toContain('(24 in all)')
  const client = clientOf(kafka)
  await done(
    client.produce(
      'rows',
      lines.map((value) => ({ value })),
    ),
  )
  expect(kafka.isThrough(() => rows)).toBe(true)
  expect(kafka.problem(() => rows)).toBeUndefined()
  await done(client.produce('rows', [{ value: 'line 3' }, { value: 'line x' }]))
  expect(kafka.problem(() => rows)).toBe('line 3 is there 2 times, line x was never committed (2 in all)')
})
