/**
 * Nothing lost, nothing twice, from Kafka into SQLite, into Kafka, and by a group's consumers into PostgreSQL: the app and brokers as real processes, killed at random moments while a
 * producer goes on, some of whose transactions are aborted. What the topic holds at the end, as Kafka's own client reads it,
 * is what the app must have counted. `KAFKA_CHAOS_KILLS` (default 3) says how often the app is killed, a third as often a leader,
 * and as often it is stopped while another one takes over, `CHAOS_SEED` when.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom } from '@sluice/core'
import { describeWithInstalled, readWithJava, readWithKcat, startService } from '@sluice/services'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { assertExact } from './testing/exact.js'
import { runKafkaChaos, type KafkaChaosCounts, type KafkaChaosOptions } from './testing/kafka-chaos.js'
import { sampleLines } from './testing/sample.js'
import { readPostgres, totalsFrom, totalsIn } from './testing/sql-rows.js'

const KILLS = Number(process.env['KAFKA_CHAOS_KILLS'] ?? 3)
const LEADER_KILLS = Math.ceil(KILLS / 3)
const STOPS = Math.ceil(KILLS / 3)
const START_MS = 240_000
const SEED = Number(process.env['CHAOS_SEED'] ?? 20_101_201)
const TIMEOUT_MS = 300_000 + KILLS * 60_000
/** How long lines come. So that they last as long as the chaos does, and longer. */
const SECONDS = 30 + 6 * KILLS
/** As long as the chaos does, on a machine that has nothing else to do. */
const SECONDS_TO_TOPIC = 5 * (KILLS + STOPS)
/** A start waits until the group has missed the consumers that were killed. */
const SECONDS_TO_CONSUMERS = 8 * (KILLS + STOPS)
/** All where the chaos lasts; so many that the producer is no slower than that, where it is short. */
const LINES_TO_TOPIC = 2_000 * (KILLS + STOPS)

type Cluster = Awaited<ReturnType<typeof startService<'kafka3'>>>

interface Unrest extends Partial<KafkaChaosOptions> {
  readonly title: string
  readonly lines: readonly string[]
  readonly seconds: number
  readonly topic: string
  /** Says what the topic holds: a client that is not ours. */
  readonly read: typeof readWithJava
}

/** Runs the app in unrest, and looks at what it has written. */
async function run(
  cluster: Cluster,
  { title, lines, seconds, read, ...options }: Unrest,
  look: (written: { out: string; lines: string[] }) => Promise<void>,
): Promise<KafkaChaosCounts> {
  const folder = await mkdtemp(join(tmpdir(), 'kafka-chaos-'))
  const data = join(folder, 'data')
  await mkdir(data)
  await writeFile(join(data, 'orders.csv'), `${lines.join('\n')}\n`)
  const began = performance.now()
  const log = (text: string): void => {
    const tookS = Math.round((performance.now() - began) / 1_000)
    process.stdout.write(`${title} (seed ${String(SEED)}), ${String(tookS)} s: ${text}\n`)
  }
  const random = seededRandom(SEED)
  try {
    const { bootstrap } = cluster.values
    const out = join(folder, 'results')
    const counts = await runKafkaChaos({
      ...{ bootstrap, brokers: cluster.processes, data, out },
      ...{ kills: KILLS, leaderKills: LEADER_KILLS, linesPerSecond: lines.length / seconds },
      random: () => random.next(),
      log,
      ...options,
    })
    const committed = (await read(cluster.values, { topic: options.topic })).map(({ value }) => value ?? '')
    await look({ out, lines: committed })
    log(`exact, ${String(committed.length)} lines, ${JSON.stringify(counts)}`)
    expect(committed.length).toBeGreaterThanOrEqual(lines.length)
    await rm(folder, { recursive: true })
    return counts
  } catch (error) {
    throw new Error(`seed ${String(SEED)}; the folder is kept: ${folder}`, { cause: error })
  }
}

await describeWithInstalled({ describe, test }, ['kafka3', 'kcat'], 'on three brokers', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await startService('kafka3')
  }, START_MS)
  afterAll(() => cluster.stop(), START_MS)

  test(
    'E1, E7, E22: app and leaders killed at random moments, transactions aborted: every committed order counts once',
    async () => {
      const counts = await run(
        cluster,
        { title: 'kafka chaos', topic: 'orders', lines: sampleLines, seconds: SECONDS, read: readWithJava },
        (written) => assertExact({ ...written, database: true, inOrder: false }),
      )
      expect(counts).toMatchObject({ kills: KILLS + 1, leaderKills: LEADER_KILLS, isProducing: true })
    },
    TIMEOUT_MS,
  )

  test(
    'E1, E7, E8, E22: app killed, stopped and woken, leaders killed: every result is in the topic once, as kcat and Java read it',
    async () => {
      const outTopic = 'metrics'
      const lines = sampleLines.slice(0, LINES_TO_TOPIC)
      const counts = await run(
        cluster,
        {
          title: 'kafka to kafka chaos',
          topic: 'orders-on',
          lines,
          outTopic,
          stops: STOPS,
          seconds: SECONDS_TO_TOPIC,
          read: readWithKcat,
        },
        async (written) => {
          const readers = [readWithKcat, readWithJava]
          for (const found of await Promise.all(readers.map((each) => each(cluster.values, { topic: outTopic })))) {
            const rows = found.map(({ value }) => value ?? '')
            await assertExact({ ...written, database: false, inOrder: false, rows })
          }
        },
      )
      expect(counts).toMatchObject({ kills: KILLS + 1, takeOvers: STOPS, leaderKills: LEADER_KILLS })
    },
    TIMEOUT_MS,
  )
})

await describeWithInstalled(
  { describe, test },
  ['kafka3', 'kcat', 'postgres'],
  'consumers of a group on three brokers',
  () => {
    let cluster: Cluster
    let database: Awaited<ReturnType<typeof startService<'postgres'>>>

    beforeAll(async () => {
      cluster = await startService('kafka3')
      database = await startService('postgres', { settings: { fsync: 'on' } })
    }, START_MS)
    afterAll(async () => {
      await database.stop()
      await cluster.stop()
    }, START_MS)

    test(
      'E1, E7, E8, E14, E21: app killed, stopped and woken, leaders killed: what a group gave counts once in a ledgered database',
      async () => {
        const { url } = database.values
        const counts = await run(
          cluster,
          {
            title: 'kafka receiver chaos',
            topic: 'orders-received',
            consumers: 2,
            lines: sampleLines.slice(0, LINES_TO_TOPIC),
            target: ['--sql', url, '--no-database'],
            stops: STOPS,
            seconds: SECONDS_TO_CONSUMERS,
            read: readWithKcat,
          },
          async (written) => {
            await assertExact({ ...written, database: false, inOrder: false })
            expect(totalsIn(await readPostgres(url))).toEqual(totalsFrom(written.lines))
          },
        )
        expect(counts).toMatchObject({ kills: KILLS + 1, takeOvers: STOPS, leaderKills: LEADER_KILLS })
      },
      TIMEOUT_MS,
    )
  },
)
