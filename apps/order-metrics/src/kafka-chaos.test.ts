/**
 * Nothing lost, nothing twice, from Kafka into SQLite: the app and brokers as real processes, killed at random moments while a
 * producer goes on, some of whose transactions are aborted. What the topic holds at the end, as Kafka's own client reads it,
 * is what the app must have counted. `KAFKA_CHAOS_KILLS` (default 3) says how often the app is killed, a third as often a leader,
 * `CHAOS_SEED` when.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom } from '@sluice/core'
import { describeWithInstalled, readWithJava, startService } from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { assertExact } from './testing/exact.js'
import { runKafkaChaos } from './testing/kafka-chaos.js'
import { sampleLines as lines } from './testing/sample.js'

const KILLS = Number(process.env['KAFKA_CHAOS_KILLS'] ?? 3)
const LEADER_KILLS = Math.ceil(KILLS / 3)
const SEED = Number(process.env['CHAOS_SEED'] ?? 20_101_201)
const TIMEOUT_MS = 300_000 + KILLS * 60_000
/** So that the lines last as long as the chaos does, and longer. */
const SECONDS = 30 + 6 * KILLS

await describeWithInstalled({ describe, test }, ['kafka3'], 'on three brokers', () => {
  test(
    'E1, E7, E22: app and leaders killed at random moments, transactions aborted: every committed order counts once',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'kafka-chaos-'))
      const data = join(folder, 'data')
      await mkdir(data)
      await writeFile(join(data, 'orders.csv'), `${lines.join('\n')}\n`)
      const log = (text: string): void => void process.stdout.write(`kafka chaos (seed ${String(SEED)}): ${text}\n`)
      const random = seededRandom(SEED)
      const cluster = await startService('kafka3')
      const began = performance.now()
      try {
        const { bootstrap } = cluster.values
        const [topic, out] = ['orders', join(folder, 'results')]
        const counts = await runKafkaChaos({
          ...{ bootstrap, brokers: cluster.processes, topic, data, out },
          ...{ kills: KILLS, leaderKills: LEADER_KILLS, linesPerSecond: lines.length / SECONDS },
          random: () => random.next(),
          log,
        })
        const committed = (await readWithJava(cluster.values, { topic })).map(({ value }) => value ?? '')
        await assertExact({ out, lines: committed, database: true, inOrder: false })
        const tookS = Math.round((performance.now() - began) / 1_000)
        log(`exact after ${String(tookS)} s, ${String(committed.length)} lines, ${JSON.stringify(counts)}`)
        expect(committed.length).toBeGreaterThanOrEqual(lines.length)
        expect(counts).toMatchObject({ kills: KILLS + 1, leaderKills: LEADER_KILLS, isProducing: true })
      } catch (error) {
        throw new Error(`seed ${String(SEED)}; the folder is kept: ${folder}`, { cause: error })
      } finally {
        await cluster.stop()
      }
      await rm(folder, { recursive: true })
    },
    TIMEOUT_MS,
  )
})
