import { systemClock } from '@sluice/core'
import { expect, it } from 'vitest'
import type { Cluster } from './inner.js'
import { errorOfCode } from './inner.js'
import { KafkajsFetcher } from './kafkajs-fetcher.js'

/** A cluster of which the test says who leads each partition, by the list's index, and who is dead. */
function fakeCluster(leaders: readonly number[], dead: ReadonlySet<number>, timeoutMs = 30_000) {
  const asked = { leaders, lookUps: 0, hanging: 0 }
  const brokers = [0, 1, 2, 3].map((nodeId) => ({ nodeId }))
  const cluster = {
    connect: () => Promise.resolve(),
    findBroker: ({ nodeId }: { nodeId: number }) =>
      dead.has(nodeId) ? Promise.reject(new Error('refused')) : Promise.resolve(brokers[nodeId]),
    brokerPool: {
      metadata: null as unknown,
      refreshMetadata: () => {
        asked.lookUps++
        if (asked.hanging-- > 0) return new Promise<void>(() => undefined)
        const partitionMetadata = asked.leaders.map((leader, partitionId) => ({ partitionId, leader }))
        cluster.brokerPool.metadata = { topicMetadata: [{ topic: 'orders', partitionMetadata }] }
        return Promise.resolve()
      },
    },
  }
  return {
    asked,
    fetcher: new KafkajsFetcher(cluster as unknown as Cluster, { clock: systemClock, timeoutMs }),
  }
}

async function leadersOf(fetcher: KafkajsFetcher, partitions: readonly number[]): Promise<unknown[]> {
  return [...(await fetcher.byLeader('orders', partitions))].map(([broker, some]) => [
    (broker as unknown as { nodeId: number }).nodeId,
    some,
  ])
}

it('looks a leader up once, and again when it is not reached', async () => {
  const dead = new Set<number>()
  const { asked, fetcher } = fakeCluster([1, 1], dead)
  expect(await leadersOf(fetcher, [0, 1])).toEqual([[1, [0, 1]]])
  expect(await leadersOf(fetcher, [0])).toEqual([[1, [0]]])
  expect(asked.lookUps).toBe(1)
  dead.add(1)
  asked.leaders = [2, 3]
  await expect(leadersOf(fetcher, [0, 1])).rejects.toThrow('refused')
  expect(await leadersOf(fetcher, [0, 1])).toEqual([
    [2, [0]],
    [3, [1]],
  ])
  expect(asked.lookUps).toBe(2)
})

it('learns of partitions that were added, and names one that is not there', async () => {
  const { asked, fetcher } = fakeCluster([1], new Set())
  expect(await leadersOf(fetcher, [0])).toEqual([[1, [0]]])
  await expect(leadersOf(fetcher, [1])).rejects.toEqual(errorOfCode(3))
  asked.leaders = [1, 2]
  expect(await leadersOf(fetcher, [0, 1])).toEqual([
    [1, [0]],
    [2, [1]],
  ])
})

it('says that a partition has no leader, and looks again', async () => {
  const { asked, fetcher } = fakeCluster([-1], new Set())
  await expect(leadersOf(fetcher, [0])).rejects.toEqual(errorOfCode(5))
  asked.leaders = [3]
  expect(await leadersOf(fetcher, [0])).toEqual([[3, [0]]])
})

it('gives up a look-up that hangs, so that the next one is not held up by it', async () => {
  const { asked, fetcher } = fakeCluster([1], new Set(), 10)
  asked.hanging = 1
  await expect(leadersOf(fetcher, [0])).rejects.toMatchObject({ code: 'TIMEOUT', retryable: true })
  expect(await leadersOf(fetcher, [0])).toEqual([[1, [0]]])
})
