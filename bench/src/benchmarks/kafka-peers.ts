/**
 * Counting a topic by a new stream, beside other clients of Kafka: `@platformatic/kafka`'s consumer in this process, kcat and Kafka's own
 * Java client in theirs. What is missing is left out by name.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Consumer } from '@platformatic/kafka'
import { runWithKafkaJars } from '@sluice/services'
import type { Benchmark } from '../benchmark.js'
import { measure } from '../measure.js'
import type { Row } from '../row.js'
import { median, spreadOf } from '../stats.js'
import { countByNewStream, lastByte } from './kafka-rows.js'
import { withKafka, type BenchKafka } from './kafka-topics.js'

const ROWS = 1_000_000
/** For those who begin with a start of a process, of which a shorter run would mostly consist. */
const MANY_ROWS = 10_000_000
const ROUNDS = 3
const AIM = 1
/** The shell counts in these. */
const SHELL_TICK_MS = 10

export const kafkaPeers: Benchmark = {
  name: 'kafka-peers',
  about: 'count of a new stream, against the consumer of @platformatic/kafka (1 M rows), kcat and Java (10 M rows)',
  run: async (sizes) =>
    (await withKafka('kafka-peers', async (broker) => {
      const repeats = sizes.repeats({ warmUp: 1, rounds: ROUNDS })
      const count = sizes.count(ROWS)
      const topic = await broker.fill(count)
      const contest = {
        name: 'kafka, count: @platformatic/kafka',
        aim: AIM,
        noun: 'rows',
        count,
        ours: () => countByNewStream(broker, topic),
        reference: () => countByPlatformatic(broker, topic, count),
      }
      const rows = await measure([contest], repeats)
      const many = { broker, count: sizes.count(MANY_ROWS), topic: await broker.fill(sizes.count(MANY_ROWS)) }
      for (const peer of peers) rows.push(...(await beside(peer, many, repeats.rounds)))
      return rows
    })) ?? [],
}

interface Many {
  readonly broker: BenchKafka
  readonly topic: string
  readonly count: number
}

interface Run {
  readonly rows: number
  readonly cpuMs: number
  readonly wallMs: number
}

interface Peer {
  readonly name: string
  count(many: Many): Promise<Run>
}

const peers: readonly Peer[] = [
  { name: 'kcat', count: countByKcat },
  { name: 'Java', count: countByJava },
]

let groups = 0

async function countByPlatformatic({ bootstrap }: BenchKafka, topic: string, count: number): Promise<number> {
  const groupId = `bench-peer-${String(groups++)}`
  const consumer = new Consumer({ clientId: 'bench', groupId, bootstrapBrokers: [bootstrap], maxWaitTime: 100 })
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false })
  let found = 0
  for await (const { value } of stream) {
    lastByte(value.toString())
    if (++found === count) break
  }
  await new Promise<void>((resolve, reject) => {
    consumer.close(true, (error) => {
      if (error) reject(error)
      else resolve()
    })
  })
  return found
}

/** Rounds of ours and theirs in turn. */
async function beside(peer: Peer, many: Many, rounds: number): Promise<Row[]> {
  const pairs: { readonly ours: Run; readonly theirs: Run }[] = []
  try {
    for (let round = 0; round < rounds; round++) {
      const ours = await timed(() => countByNewStream(many.broker, many.topic))
      const theirs = await peer.count(many)
      for (const { rows } of [ours, theirs]) {
        if (rows !== many.count) throw new WrongCount(`${peer.name}: ${String(rows)} rows of ${String(many.count)}`)
      }
      pairs.push({ ours, theirs })
    }
  } catch (error) {
    if (error instanceof WrongCount) throw error
    console.error(`kafka, count: ${peer.name}: left out: ${error instanceof Error ? error.message : String(error)}`)
    return []
  }
  const ratios = (cost: 'cpuMs' | 'wallMs'): number[] => pairs.map(({ ours, theirs }) => theirs[cost] / ours[cost])
  const rate = (runs: readonly Run[]): number => many.count / 1_000 / median(runs.map(({ cpuMs }) => cpuMs))
  const { median: ratio, low, high } = spreadOf(ratios('cpuMs'))
  return [
    {
      ...{ name: `kafka, count: ${peer.name}`, ratio, low, high, aim: AIM, met: ratio >= AIM, rounds },
      unit: 'M rows per CPU second',
      ours: rate(pairs.map(({ ours }) => ours)),
      reference: rate(pairs.map(({ theirs }) => theirs)),
      wallRatio: median(ratios('wallMs')),
    },
  ]
}

class WrongCount extends Error {}

async function timed(run: () => Promise<unknown>): Promise<Run> {
  globalThis.gc?.()
  const wall = performance.now()
  const cpu = process.cpuUsage()
  const rows = Number(await run())
  const { user, system } = process.cpuUsage(cpu)
  return { rows, cpuMs: (user + system) / 1_000, wallMs: performance.now() - wall }
}

const run = promisify(execFile)

/** Into a pipe, as one uses it, where the lines are counted, which is hardly any work. The shell knows what its children cost. */
async function countByKcat({ broker, topic }: Many): Promise<Run> {
  const kcat = `kcat -C -e -q -o beginning -X check.crcs=true -b ${broker.bootstrap} -t ${topic}`
  const wall = performance.now()
  const { stdout } = await run('sh', ['-c', `${kcat} | wc -l && times`])
  const wallMs = performance.now() - wall
  const [rows = '', , children = ''] = stdout.trim().split('\n')
  const parts = [...children.matchAll(/(\d+)m([\d.]+)s/g)].map(([, min, sec]) => Number(min) * 60 + Number(sec))
  const cpuMs = parts.reduce((sum, part) => sum + part, 0) * 1_000
  return { rows: Number(rows), cpuMs: Math.max(cpuMs, SHELL_TICK_MS), wallMs }
}

async function countByJava({ broker, topic }: Many): Promise<Run> {
  const source = fileURLToPath(new URL('../../peers/kafka/CountTopic.java', import.meta.url))
  return JSON.parse(await runWithKafkaJars(source, [broker.bootstrap, topic])) as Run
}
