/**
 * A run of the app on a cluster of three brokers that is not left in peace: the app is killed at random moments, so is the leader of a
 * partition, and a producer goes on meanwhile, with transactions of which some are aborted. The random numbers come from a seed;
 * what the processes do meanwhile does not.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { makeTopic } from '@sluice/services'
import kafkajs, { type Admin } from 'kafkajs'
import { startApp, type RunningApp } from './run-app.js'
import { EARLY_SHARE, ended, kill, LONGEST_START_MS, nextBatch, nextLines, POLL_MS, within } from './unrest.js'

interface Broker {
  kill(): Promise<void>
  /** Resolves when it is ready. */
  restart(): Promise<void>
}

export interface KafkaChaosOptions {
  readonly bootstrap: string
  /** In the order of their ids, from 1. */
  readonly brokers: readonly Broker[]
  readonly topic: string
  /** Where the app writes its metrics, too, in place of a database. */
  readonly outTopic?: string | undefined
  /** So many consumers of a group receive. Default: none, ranges are read. */
  readonly consumers?: number | undefined
  /** Arguments of the app that say where it writes, too. Default: into its database. */
  readonly target?: readonly string[] | undefined
  /** Holds what is produced, as `*.csv`. */
  readonly data: string
  readonly out: string
  /** How often the app is killed. */
  readonly kills: number
  /** How often it is stopped (SIGSTOP), another one takes over, and it wakes. Not with a database, which ends the one that is stopped. */
  readonly stops?: number | undefined
  /** How often a leader is killed. */
  readonly leaderKills: number
  readonly linesPerSecond: number
  /** Numbers from 0 to 1. */
  readonly random: () => number
  readonly log: (text: string) => void
}

export interface KafkaChaosCounts {
  kills: number
  /** Kills before the process had committed anything. */
  earlyKills: number
  /** Apps that were stopped, and found when they woke that another one had taken over. */
  takeOvers: number
  leaderKills: number
  /** Kills of the app while a broker was away. */
  killsWithoutBroker: number
  /** Whether the producer was still writing when the last of them had died. */
  isProducing: boolean
}

const PARTITIONS = 4
const REPLICAS = 3
const LINES_OF_TRANSACTION = 100
const ABORT_EVERY = 4
const LONGEST_RUN_MS = 1_500
const LONGEST_PAUSE_MS = 3_000
const IDLE_SECONDS = 5

const PRODUCER = fileURLToPath(new URL('../../dist/produce.js', import.meta.url))

/** Resolves when the last process has come to its end; rejects when something was not as it must be. */
export async function runKafkaChaos(options: KafkaChaosOptions): Promise<KafkaChaosCounts> {
  const { bootstrap, topic } = options
  const brokers = bootstrap.split(',')
  const admin = new kafkajs.Kafka({
    brokers,
    retry: { initialRetryTime: 50, maxRetryTime: 1_000, retries: 100 },
    logLevel: kafkajs.logLevel.NOTHING,
  }).admin()
  await admin.connect()
  const configEntries = [{ name: 'min.insync.replicas', value: '2' }]
  for (const name of [topic, ...(options.outTopic === undefined ? [] : [options.outTopic])]) {
    await makeTopic(admin, { topic: name, numPartitions: PARTITIONS, replicationFactor: REPLICAS, configEntries })
  }
  const chaos = new KafkaChaos(options, admin)
  try {
    return await chaos.run()
  } finally {
    chaos.end()
    await admin.disconnect()
  }
}

