/**
 * A program that receives from a group of Kafka into SQLite, killed (SIGKILL) again and again while records come. With `reliable` each
 * record is there once, without it at least once. `KAFKA_RECEIVER_KILLS` (default 3) says how often it is killed. It runs the built
 * packages: `tsc -b` comes first.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '@sluice/core'
import { kafkajsClient } from '@sluice/kafka-wire'
import { describeWithServices, makeTopic } from '@sluice/services'
import { readSqlite } from '@sluice/sink-sql/sqlite'
import kafkajs from 'kafkajs'
import { describe, expect, test } from 'vitest'

const KILLS = Number(process.env['KAFKA_RECEIVER_KILLS'] ?? 3)
const SEED = Number(process.env['CHAOS_SEED'] ?? 20_101_201)
const TIMEOUT_MS = 180_000 + KILLS * 30_000
const PARTITIONS = 4
const RECORDS_A_TURN = 20
const LONGEST_RUN_MS = 1_500
/** So that those that are left behind are found dead at once. */
const SESSION_MS = 3_000

const APP = fileURLToPath(new URL('..', import.meta.url))

const PROGRAM = `
import { milliseconds, StreamingContext } from '@sluice/core'
import { kafkaReceiverStream, string } from '@sluice/source-kafka'
import { sqliteSink } from '@sluice/sink-sql/sqlite'
const [brokers, topic, folder, reliable] = process.argv.slice(1)
const ssc = new StreamingContext({ appName: 'received', batchInterval: milliseconds(100), checkpoint: folder + '/ckpt', log: 'error' })
kafkaReceiverStream(ssc, {
  brokers: brokers.split(','), group: 'group-of-' + topic, topics: { [topic]: 2 }, otherwise: 'earliest', commitIntervalMs: 100,
  sessionTimeoutMs: ${String(SESSION_MS)}, reliable: reliable === 'reliable', value: string, handler: ({ value }) => ({ id: value }),
}).to(sqliteSink({ file: folder + '/rows.db', table: 'rows', mode: 'insert', columns: { id: 'text' } }))
await ssc.start()
await ssc.awaitTermination()
`

interface Received {
  readonly rows: number
  readonly different: number
}

async function received(folder: string): Promise<Received> {
  try {
    const found = await readSqlite({ file: join(folder, 'rows.db') }, (db) =>
      db.all('SELECT COUNT(*) AS "rows", COUNT(DISTINCT id) AS different FROM rows'),
    )
    return found[0] as unknown as Received
  } catch {
    // It has not made the table yet, or writes to it just now.
    return { rows: 0, different: 0 }
  }
}

async function until(condition: () => Promise<boolean>, app: () => ChildProcess, what: string): Promise<void> {
  const end = performance.now() + 90_000
  while (!(await condition())) {
    const { exitCode } = app()
    if (exitCode !== null) throw new Error(`the program ended with ${String(exitCode)} before ${what}`)
    if (performance.now() > end) throw new Error(`never came true: ${what}`)
    await sleep(100)
  }
}

async function makeTopicOn(brokers: readonly string[], topic: string): Promise<void> {
  const admin = new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING }).admin()
  await admin.connect()
  await makeTopic(admin, { topic, numPartitions: PARTITIONS })
  await admin.disconnect()
}

await describeWithServices({ describe, test }, ['kafka'], 'a receiver of Kafka that is killed', ({ kafka }) => {
  const brokers = kafka.bootstrap.split(',')

  async function killedAgainAndAgain(mode: 'reliable' | 'plain'): Promise<Received & { readonly sent: number }> {
    const folder = await mkdtemp(join(tmpdir(), 'receiver-'))
    const topic = `received-${mode}-${String(process.pid)}`
    await makeTopicOn(brokers, topic)
    const random = seededRandom(SEED)
    const client = kafkajsClient({ brokers })
    const start = (): ChildProcess =>
      spawn(
        process.execPath,
        ['--no-warnings', '--input-type=module', '--eval', PROGRAM, kafka.bootstrap, topic, folder, mode],
        {
          cwd: APP,
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      )
    let app = start()
    let sent = 0
    let isSending = true
    const send = async (): Promise<void> => {
      while (isSending) {
        const values = Array.from({ length: RECORDS_A_TURN }, (_, i) => String(sent + i))
        await client.produce(
          topic,
          values.map((value) => ({ partition: Number(value) % PARTITIONS, value })),
        )
        sent += RECORDS_A_TURN
        await sleep(20)
      }
    }
    const sending = send()
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        const before = (await received(folder)).different
        await until(
          async () => (await received(folder)).different > before,
          () => app,
          'more records came',
        )
        await sleep(random.next() * LONGEST_RUN_MS)
        const ended = once(app, 'exit')
        app.kill('SIGKILL')
        await ended
        app = start()
      }
      isSending = false
      await sending
      await until(
        async () => (await received(folder)).different >= sent,
        () => app,
        'all records came',
      )
      return { ...(await received(folder)), sent }
    } finally {
      isSending = false
      app.kill('SIGKILL')
      await sending.catch(() => undefined)
      await client.close()
      await rm(folder, { recursive: true, force: true })
    }
  }

  test('E14: with reliable every record is there once', { timeout: TIMEOUT_MS }, async () => {
    const { rows, different, sent } = await killedAgainAndAgain('reliable')
    expect({ rows, different }).toEqual({ rows: sent, different: sent })
  })

  test('without it every record is there, some perhaps twice', { timeout: TIMEOUT_MS }, async () => {
    const { different, sent } = await killedAgainAndAgain('plain')
    expect(different).toBe(sent)
  })
})
