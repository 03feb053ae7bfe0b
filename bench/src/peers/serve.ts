/**
 * How a peer takes part: a process that counts the words of the same lines once for each line on its standard input, and
 * answers each time with one line of JSON. So all peers stay warm and take turns.
 */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** What one run counted, and what it cost its process, all threads included. */
export interface Run {
  readonly words: number
  readonly distinct: number
  /** Sum of the squares of the counts: tells whether all counts are right. */
  readonly squares: number
  readonly cpuMs: number
  readonly wallMs: number
}

export type Counts = Iterable<readonly [word: string, count: number]>

/** The first `limit` lines of a file. */
export function linesOf(path: string, limit: number): string[] {
  const lines = readFileSync(path, 'latin1').split('\n').slice(0, limit)
  // A string of its own for each line: a slice would keep the whole file, and be slower to split.
  return lines.map((line) => Buffer.from(line, 'latin1').toString('latin1'))
}

/** Serves runs of `count` until standard input ends. */
export async function serve(count: () => Counts | Promise<Counts>): Promise<void> {
  console.log('ready')
  for await (const _line of createInterface({ input: process.stdin }))
    console.log(JSON.stringify(await measured(count)))
}

async function measured(count: () => Counts | Promise<Counts>): Promise<Run> {
  const wall = performance.now()
  const cpu = process.cpuUsage()
  const counts = await count()
  const { user, system } = process.cpuUsage(cpu)
  const wallMs = performance.now() - wall
  let words = 0
  let distinct = 0
  let squares = 0
  for (const [, n] of counts) {
    words += n
    distinct++
    squares += n * n
  }
  return { words, distinct, squares, cpuMs: (user + system) / 1_000, wallMs }
}
