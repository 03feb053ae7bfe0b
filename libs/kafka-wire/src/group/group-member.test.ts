/** A member with a coordinator of its own making, in time that passes at once. */
import { systemClock, type Clock } from '@sluice/core'
import { describe, expect, it } from 'vitest'
import type { AdapterGroup, JoinedGroup } from '../adapter.js'
import type { TopicMetadata } from '../client.js'
import { Member } from './group-member.js'
import { toSluice, typeOf } from '../kafkajs/failures.js'

/** Sleeps no longer than a turn of the event loop. */
const quick: Clock = {
  ...systemClock,
  '~sluice': 'clock/1',
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic(),
  yield: () => systemClock.yield(),
  sleep: async (ms, signal) => {
    // What only bounds a wait does not pass.
    if (ms >= 1_000) return systemClock.sleep(ms, signal)
    await systemClock.yield()
    signal?.throwIfAborted()
  },
}

function refusal(type: string): Error {
  return Object.assign(new Error(type), { name: 'KafkaJSProtocolError', type, retriable: false })
}

class FakeGroup implements AdapterGroup {
  readonly calls: string[] = []
  generation = 0
  /** What heartbeats, commits and joins fail with, by name. */
  readonly failures: Partial<Record<'join' | 'sync' | 'heartbeat' | 'commit', string[]>> = {}

  async join({ memberId }: { readonly memberId: string }): Promise<JoinedGroup> {
    this.#tell('join', memberId)
    const id = memberId === '' ? `member-${String(this.generation)}` : memberId
    const members = [{ memberId: id, topics: ['orders'] }]
    return Promise.resolve({ memberId: id, generation: ++this.generation, members })
  }

  async sync(...[{ memberId }, assigned]: Parameters<AdapterGroup['sync']>) {
    this.#tell('sync', memberId)
    return Promise.resolve(assigned.get(memberId) ?? [])
  }

  async heartbeat({ generation }: { readonly generation: number }): Promise<void> {
    this.#tell('heartbeat', String(generation))
    return Promise.resolve()
  }

  async commit({ generation }: { readonly generation: number }): Promise<void> {
    this.#tell('commit', String(generation))
    return Promise.resolve()
  }

  async leave(memberId: string): Promise<void> {
    this.calls.push(`leave ${memberId}`)
    return Promise.resolve()
  }

  async close(): Promise<void> {
    this.calls.push('close')
    return Promise.resolve()
  }

  count(call: string): number {
    return this.calls.filter((each) => each.startsWith(call)).length
  }

  #tell(name: 'join' | 'sync' | 'heartbeat' | 'commit', of: string): void {
    this.calls.push(`${name} ${of}`)
    const failure = this.failures[name]?.shift()
    if (failure !== undefined) throw refusal(failure)
  }
}

const ORDERS: TopicMetadata = { topic: 'orders', partitions: [0, 1].map((partition) => ({ partition, leader: 1 })) }

function memberOf(group: FakeGroup): Member {
  const options = { group: 'g', topics: ['orders'], heartbeatMs: 1, sessionTimeoutMs: 60_000 }
  const metadata = () => Promise.resolve([ORDERS])
  return new Member(options, { group, clock: quick, timeoutMs: 30_000, failures: { toSluice, typeOf }, metadata })
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn > 100_000) throw new Error('never came true')
    await systemClock.yield()
  }
}

const OFFSET = [{ topic: 'orders', partition: 0, offset: 5n }]

describe('a member of a group', () => {
  it('gets what the leader gives out, and sends heartbeats until it leaves', async () => {
    const group = new FakeGroup()
    const member = memberOf(group)
    const { partitions, signal } = await member.join()
    expect(partitions).toEqual([0, 1].map((partition) => ({ topic: 'orders', partition })))
    await until(() => group.count('heartbeat') > 3)
    expect(signal.aborted).toBe(false)
    await member.leave()
    expect(group.calls.slice(-2)).toEqual(['leave member-0', 'close'])
    expect(signal.aborted).toBe(true)
    await expect(member.join()).rejects.toMatchObject({ code: 'STOPPED' })
  })

  it('may commit when partitions are given out anew, until it joins again, and its session lives on', async () => {
    const group = new FakeGroup()
    const member = memberOf(group)
    const first = await member.join()
    group.failures.heartbeat = ['REBALANCE_IN_PROGRESS']
    await until(() => first.signal.aborted)
    await first.commit(OFFSET)
    const beats = group.count('heartbeat')
    await until(() => group.count('heartbeat') > beats + 2)
    const second = await member.join()
    expect(group.calls).toContain('commit 1')
    expect(group.calls).toContain('join member-0')
    await expect(first.commit(OFFSET)).rejects.toMatchObject({ code: 'ABORTED' })
    await second.commit(OFFSET)
    expect(group.calls).toContain('commit 2')
    await member.leave()
  })

  it('E7: has its commits refused when the group has gone on without it, and joins as another one', async () => {
    const group = new FakeGroup()
    const member = memberOf(group)
    const first = await member.join()
    group.failures.commit = ['ILLEGAL_GENERATION']
    await expect(first.commit(OFFSET)).rejects.toMatchObject({ code: 'BROKER_REFUSED', retryable: false })
    expect(first.signal.aborted).toBe(true)
    group.failures.join = ['UNKNOWN_MEMBER_ID']
    await member.join()
    expect(group.calls.filter((call) => call.startsWith('join'))).toEqual(['join ', 'join member-0', 'join '])
    await member.leave()
  })

  it('joins again and again while the group does not settle', async () => {
    const group = new FakeGroup()
    const member = memberOf(group)
    group.failures.sync = ['REBALANCE_IN_PROGRESS', 'REBALANCE_IN_PROGRESS']
    await member.join()
    expect(group.count('join')).toBe(3)
    await member.leave()
  })

  it('leaves also what it joined when nobody wanted it any more', async () => {
    const group = new FakeGroup()
    let answer: () => void = () => undefined
    const asked = new Promise<void>((resolve) => (answer = resolve))
    const join = group.join.bind(group)
    group.join = async (request) => {
      await asked
      return join(request)
    }
    const member = memberOf(group)
    const controller = new AbortController()
    const joining = member.join({ signal: controller.signal })
    joining.catch(() => undefined)
    await systemClock.yield()
    controller.abort(new Error('enough'))
    await expect(joining).rejects.toThrow('enough')
    const leaving = member.leave()
    answer()
    await leaving
    expect(group.calls).toContain('leave member-0')
    expect(group.count('heartbeat')).toBe(0)
  })
})
