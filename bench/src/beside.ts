/** Ours in turns with programs of others, each run of theirs a process of its own. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Row } from './row.js'
import { median, spreadOf } from './stats.js'

/** The shell counts in these. */
const SHELL_TICK_MS = 10

/** What one run cost, and how many rows it had. */
export interface Run {
  readonly rows: number
  readonly cpuMs: number
  readonly wallMs: number
}

export interface Beside {
  /** E.g. `kafka, count: kcat`. */
  readonly name: string
  readonly count: number
  readonly rounds: number
  readonly aim: number
  /** Gives the number of rows. */
  ours(): Promise<unknown>
  theirs(): Promise<Run>
}

/** Rounds of ours and theirs in turn. A program that is missing is left out by name; a wrong number of rows throws. */
export async function beside({ name, count, rounds, aim, ours, theirs }: Beside): Promise<Row[]> {
  const pairs: { readonly ours: Run; readonly theirs: Run }[] = []
  try {
    for (let round = 0; round < rounds; round++) {
      const pair = { ours: await timed(ours), theirs: await theirs() }
      for (const { rows } of [pair.ours, pair.theirs]) {
        if (rows !== count) throw new WrongCount(`${name}: ${String(rows)} rows of ${String(count)}`)
      }
      pairs.push(pair)
    }
  } catch (error) {
    if (error instanceof WrongCount) throw error
    console.error(`${name}: left out: ${error instanceof Error ? error.message : String(error)}`)
    return []
  }
  const ratios = (cost: 'cpuMs' | 'wallMs'): number[] => pairs.map((pair) => pair.theirs[cost] / pair.ours[cost])
  const rate = (runs: readonly Run[]): number => count / 1_000 / median(runs.map(({ cpuMs }) => cpuMs))
  const { median: ratio, low, high } = spreadOf(ratios('cpuMs'))
  return [
    {
      ...{ name, ratio, low, high, aim, met: ratio >= aim, rounds },
      unit: 'M rows per CPU second',
      ours: rate(pairs.map((pair) => pair.ours)),
      reference: rate(pairs.map((pair) => pair.theirs)),
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

/** Runs a line of the shell, which knows what its children cost and prints the number of rows. */
export async function timedShell(command: string): Promise<Run> {
  const wall = performance.now()
  const { stdout } = await run('sh', ['-c', `${command} && times`])
  const wallMs = performance.now() - wall
  const [rows = '', , children = ''] = stdout.trim().split('\n')
  const parts = [...children.matchAll(/(\d+)m([\d.]+)s/g)].map(([, min, sec]) => Number(min) * 60 + Number(sec))
  const cpuMs = parts.reduce((sum, part) => sum + part, 0) * 1_000
  return { rows: Number(rows), cpuMs: Math.max(cpuMs, SHELL_TICK_MS), wallMs }
}
