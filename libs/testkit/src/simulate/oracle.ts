/** Recomputes by plain code what must stand in the stores after a run, and says where something else stands. */
import type { StoredRow } from '@sluice/core/testing'
import type { Contents, Expected, SimBatch } from './contents.js'
import { writeKey } from './history.js'
import type { RunReport } from './run.js'
import type { Outside } from './simulation.js'

export interface Expectation {
  readonly expected: Expected
  /** Tables whose partitions keep the order of the source's. */
  readonly ordered?: readonly string[] | undefined
  /** What else is wrong. */
  readonly verify?: ((outside: Outside) => string | undefined) | undefined
}

/** What is wrong with the results of a run; undefined: nothing. */
export function check(report: RunReport, { expected, ordered = [], verify }: Expectation): string | undefined {
  const { outside } = report
  if (report.problem !== undefined) return [report.problem, ...outside.problems()].join('; ')
  const batches = batchesOf(outside)
  const contents = expected(batches, outside.history.zeroTime)
  const problems = [
    ...missingRecords(outside, batches, report.isCorrupt),
    ...Object.entries(contents).flatMap(([table, rows]) =>
      checkTable(outside, table, batches, rows, ordered.includes(table), report.isCorrupt),
    ),
  ]
  return problems[0] ?? verify?.(outside) ?? (report.isCorrupt ? undefined : outside.problems()[0])
}

/** The batches that were committed, with what they covered. */
export function batchesOf(outside: Outside): SimBatch[] {
  const taken = new Map<string, number>()
  return outside.history.effective().map(({ time, inputs, ranges }) => {
    const partitions: Record<string, unknown[][]> = {}
    const records: Record<string, unknown[]> = {}
    for (const [name, topic] of outside.topics) {
      const given = ranges.get(name)
      partitions[name] = given === undefined ? [] : topic.records(given)
      records[name] = partitions[name].flat()
    }
    for (const [name, feed] of outside.feeds) {
      // A receiver's batches cover its records in their order; listeners tell how many.
      const from = taken.get(name) ?? 0
      const to = from + (inputs.find((input) => input.name === name)?.records ?? 0)
      taken.set(name, to)
      records[name] = feed.records.slice(from, to)
    }
    return { time, records, partitions }
  })
}

/** What stands in each table, by batches. */
export function contentsOf({ stores }: Outside, batches: readonly SimBatch[]): Contents {
  const contents: Record<string, unknown[][]> = {}
  for (const table of stores.kinds.keys()) {
    const rows = stores.rows(table)
    contents[table] = batches.map(({ time }) =>
      rows
        .filter(({ batchTime }) => batchTime === time)
        .sort((a, b) => a.partition - b.partition)
        .map(({ record }) => record),
    )
  }
  return contents
}

/** Every record that came is in a batch. */
function missingRecords(outside: Outside, batches: readonly SimBatch[], isCorrupt: boolean): string[] {
  if (isCorrupt) return []
  const problems: string[] = []
  for (const [name, { total }] of [...outside.topics, ...outside.feeds]) {
    if (outside.isPlain(name)) continue
    const covered = batches.reduce((sum, { records }) => sum + (records[name]?.length ?? 0), 0)
    if (covered !== total) problems.push(`batches cover ${String(covered)} of ${String(total)} records of ${name}`)
  }
  return problems
}

function checkTable(
  outside: Outside,
  table: string,
  batches: readonly SimBatch[],
  expected: readonly (readonly unknown[])[],
  isOrdered: boolean,
  isCorrupt: boolean,
): string[] {
  const { stores, history } = outside
  const byTime = new Map<number, StoredRow[]>()
  for (const row of stores.rows(table)) {
    const rows = byTime.get(row.batchTime)
    if (rows === undefined) byTime.set(row.batchTime, [row])
    else rows.push(row)
  }
  const problems: string[] = []
  for (const [i, { time }] of batches.entries()) {
    const rows = (byTime.get(time) ?? []).sort((a, b) => a.partition - b.partition)
    byTime.delete(time)
    const isLedger = stores.kinds.get(table) !== 'append'
    const writes = Math.max(
      ...rows.map(({ partition }) => history.writes.get(writeKey(table, time, partition)) ?? 1),
      1,
    )
    const actual = rows.map(({ record }) => record)
    const problem = difference(actual, expected[i] ?? [], isLedger ? 1 : writes, isOrdered)
    if (problem !== undefined) problems.push(`${table}, batch ${String(time)}: ${problem}`)
  }
  // Where the application ended because of damage, a batch may be written that was not committed.
  const [other] = byTime
  if (other !== undefined && !isCorrupt)
    problems.push(
      `${table}, batch ${String(other[0])}: ${textOf(other[1].map(({ record }) => record))} of a batch that was never committed`,
    )
  return problems
}

/** Each record must be there as often as expected, or at most so many times as often. */
function difference(
  actual: readonly unknown[],
  expected: readonly unknown[],
  most: number,
  isOrdered: boolean,
): string | undefined {
  const shown = `there is ${textOf(actual)}, and not ${textOf(expected)}`
  if (isOrdered && most === 1) return textOf(actual) === textOf(expected) ? undefined : shown
  const [has, needs] = [countsOf(actual), countsOf(expected)]
  for (const key of new Set([...has.keys(), ...needs.keys()])) {
    const [there, needed] = [has.get(key) ?? 0, needs.get(key) ?? 0]
    if (there < needed) return `${key} is missing: ${shown}`
    if (there > needed * most) return needed === 0 ? `${key} is wrong: ${shown}` : `${key} is there twice: ${shown}`
  }
  return undefined
}

function countsOf(records: readonly unknown[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const record of records) counts.set(textOf(record), (counts.get(textOf(record)) ?? 0) + 1)
  return counts
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? `${String(part)}n` : part))
}
