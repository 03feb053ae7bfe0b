/**
 * Reading a topic of 1 M rows of 100 bytes in 4 partitions as a consumer group, and counting it after a map: the receiver approach
 * against kafkajs's `eachBatch`, each in a process of its own. Each run is a new group, which joins and leaves.
 */
import type { Benchmark } from '../benchmark.js'
import { withContestants } from '../contestant.js'
import { measureTimed } from '../measure.js'
import { withKafka } from './kafka-topics.js'

const ROWS = 1_000_000
const WARM_UP = 2
const ROUNDS = 7
const AIM = 0.8

export const kafkaReceiver: Benchmark = {
  name: 'kafka-receiver',
  about: '1 M rows of 100 bytes as a consumer group: count after a map, against eachBatch',
  run: async (sizes) =>
    (await withKafka('kafka-receiver', async (broker) => {
      const count = sizes.count(ROWS)
      const topic = await broker.fill(count)
      return withContestants('kafka-receiver-contestant', async (start) => {
        const rows = [broker.bootstrap, topic, String(count)] as const
        const [ours, reference] = [await start('received', ...rows), await start('each-batch', ...rows)]
        const contest = {
          name: 'kafka, receiver: count by eachBatch',
          ...{ noun: 'rows', count, aim: AIM },
          ours: ours.run,
          reference: reference.run,
        }
        return measureTimed([contest], sizes.repeats({ warmUp: WARM_UP, rounds: ROUNDS }))
      })
    })) ?? [],
}
