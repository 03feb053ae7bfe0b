/**
 * Reading a topic of 1 M rows of 100 bytes in 4 partitions as a consumer group, and counting it after a map: the receiver approach
 * against kafkajs's `eachBatch`, each in a process of its own. Each run is a new group, which joins and leaves.
 */
import type { Benchmark } from '../benchmark.js'
import { Contestant } from '../contestant.js'
import { measureTimed } from '../measure.js'
import { withKafka } from './kafka-topics.js'

const ROWS = 1_000_000
const WARM_UP = 2
const ROUNDS = 7
const AIM = 0.8
const PROGRAM = new URL('../../dist/benchmarks/kafka-receiver-contestant.js', import.meta.url)

export const kafkaReceiver: Benchmark = {
  name: 'kafka-receiver',
  about: '1 M rows of 100 bytes as a consumer group: count after a map, against eachBatch',
  run: async (sizes) =>
    (await withKafka('kafka-receiver', async (broker) => {
      const count = sizes.count(ROWS)
      const topic = await broker.fill(count)
      const start = (name: string): Promise<Contestant> =>
        Contestant.start(PROGRAM, name, broker.bootstrap, topic, String(count))
      const [us, reference] = [await start('received'), await start('each-batch')]
      const contest = {
        name: 'kafka, receiver: count by eachBatch',
        ...{ noun: 'rows', count, aim: AIM },
        ours: () => us.run(),
        reference: () => reference.run(),
      }
      try {
        return await measureTimed([contest], sizes.repeats({ warmUp: WARM_UP, rounds: ROUNDS }))
      } finally {
        await us.stop()
        await reference.stop()
      }
    })) ?? [],
}
