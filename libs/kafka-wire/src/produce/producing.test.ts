import { describe, expect, it } from 'vitest'
import type { Transaction, TransactionalProducer } from '../client.js'
import { allEnded, byPartition, guarded } from './producing.js'

function producer(failing?: keyof Transaction): { calls: string[]; guard: TransactionalProducer } {
  const calls: string[] = []
  const call = (name: string) => () => {
    calls.push(name)
    return name === failing ? Promise.reject(new Error(`${name} failed`)) : Promise.resolve()
  }
  const transaction = {
    send: call('send'),
    sendOffsets: call('sendOffsets'),
    commit: call('commit'),
    abort: call('abort'),
  }
  const begin = () => (calls.push('begin'), Promise.resolve(transaction))
  return { calls, guard: guarded({ init: call('init'), begin, close: call('close') }, 'app/out/0') }
}

describe('a producer with a transactional id', () => {
  it('does one transaction after the other', async () => {
    const { calls, guard } = producer()
    await guard.init()
    const first = await guard.begin()
    await first.send('orders', [{ value: 'a' }])
    await first.sendOffsets('group', [])
    await first.commit()
    await (await guard.begin()).abort()
    expect(calls).toEqual(['init', 'begin', 'send', 'sendOffsets', 'commit', 'begin', 'abort'])
  })

  it.each(['send', 'sendOffsets', 'commit'] as const)(
    'can only abort after a failed %s, and does nothing after',
    async (step) => {
      const { calls, guard } = producer(step)
      await guard.init()
      const transaction = await guard.begin()
      const run = {
        send: () => transaction.send('t', []),
        sendOffsets: () => transaction.sendOffsets('g', []),
        commit: () => transaction.commit(),
      }
      await expect(run[step]()).rejects.toThrow(`${step} failed`)
      if (step !== 'commit') {
        await expect(transaction.commit()).rejects.toMatchObject({ code: 'STOPPED' })
        await transaction.abort()
      }
      await expect(guard.begin()).rejects.toMatchObject({ code: 'STOPPED' })
      expect(calls.at(-1)).toBe(step === 'commit' ? 'commit' : 'abort')
    },
  )

  it('refuses what comes in the wrong order', async () => {
    const { guard } = producer()
    await expect(guard.begin()).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await guard.init()
    await expect(guard.init()).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    const transaction = await guard.begin()
    await expect(guard.begin()).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await transaction.commit()
    await expect(transaction.send('t', [])).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await expect(transaction.abort()).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    const open = await guard.begin()
    await guard.close()
    await expect(open.commit()).rejects.toMatchObject({ code: 'STOPPED' })
    await expect(open.abort()).rejects.toMatchObject({ code: 'STOPPED' })
    await expect(guard.begin()).rejects.toMatchObject({ code: 'STOPPED' })
  })
})

it('groups records by partition, in order', () => {
  const records = [{ value: 'a', partition: 1 }, { value: 'b' }, { value: 'c', partition: 1 }]
  expect([...byPartition(records, () => 0)]).toEqual([
    [1, [records[0], records[2]]],
    [0, [records[1]]],
  ])
})

it('waits for all work before it throws', async () => {
  let isDone = false
  const slow = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
    isDone = true
  })
  await expect(allEnded([Promise.reject(new Error('first')), slow])).rejects.toThrow('first')
  expect(isDone).toBe(true)
})
