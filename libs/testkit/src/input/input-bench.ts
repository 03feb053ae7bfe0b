/** What the rules for direct sources work with: a source, where its records come from, and the engine's way of driving it. */
import assert from 'node:assert/strict'
import { deserialize, serialize } from 'node:v8'
import type { Clock, InputContext, InputPlan, InputSource } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'
import { settled, silentLogger, textOf, within } from '../suite/checks.js'
import { ingredient, type Skip, type SuiteRunner } from '../suite/runner.js'

/** A direct source under test and the place that it reads from. */
export interface InputTarget<T> {
  readonly source: InputSource<T>
  /** These records are there for the next plan. */
  add(records: readonly T[]): void | Promise<void>
  /** Another source on the same place: what the restarted application would make. */
  reopen?(): InputSource<T> | Promise<InputSource<T>>
  /** Takes away all that was added: deleted files, a log past its retention. */
  lose?(): void | Promise<void>
  /** Called after the test, also after a failed one. */
  close?(): void | Promise<void>
}

/** Batches end a second apart: a manual clock is advanced, with another the suite waits. */
export type InputClock = Clock & { advance?(ms: number): Promise<void> }

export interface InputConformanceOptions<T> extends SuiteRunner {
  /** Names the suite, e.g. `source-kafka`. */
  readonly name: string
  /** Called once for each test, with the clock that tells the batch times. */
  readonly open: (clock: InputClock) => InputTarget<T> | Promise<InputTarget<T>>
  /** A record that differs from those of other numbers; the same each time. */
  readonly record: (index: number) => T
  /** A source that cannot be started: a server that is not there, a folder that is missing. */
  readonly broken?: (() => InputSource<T> | Promise<InputSource<T>>) | undefined
  /** The most records in one chunk of `read`. Default: 10,000. */
  readonly maxChunkRecords?: number | undefined
  /** Records of the tests with many of them. Default: 50,000. */
  readonly manyRecords?: number | undefined
  /** Real milliseconds within which one call of the source ends. Default: 10,000. */
  readonly deadlineMs?: number | undefined
  /** Makes the clock of each test. Default: a manual clock. */
  readonly clock?: (() => InputClock) | undefined
  readonly skip?: readonly Skip[] | undefined
}

const START_MS = 1_800_000_000_000
const INTERVAL_MS = 1_000

export function clockOf<T>(options: InputConformanceOptions<T>): InputClock {
  return options.clock?.() ?? new ManualClock(START_MS)
}

export class InputBench<T> {
  readonly options: InputConformanceOptions<T>
  readonly target: InputTarget<T>
  readonly clock: InputClock
  readonly rule: string
  readonly #started = new Set<InputSource<T>>()
  #records = 0
  #time = 0

  constructor(options: InputConformanceOptions<T>, target: InputTarget<T>, clock: InputClock, rule: string) {
    this.options = options
    this.target = target
    this.clock = clock
    this.rule = rule
  }

  get source(): InputSource<T> {
    return this.target.source
  }

  get intervalMs(): number {
    return INTERVAL_MS
  }

  get manyRecords(): number {
    return this.options.manyRecords ?? 50_000
  }

  /** Time of the last batch planned. */
  get time(): number {
    return this.#time
  }

  /** `count` records that were never added before. */
  records(count: number): T[] {
    const first = this.#records
    this.#records += count
    return Array.from({ length: count }, (_, i) => this.options.record(first + i))
  }

  need<K extends 'reopen' | 'lose'>(name: K): NonNullable<InputTarget<T>[K]> {
    return ingredient<NonNullable<InputTarget<T>[K]>>(this.target[name]?.bind(this.target) as never, name, this.rule)
  }

