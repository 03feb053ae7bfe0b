/**
 * Word count side by side with Spark and with what a Node user could pick instead: all peers warm, taking turns, on the same
 * lines. Those that need what is not here (Java, Maven, the network) are left out with a message.
 *
 * `npm run bench:peers -- [--json FILE] [--rounds N]`
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { argv } from 'node:process'
import { parseArgs } from 'node:util'
import { zipfLines } from '../data/words.js'
import { tableOf } from '../report.js'
import type { Row } from '../row.js'
import { median, spreadOf } from '../stats.js'
import { peers, RunningPeer, sluice, type Peer, type Work } from './peer.js'
import type { Run } from './serve.js'

const WARM_UP = 5
const ROUNDS = 9
const LINES = 1_000_000

const { values: options } = parseArgs({
  args: argv.slice(2),
  options: { json: { type: 'string' }, rounds: { type: 'string' } },
})

function makeWork(): Work {
  const folder = join(tmpdir(), 'sluice-bench-peers')
  const linesFile = join(folder, 'lines.txt')
  mkdirSync(folder, { recursive: true })
  if (!existsSync(linesFile)) writeFileSync(linesFile, `${zipfLines({ lines: LINES }).join('\n')}\n`)
  return { folder, linesFile }
}

async function startAll(work: Work): Promise<RunningPeer[]> {
  const running: RunningPeer[] = []
  for (const peer of [sluice, ...peers]) {
    try {
      running.push(await RunningPeer.start(peer, work))
    } catch (error) {
      console.error(`${peer.name}: left out: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return running
}

/** The runs of each peer, by round. The order turns from round to round. */
async function runAll(running: readonly RunningPeer[], rounds: number): Promise<Map<Peer, Run[]>> {
  const runs = new Map(running.map(({ peer }) => [peer, [] as Run[]]))
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const each of round % 2 === 0 ? running : running.toReversed()) {
      const run = await each.count()
      if (round >= 0) runs.get(each.peer)?.push(run)
    }
  }
  return runs
}

/** Peers that count the same lines must find the same. */
function check(runs: ReadonlyMap<Peer, readonly Run[]>): void {
  const found = new Map<number, string>()
  for (const [peer, all] of runs) {
    for (const { words, distinct, squares } of all) {
      const text = [words, distinct, squares].join(' ')
      if (text !== (found.get(peer.lines) ?? text)) throw new Error(`${peer.name} counted wrong: ${text}`)
      found.set(peer.lines, text)
    }
  }
}

const rateOf = ({ words, cpuMs }: Run): number => words / cpuMs / 1_000
const wallRateOf = ({ words, wallMs }: Run): number => words / wallMs / 1_000

function rowOf(peer: Peer, ours: readonly Run[], theirs: readonly Run[]): Row {
  const ratios = (rate: (run: Run) => number): number[] =>
    ours.map((run, round) => rate(run) / rate(theirs[round] ?? run))
  const { median: ratio, low, high } = spreadOf(ratios(rateOf))
  return {
    name: `peers/${peer.name}`,
    ratio,
    low,
    high,
    unit: 'M words per CPU second',
    ours: median(ours.map(rateOf)),
    reference: median(theirs.map(rateOf)),
    aim: peer.aim,
    met: ratio >= peer.aim,
    wallRatio: median(ratios(wallRateOf)),
    rounds: theirs.length,
  }
}

const running = await startAll(makeWork())
try {
  const runs = await runAll(running, Number(options.rounds ?? ROUNDS))
  check(runs)
  const ours = runs.get(sluice) ?? []
  const rows = [...runs].filter(([peer]) => peer !== sluice).map(([peer, theirs]) => rowOf(peer, ours, theirs))
  console.log(tableOf(rows))
  console.log(
    '\nratio: speed of Sluice by that of the peer, in CPU time of all threads of the processes; the median of rounds.',
  )
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(rows, undefined, 2)}\n`)
} finally {
  for (const each of running) each.stop()
}
