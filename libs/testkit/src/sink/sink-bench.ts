/** What the rules for sinks work with: a sink on a target of its own, and the engine's way of driving it. */
import assert from 'node:assert/strict'
import {
  seededRandom,
  seedOf,
  systemClock,
  type BatchPartitionId,
  type Sink,
  type SinkContext,
  type WriteContext,
} from '@sluice/core'
import { assertSameRecords, assertHelpful, settled, silentLogger, within, type Outcome } from '../suite/checks.js'
import { ingredient, type Skip, type SuiteRunner } from '../suite/runner.js'

/** A sink under test, on a target that nothing else writes to. */
export interface SinkTarget<T> {
  /** Not opened: the suite calls `open`. */
  readonly sink: Sink<T>
  /** Another sink on the same target, not opened, with connections of its own: what the restarted application would make. */
  reopen(): Sink<T> | Promise<Sink<T>>
  /** All records in the target, read past the sink: as one who reads the results does. */
  readBack(): Promise<readonly T[]>
  /** Called after the test, also after a failed one, when its sinks are closed. Removes the target. */
  close?(): Promise<void>
}

export interface SinkConformanceOptions<T> extends SuiteRunner {
  /** Names the suite, e.g. `sink-redis`. */
  readonly name: string
  /** Called once for each test. */
  readonly open: () => SinkTarget<T> | Promise<SinkTarget<T>>
  /** A record that differs from those of other numbers; the same each time. */
  readonly record: (index: number) => T
  /** Records whose contents are easily damaged, e.g. made of `awkwardTexts` and `awkwardBytes`. */
  readonly awkward?: readonly T[] | undefined
  /** Records that the system refuses and the sink gives to `reject`, e.g. of a wrong type; `'none'` if it takes every record. */
  readonly refused?: readonly T[] | 'none' | undefined
  /** A sink that cannot be opened: a server that is not there, a table that is missing. */
  readonly broken?: (() => Sink<T> | Promise<Sink<T>>) | undefined
  /** Records of the test with many of them. Default: 100,000. */
  readonly manyRecords?: number | undefined
  /** Real milliseconds within which one call of the sink ends. Default: 30,000. */
  readonly deadlineMs?: number | undefined
  readonly skip?: readonly Skip[] | undefined
}

/** What a test says of an identity; the rest has its default. */
export type PartialId = Partial<BatchPartitionId>

export interface WriteOptions<T> {
  readonly sink?: Sink<T> | undefined
  readonly id?: PartialId | undefined
  readonly signal?: AbortSignal | undefined
  /** What the partition's chunks come from. Default: the records, a few in each chunk. */
  readonly source?: AsyncIterable<readonly T[]> | undefined
  readonly reject?: WriteContext['reject'] | undefined
  readonly settleRejects?: WriteContext['settleRejects'] | undefined
}

const FIRST_BATCH = 1_800_000_000_000
const CHUNK_RECORDS = 3
const DEFAULT_DEADLINE_MS = 30_000

let benches = 0

export class SinkBench<T> {
  readonly options: SinkConformanceOptions<T>
  readonly target: SinkTarget<T>
  readonly rule: string
  /** Random, as in the engine: a target's ledger may outlive the test. */
  readonly app: string
  /** Whether a record may be there more than once, and a conflict may pass: this rule for this sink. */
  readonly relaxed: boolean
  readonly #opened = new Set<Sink<T>>()
  #records = 0
  /** The log of the application: its last batch. A batch is planned before it is written. */
  #lastPlanned: number | undefined

  constructor(options: SinkConformanceOptions<T>, target: SinkTarget<T>, rule: string, mayRelax: boolean) {
    this.options = options
    this.target = target
    this.rule = rule
    this.relaxed = mayRelax && target.sink.guarantee.level === 'at-least-once'
    const random = seededRandom(seedOf(systemClock.now(), systemClock.monotonic(), benches++))
    this.app = `conformance-${random.integer(2 ** 31).toString(36)}`
  }

  get sink(): Sink<T> {
    return this.target.sink
  }

  /** `count` records that were never given before. */
  records(count: number): T[] {
    const first = this.#records
    this.#records += count
    return Array.from({ length: count }, (_, i) => this.options.record(first + i))
  }

  /** Time of the n-th batch. */
  time(n: number): number {
    return FIRST_BATCH + n * 1_000
  }

  need<K extends 'awkward' | 'refused' | 'broken'>(name: K): NonNullable<SinkConformanceOptions<T>[K]> {
    return ingredient<NonNullable<SinkConformanceOptions<T>[K]>>(this.options[name] ?? undefined, name, this.rule)
  }

  within<V>(what: string, work: Promise<V>): Promise<V> {
    return within(what, work, this.options.deadlineMs ?? DEFAULT_DEADLINE_MS)
  }