  async #within<V>(what: string, work: () => V | Promise<V>): Promise<V> {
    return within(what, (async () => work())(), this.options.deadlineMs)
  }

  async start(source: InputSource<T> = this.source): Promise<void> {
    this.#started.add(source)
    const context: InputContext = {
      streamId: 0,
      id: 'conformance',
      appName: 'conformance',
      clock: this.clock,
      logger: silentLogger,
      signal: new AbortController().signal,
    }
    await this.#within('start', () => source.start?.(context))
  }

  async stop(source: InputSource<T> = this.source): Promise<void> {
    this.#started.delete(source)
    await this.#within('stop', () => source.stop?.())
  }

  async end(): Promise<void> {
    for (const source of [...this.#started]) await settled(() => this.stop(source))
    await this.target.close?.()
  }

  async add(records: readonly T[]): Promise<void> {
    await this.#within('add', () => this.target.add(records))
  }

  /** Plans the next batch, an interval later. */
  async plan(): Promise<InputPlan<unknown> | undefined> {
    if (this.clock.advance === undefined) await this.clock.sleep(INTERVAL_MS)
    else await this.clock.advance(INTERVAL_MS)
    this.#time = Math.max(this.#time + INTERVAL_MS, Math.floor(this.clock.now()))
    return this.#within('plan', () => this.source.plan(this.#time))
  }

  /** Plans the next batch and gives what it covers. */
  async planData(): Promise<unknown> {
    const plan = await this.plan()
    assert.ok(plan !== undefined, 'a plan must cover what was added')
    return plan.data
  }

  /** The records of each partition of a plan. */
  async read(data: unknown, source: InputSource<T> = this.source): Promise<T[][]> {
    const partitions: T[][] = []
    for (const partition of source.partitions(data)) partitions.push(await this.readPartition(partition, source))
    return partitions
  }

  readPartition(partition: unknown, source: InputSource<T> = this.source): Promise<T[]> {
    return this.#within('read', async () => {
      const records: T[] = []
      for await (const chunk of this.chunks(partition, source)) for (const record of chunk) records.push(record)
      return records
    })
  }

  /** The chunks of one partition; each must be within the declared bound. */
  async *chunks(partition: unknown, source: InputSource<T> = this.source): AsyncGenerator<readonly T[]> {
    const most = this.options.maxChunkRecords ?? 10_000
    for await (const chunk of source.read(partition as never, new AbortController().signal)) {
      assert.ok(chunk.length <= most, `a chunk has ${String(chunk.length)} records, more than ${String(most)}`)
      yield chunk
    }
  }

  /** What the next plan covers; empty when there is none. */
  async next(): Promise<T[]> {
    const plan = await this.plan()
    return plan === undefined ? [] : (await this.read(plan.data)).flat()
  }

  async commit(data: unknown, time: number = this.#time): Promise<void> {
    await this.#within('commit', () => this.source.commit?.(data, time))
  }
}

/** A copy by way of bytes, as in the batch log. */
export function throughBytes<V>(data: V): V {
  return deserialize(serialize(data)) as V
}

/** Fails unless `data` is plain: what a log can keep and another process understand. */
export function assertPlain(data: unknown, path = 'data'): void {
  if (data === null || ['undefined', 'boolean', 'number', 'bigint', 'string'].includes(typeof data)) return
  assert.equal(typeof data, 'object', `${path} is a ${typeof data}, which no log can keep`)
  if (data instanceof Date || data instanceof Uint8Array) return
  if (Array.isArray(data)) for (const [i, item] of data.entries()) assertPlain(item, `${path}[${String(i)}]`)
  else if (data instanceof Map || data instanceof Set) assertPlain([...data], path)
  else assertPlainObject(data as object, path)
}

function assertPlainObject(data: object, path: string): void {
  const prototype: unknown = Object.getPrototypeOf(data)
  assert.ok(prototype === Object.prototype || prototype === null, `${path} is an instance of a class: not plain data`)
  for (const [key, item] of Object.entries(data)) assertPlain(item, `${path}.${key}`)
}

/** The same partitions with the same records in the same order. */
export function assertSamePartitions(
  found: readonly (readonly unknown[])[],
  wanted: readonly (readonly unknown[])[],
): void {
  assert.deepEqual(
    found.map((records) => records.map(textOf)),
    wanted.map((records) => records.map(textOf)),
  )
}
