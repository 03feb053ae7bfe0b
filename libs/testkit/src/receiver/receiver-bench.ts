/** What the rules for receivers work with: a receiver, its source, and the engine's way of driving it. */
import assert from 'node:assert/strict'
import { systemClock, type Clock, type Receiver } from '@sluice/core'
import { eventually, quiet, settled, textOf, within, type Outcome } from '../suite/checks.js'
import { ingredient, type Skip, type SuiteRunner } from '../suite/runner.js'
import { ReceiverRun } from './receiver-run.js'

/** A receiver under test and the source that it receives from. */
export interface ReceiverTarget<T> {
  readonly receiver: Receiver<T>
  /**
   * The source has these records for the receiver, in this order. Called while the receiver runs, and after it has stopped.
   * Resolves when they are given away, or kept for who comes; it must not wait until the receiver takes them.
   */
  send(records: readonly T[]): void | Promise<void>
  /** How many connections, files or subscriptions the receiver holds at the source. */
  held?(): number | Promise<number>
  /** The source breaks: what is connected is cut, and nobody can connect. */
  break?(): void | Promise<void>
  /** It is well again. */
  repair?(): void | Promise<void>
  /** Called after the test, also after a failed one. Ends the source. */
  close?(): void | Promise<void>
}

export interface ReceiverConformanceOptions<T> extends SuiteRunner {
  /** Names the suite, e.g. `source-socket`. */
  readonly name: string
  /** Called once for each test. */
  readonly open: () => ReceiverTarget<T> | Promise<ReceiverTarget<T>>
  /** A record that differs from those of other numbers; the same each time. */
  readonly record: (index: number) => T
  /** How many calls of `store` and `storeAll` may be pending at a time. Default: 1. */
  readonly maxPendingStores?: number | undefined
  /** Real milliseconds after which what should not happen counts as not happening. Default: 40. */
  readonly quietMs?: number | undefined
  /** Real milliseconds within which what must happen does, e.g. connecting. Default: 10,000. */
  readonly deadlineMs?: number | undefined
  /** Default: the system clock. */
  readonly clock?: Clock | undefined
  readonly skip?: readonly Skip[] | undefined
}

const DEFAULT_QUIET_MS = 40

export class ReceiverBench<T> {
  readonly options: ReceiverConformanceOptions<T>
  readonly target: ReceiverTarget<T>
  readonly rule: string
  /** All that was stored, over all runs. */
  readonly stored: T[] = []
  readonly runs: ReceiverRun<T>[] = []
  #position: Readonly<Record<string, bigint>> = {}
  #records = 0
  #starting: Promise<Outcome> | undefined

  constructor(options: ReceiverConformanceOptions<T>, target: ReceiverTarget<T>, rule: string) {
    this.options = options
    this.target = target
    this.rule = rule
  }

  get maxPending(): number {
    return this.options.maxPendingStores ?? 1
  }

  /** The current or last run. */
  get run(): ReceiverRun<T> {
    const run = this.runs.at(-1)
    assert.ok(run !== undefined)
    return run
  }

  /** `count` records that were never sent before. */
  records(count: number): T[] {
    const first = this.#records
    this.#records += count
    return Array.from({ length: count }, (_, i) => this.options.record(first + i))
  }

  need<K extends 'held' | 'break' | 'repair'>(name: K): NonNullable<ReceiverTarget<T>[K]> {
    return ingredient<NonNullable<ReceiverTarget<T>[K]>>(this.target[name]?.bind(this.target) as never, name, this.rule)
  }

  quiet(): Promise<void> {
    return quiet(this.options.quietMs ?? DEFAULT_QUIET_MS)
  }

  /** Resolves when `condition` holds, at the latest at the deadline. */
  eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    return eventually(what, condition, this.options.deadlineMs)
  }

  #within<V>(what: string, work: Promise<V>): Promise<V> {
    return within(what, work, this.options.deadlineMs)
  }

  /** Begins a run, as the engine does: a new context, one `onStart`. */
  begin(): ReceiverRun<T> {
    assert.equal(this.#starting, undefined, 'a run begins when the one before has ended')
    const run = new ReceiverRun<T>({
      clock: this.options.clock ?? systemClock,
      position: this.#position,
      unpack: this.target.receiver.unpack,
      take: (records, position) => {
        this.stored.push(...records)
        this.#position = { ...this.#position, ...position }
      },
    })
    this.runs.push(run)
    this.#starting = settled(async () => {
      await this.target.receiver.onStart(run)
    })
    return run
  }

  /** Begins a run and waits for `onStart`, which must succeed. */
  async start(): Promise<ReceiverRun<T>> {
    const run = this.begin()
    const outcome = await this.started()
    if (outcome.rejected) throw outcome.error
    assert.deepEqual(run.ends, [], 'onStart resolves when receiving is set up, and does not end the run')
    return run
  }

  /** How the `onStart` of the current run ended. */
  started(): Promise<Outcome> {
    assert.ok(this.#starting !== undefined)
    return this.#within('onStart', this.#starting)
  }

  /** Ends the run as the engine does: aborts its signal, waits for `onStart`, then calls `onStop`. */
  async stop(): Promise<void> {
    this.run.abort()
    await this.started()
    await this.#within(
      'onStop',
      (async () => {
        await this.target.receiver.onStop()
      })(),
    )
    this.run.close()
    this.#starting = undefined
  }

  /** Ends what the test has begun. */
  async end(): Promise<void> {
    if (this.#starting !== undefined) await settled(() => this.stop())
    await this.target.close?.()
  }

  async send(records: readonly T[]): Promise<void> {
    await this.#within('send', Promise.resolve(this.target.send(records)))
  }

  /** Waits until this many records are stored over all runs. */
  async untilStored(count: number): Promise<void> {
    await this.eventually(`${String(count)} records are stored`, () => this.stored.length >= count).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}; there are ${String(this.stored.length)}`)
      },
    )
  }

  /** Exactly these are stored, in this order. */
  async expectStored(records: readonly T[]): Promise<void> {
    await this.untilStored(records.length)
    await this.quiet()
    assert.deepEqual(this.stored.map(textOf), records.map(textOf))
  }

  /** The receiver holds nothing at its source. */
  async expectReleased(): Promise<void> {
    const held = this.need('held')
    await this.eventually('the receiver holds nothing at its source', async () => (await held()) === 0)
  }
}