class KafkaChaos {
  readonly #options: KafkaChaosOptions
  readonly #admin: Admin
  readonly #args: readonly string[]
  readonly #counts: KafkaChaosCounts = {
    kills: 0,
    earlyKills: 0,
    takeOvers: 0,
    leaderKills: 0,
    killsWithoutBroker: 0,
    isProducing: false,
  }
  #app: RunningApp | undefined
  readonly #stopped: RunningApp[] = []
  #producer: ReturnType<typeof startProducer> | undefined
  #isBrokerAway = false

  constructor(options: KafkaChaosOptions, admin: Admin) {
    this.#options = options
    this.#admin = admin
    const { bootstrap, topic, consumers, outTopic, target = [], out } = options
    const source = ['--kafka', bootstrap, '--topic', topic, '--group', `metrics-of-${topic}`]
    const members = consumers === undefined ? [] : ['--consumers', String(consumers)]
    const toTopic = outTopic === undefined ? [] : ['--out-topic', outTopic, '--no-database']
    this.#args = [...source, ...members, ...toTopic, ...target, '--batch', '100', '--partitions', '2', '--out', out]
  }

  async run(): Promise<KafkaChaosCounts> {
    const producer = startProducer(this.#options)
    this.#producer = producer
    this.#app = startApp(this.#args)
    await Promise.all([this.#killApps(), this.#killLeaders()])
    this.#counts.isProducing = producer.isRunning()
    this.#options.log(JSON.stringify(this.#counts))
    await within(producer.done, 'the end of the producer').catch((error: unknown) => {
      throw new Error(`the producer has said:\n${producer.said()}`, { cause: error })
    })
    // Whatever came meanwhile is there when it starts for the last time.
    await this.#killApp(true)
    const app = startApp([...this.#args, '--until-idle', String(IDLE_SECONDS)])
    this.#app = app
    await ended(app)
    return this.#counts
  }

  end(): void {
    for (const app of this.#stopped) app.signal('SIGKILL')
    this.#app?.signal('SIGKILL')
    this.#producer?.stop()
  }

  async #killApps(): Promise<void> {
    const { kills, stops = 0, random, log } = this.#options
    const events = kills + stops
    let stopsLeft = stops
    for (let i = 1; i <= events; i++) {
      if (stopsLeft > 0 && random() < stopsLeft / (events - i + 1)) {
        stopsLeft--
        await this.#stopAndTakeOver()
        log(`app ${String(i)}/${String(events)}: ${JSON.stringify(this.#counts)}`)
        continue
      }
      const isEarly = random() < EARLY_SHARE
      if (!isEarly) await this.#nextBatch()
      await sleep(random() * (isEarly ? LONGEST_START_MS : LONGEST_RUN_MS))
      await this.#killApp(isEarly)
      this.#app = startApp(this.#args)
      log(`app ${String(i)}/${String(events)}: ${JSON.stringify(this.#counts)}`)
    }
  }

  /** At any moment of a batch; what wakes must see that it owns nothing any more. */
  async #stopAndTakeOver(): Promise<void> {
    const { random } = this.#options
    const old = this.#app as RunningApp
    await this.#nextBatch()
    await sleep(random() * LONGEST_RUN_MS)
    old.signal('SIGSTOP')
    this.#stopped.push(old)
    const next = startApp([...this.#args, '--take-over'])
    this.#app = next
    await this.#nextBatch()
    await sleep(random() * LONGEST_RUN_MS)
    old.signal('SIGCONT')
    const { code, stderr } = await within(old.exited, 'the end of a woken process')
    if (code !== 1 || !/has taken over/.test(stderr)) throw new Error(`a woken process ended otherwise:\n${stderr}`)
    this.#counts.takeOvers++
  }

  /** What the producer says is told with what went wrong: without its lines there are no batches. */
  async #nextBatch(): Promise<void> {
    const { out, consumers } = this.#options
    const app = this.#app as RunningApp
    try {
      if (consumers === undefined) await nextBatch(app, out, this.#producer?.done)
      else await nextLines(app, out, this.#producer?.done)
    } catch (error) {
      throw new Error(`no batch; the producer says:\n${this.#producer?.said() ?? ''}`, { cause: error })
    }
  }

  async #killApp(isEarly: boolean): Promise<void> {
    await kill(this.#app as RunningApp)
    this.#counts.kills++
    if (isEarly) this.#counts.earlyKills++
    if (this.#isBrokerAway) this.#counts.killsWithoutBroker++
  }

  async #killLeaders(): Promise<void> {
    const { brokers, leaderKills, random, log } = this.#options
    for (let i = 1; i <= leaderKills; i++) {
      await sleep(random() * LONGEST_PAUSE_MS)
      const leader = await this.#leaderOf(Math.floor(random() * PARTITIONS))
      const broker = brokers[leader - 1] as Broker
      this.#isBrokerAway = true
      await broker.kill()
      this.#counts.leaderKills++
      log(`leader ${String(i)}/${String(leaderKills)}: broker ${String(leader)}`)
      await sleep(random() * LONGEST_PAUSE_MS)
      await broker.restart()
      // Two of three away at once would be another test: writes would stop.
      await within(this.#whole(), 'all replicas in sync')
      this.#isBrokerAway = false
    }
  }

  async #leaderOf(partition: number): Promise<number> {
    const partitions = await this.#partitions([this.#options.topic])
    return partitions.find(({ partitionId }) => partitionId === partition)?.leader as number
  }

  async #whole(): Promise<void> {
    const { topic, outTopic } = this.#options
    const outTopics = outTopic === undefined ? [] : [outTopic, 'sluice-ledger']
    const topics = [topic, ...outTopics, '__transaction_state', '__consumer_offsets']
    for (;;) {
      const partitions = await this.#partitions(topics).catch(() => [])
      if (partitions.length > 0 && partitions.every(({ isr }) => isr.length === REPLICAS)) return
      await sleep(POLL_MS)
    }
  }

  async #partitions(topics: string[]) {
    const metadata = await this.#admin.fetchTopicMetadata({ topics })
    return metadata.topics.flatMap(({ partitions }) => partitions)
  }
}

function startProducer({ bootstrap, topic, data, linesPerSecond }: KafkaChaosOptions) {
  const where = ['--kafka', bootstrap, '--topic', topic, '--data', data, '--speed', String(linesPerSecond)]
  const how = ['--transactions', String(LINES_OF_TRANSACTION), '--abort-every', String(ABORT_EVERY)]
  const child = spawn(process.execPath, [PRODUCER, ...where, ...how], { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (part: string) => (stderr += part))
  const done = once(child, 'close').then(([code]) => {
    if (code !== 0) throw new Error(`the producer ended with ${String(code)}\n${stderr}`)
  })
  done.catch(() => undefined)
  return {
    done,
    said: () => stderr,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    stop: () => child.kill('SIGKILL'),
  }
}