  context(context: Partial<SinkContext> = {}): SinkContext {
    return {
      app: this.app,
      output: 'conformance-0',
      epoch: 1,
      lastPlanned: this.#lastPlanned,
      logger: silentLogger,
      clock: systemClock,
      signal: new AbortController().signal,
      ...context,
    }
  }

  async open(sink: Sink<T> = this.sink, context?: Partial<SinkContext>): Promise<Sink<T>> {
    this.#opened.add(sink)
    await this.within('open', sink.open?.(this.context(context)) ?? Promise.resolve())
    return sink
  }

  /** Another sink on the same target, opened. */
  async reopen(context?: Partial<SinkContext>): Promise<Sink<T>> {
    return this.open(await this.target.reopen(), context)
  }

  async closeSink(sink: Sink<T>): Promise<void> {
    this.#opened.delete(sink)
    await this.within('close', sink.close?.() ?? Promise.resolve())
  }

  /** Closes what the test has opened. */
  async end(): Promise<void> {
    for (const sink of [...this.#opened]) await settled(() => this.closeSink(sink))
    await this.target.close?.()
  }

  id(id: PartialId = {}): BatchPartitionId {
    const { batchTime = this.time(1) } = id
    this.#lastPlanned = Math.max(this.#lastPlanned ?? batchTime, batchTime)
    return {
      app: this.app,
      output: 'conformance-0',
      batchTime: this.time(1),
      partition: 0,
      partitions: 1,
      planDigest: 'plan-1',
      epoch: 1,
      attempt: 0,
      ...id,
    }
  }

  async write(records: readonly T[], options: WriteOptions<T> = {}): Promise<void> {
    const { sink = this.sink, signal = new AbortController().signal } = options
    const source = options.source ?? chunksOf(records, CHUNK_RECORDS)
    const context: WriteContext = {
      signal,
      reject: options.reject ?? refusedUnasked,
      settleRejects: options.settleRejects ?? (() => Promise.resolve()),
    }
    await this.within('writePartition', sink.writePartition(this.id(options.id), source, context))
  }

  async commit(id: PartialId = {}, sink: Sink<T> = this.sink, signal?: AbortSignal): Promise<void> {
    const { partition: _, ...batch } = this.id(id)
    await this.within(
      'commitBatch',
      sink.commitBatch?.(batch, { offsets: {}, signal: signal ?? new AbortController().signal }) ?? Promise.resolve(),
    )
  }

  /** Writes all partitions in turn and commits, as the engine does. */
  async batch(partitions: readonly (readonly T[])[], id: PartialId = {}, sink: Sink<T> = this.sink): Promise<void> {
    const whole = { partitions: partitions.length, ...id }
    for (const [partition, records] of partitions.entries())
      await this.write(records, { sink, id: { ...whole, partition } })
    await this.commit(whole, sink)
  }

  /** The target has these records and no others; each once, unless the sink's declaration relaxes this rule. */
  async expect(records: readonly T[]): Promise<void> {
    assertSameRecords(await this.readBack(), records, { atLeastOnce: this.relaxed })
  }

  readBack(): Promise<readonly T[]> {
    return this.within('readBack', this.target.readBack())
  }

  /** `work` must be refused with a helpful error and leave exactly `records`; a relaxed rule asks for neither. */
  async expectRefused(what: string, records: readonly T[], work: () => Promise<void>): Promise<void> {
    const outcome = await settled(work)
    if (this.relaxed) return
    assert.ok(outcome.rejected, `${what} must be an error, never success`)
    assertHelpful(outcome.error)
    await this.expect(records)
  }

  /** Whether it succeeded; otherwise it must have failed with an error of Sluice. */
  succeeded(outcome: Outcome): boolean {
    if (!outcome.rejected) return true
    assertHelpful(outcome.error)
    return false
  }
}

function refusedUnasked(index: number, error: Error): void {
  assert.fail(`the sink refuses record ${String(index)}, which is a good one: ${error.message}`)
}

/** The records in chunks of this size, as the engine gives them. */
export async function* chunksOf<T>(records: readonly T[], size: number): AsyncGenerator<readonly T[]> {
  for (let at = 0; at < records.length; at += size) {
    await Promise.resolve()
    yield records.slice(at, at + size)
  }
}

/** A rule for sinks. `relaxed`: a sink that declares at-least-once may leave duplicates here, and let conflicts pass. */
export interface SinkRule {
  readonly name: string
  readonly relaxed: boolean
  run(bench: SinkBench<unknown>): Promise<void>
}

export function rule(name: string, run: (bench: SinkBench<unknown>) => Promise<void>): SinkRule {
  return { name, relaxed: false, run }
}

export function onceRule(name: string, run: (bench: SinkBench<unknown>) => Promise<void>): SinkRule {
  return { name, relaxed: true, run }
}
