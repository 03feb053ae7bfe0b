/** What the rules for stores of offsets work with: stores on one place, and a source's way of using them. */
import { seededRandom, seedOf, systemClock, type OffsetStore, type StreamOffsets } from '@sluice/core'
import { settled, silentLogger, within } from '../suite/checks.js'
import { ingredient, type Skip, type SuiteRunner } from '../suite/runner.js'

/** A store under test. */
export interface OffsetStoreTarget {
  readonly store: OffsetStore
  /** Another store on the same place: that of the restarted application. */
  reopen(): OffsetStore | Promise<OffsetStore>
  /** As many different names of partitions. Default: `orders-0`, `orders-1`, …; give those that the store takes. */
  partitions?(count: number): readonly string[] | Promise<readonly string[]>
  /** Called after the test, also after a failed one. */
  close?(): void | Promise<void>
}

export interface OffsetStoreConformanceOptions extends SuiteRunner {
  /** Names the suite, e.g. `offsets-zookeeper`. */
  readonly name: string
  /** Called once for each test. */
  readonly open: () => OffsetStoreTarget | Promise<OffsetStoreTarget>
  /** A store whose system is not there. */
  readonly broken?: (() => OffsetStore | Promise<OffsetStore>) | undefined
  /** Real milliseconds within which one call of the store ends. Default: 10,000. */
  readonly deadlineMs?: number | undefined
  readonly skip?: readonly Skip[] | undefined
}

let benches = 0

export class OffsetStoreBench {
  readonly options: OffsetStoreConformanceOptions
  readonly target: OffsetStoreTarget
  readonly rule: string
  /** Random: the place may be shared with others. */
  readonly app: string
  readonly #open = new Map<OffsetStore, AbortController>()

  constructor(options: OffsetStoreConformanceOptions, target: OffsetStoreTarget, rule: string) {
    this.options = options
    this.target = target
    this.rule = rule
    const random = seededRandom(seedOf(systemClock.now(), systemClock.monotonic(), benches++))
    this.app = `conformance-${random.integer(2 ** 31).toString(36)}`
  }

  /** The store of the first run, open. */
  first(appName = this.app): Promise<OffsetStore> {
    return this.open(this.target.store, appName)
  }

  /** That of a later run, open; the earlier ones stay as they are. */
  async next(appName = this.app): Promise<OffsetStore> {
    return this.open(await this.target.reopen(), appName)
  }

  async open(store: OffsetStore, appName = this.app): Promise<OffsetStore> {
    const ended = new AbortController()
    this.#open.set(store, ended)
    const context = { appName, logger: silentLogger, clock: systemClock, signal: ended.signal }
    await this.ends('open', async () => store.open?.(context))
    return store
  }

  /** The application stops at once. */
  abort(store: OffsetStore): void {
    this.#open.get(store)?.abort(new Error('the application stops at once'))
  }

  async close(store: OffsetStore): Promise<void> {
    this.#open.delete(store)
    await this.ends('close', async () => store.close?.())
  }

  async partitions(count: number): Promise<readonly string[]> {
    const names = Array.from({ length: count }, (_, i) => `orders-${String(i)}`)
    return (await this.target.partitions?.(count)) ?? names
  }

  store(store: OffsetStore, stream: string, offsets: StreamOffsets): Promise<void> {
    return this.ends('store', () => store.store(stream, offsets))
  }

  /** As a plain object, whatever the store makes. */
  async load(store: OffsetStore, stream: string): Promise<StreamOffsets> {
    return { ...(await this.ends('load', () => store.load(stream))) }
  }

  /** What a later run loads. */
  async left(stream: string, appName = this.app): Promise<StreamOffsets> {
    return this.load(await this.next(appName), stream)
  }

  broken(): OffsetStore | Promise<OffsetStore> {
    return ingredient(this.options.broken, 'broken', this.rule)()
  }

  ends<T>(what: string, work: () => Promise<T>): Promise<T> {
    return within(what, work(), this.options.deadlineMs)
  }

  async end(): Promise<void> {
    for (const store of [...this.#open.keys()]) await settled(() => this.close(store))
    await this.target.close?.()
  }
}
