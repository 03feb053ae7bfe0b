/** Sorting a partition of pairs [sort key, record], stably, on disk when it is too large. */
import { mergeSorted } from './external.js'
import { compareNatural, type Compare } from './order.js'
import type { Source, Spill, TaskEnv } from './pipeline.js'
import { explained, politeChunks } from './run.js'
import type { Entry } from './radix.js'
import { politely, sortEntries } from './sort-steps.js'

const CHUNK = 1_024
type SortSource = Extract<Source, { kind: 'sort' }>

/** The records (without their sort keys) in order; equal keys stay in the order in which they came. */
export async function* sortedChunks(source: SortSource, env: TaskEnv): AsyncGenerator<readonly unknown[]> {
  const compare = source.compare === undefined ? undefined : guarded(source.compare, source.operator, env)
  const sorted = (entries: Entry[]): Promise<readonly Entry[]> =>
    politely(sortEntries(entries, compare, source.descending), env.pacer)
  const runs: Spill[] = []
  let held: Entry[] = []
  for await (const chunk of politeChunks(source.input, env)) {
    for (const entry of chunk) held.push(entry as Entry)
    if (held.length >= env.spillRecords) {
      runs.push(await spilledRun(await sorted(held), env))
      held = []
    }
  }
  const last = await sorted(held)
  if (runs.length === 0) yield* recordChunks(last)
  else {
    runs.push(await spilledRun(last, env))
    yield* mergeSorted(
      runs.map((run) => run.read() as AsyncIterable<Entry[]>),
      entryCompare(compare ?? compareNatural, source.descending),
      (entry) => entry[1],
      env,
    )
  }
}

/** The user's order; what it throws names the operator. */
function guarded(compare: Compare<unknown>, operator: string, env: TaskEnv): Compare<unknown> {
  return (a, b) => {
    try {
      return compare(a, b)
    } catch (error) {
      throw explained(error, operator, env.info)
    }
  }
}

function entryCompare(compare: Compare<unknown>, descending: boolean): Compare<Entry> {
  return descending ? (a, b) => compare(b[0], a[0]) : (a, b) => compare(a[0], b[0])
}

async function spilledRun(entries: readonly Entry[], env: TaskEnv): Promise<Spill> {
  const run = await env.spill()
  for (let i = 0; i < entries.length; i += CHUNK) {
    await run.append(entries.slice(i, i + CHUNK))
    if (env.pacer.ran(CHUNK)) await env.pacer.yield()
  }
  return run
}

function* recordChunks(entries: readonly Entry[]): Generator<readonly unknown[]> {
  for (let from = 0; from < entries.length; from += CHUNK) {
    const to = Math.min(entries.length, from + CHUNK)
    const chunk = new Array<unknown>(to - from)
    for (let i = from; i < to; i++) chunk[i - from] = (entries[i] as Entry)[1]
    yield chunk
  }
}
