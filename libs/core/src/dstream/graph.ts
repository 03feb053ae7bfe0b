/** The graph of streams: declared once, before start. It gives operators their ids and finds what is wrong with the whole. */
import { requireArgument, SluiceError } from '../errors.js'
import type { RddScope } from '../rdd/scope.js'
import type { OpOptions } from '../rdd/types.js'
import type { BatchTime, Duration } from '../time/duration.js'
import type { RddNode } from '../rdd/lineage.js'
import type { BatchScopes, OutputStream, StatefulStream, StreamAtTimes } from './output.js'

/** What the streams of a graph need of their context. */
export interface GraphOwner {
  /** Default number of partitions of a shuffle. */
  readonly parallelism: number
}

/** How an operator came to its id (E11). */
export interface OpOrigin {
  readonly kind: string
  /** Whether the user gave it the id. */
  readonly isNamed: boolean
}

export class StreamGraph {
  readonly batchInterval: Duration
  readonly owner: GraphOwner
  readonly streams: StreamAtTimes[] = []
  readonly outputs: OutputStream[] = []
  readonly states: StatefulStream[] = []
  /** How long every stream keeps its RDDs at least. */
  rememberMs = 0
  /** Whether slices that cannot be made again are kept in a log. */
  keepsSlices = false
  /** Set while a batch runs. */
  running: RddScope | undefined
  readonly #counters = new Map<string, number>()
  readonly #ids = new Map<string, OpOrigin>()
  /** Times without batch, both ends excluded: a clock that was set forward leaves them (E12). */
  #skipped: (readonly [after: BatchTime, before: BatchTime])[] = []
  #lastBatch: BatchTime | undefined
  /** Streams whose functions are called when a batch starts, parents first. */
  #prepared: readonly StreamAtTimes[] | undefined
  #closed: 'started' | 'stopped' | undefined
  #zeroTime: BatchTime | undefined

  constructor(batchInterval: Duration, owner: GraphOwner) {
    this.batchInterval = batchInterval
    this.owner = owner
  }

  /** One interval before the first batch. */
  get zeroTime(): BatchTime {
    if (this.#zeroTime === undefined) {
      throw new SluiceError({ code: 'GRAPH_INVALID', component: 'graph', message: 'the graph has not been started' })
    }
    return this.#zeroTime
  }

  /** No stream or output can be added from here on. */
  start(zeroTime: BatchTime): void {
    this.#closed = 'started'
    this.#zeroTime = zeroTime
    // Children come after their parents: so each knows how long it is needed before it tells its own.
    for (const stream of this.streams.toReversed()) stream.settleRemember(this.rememberMs)
  }

  stop(): void {
    this.#closed = 'stopped'
  }

  /** Goes on after an earlier run, whose last batches had these times, in order. */
  resume(zeroTime: BatchTime, times: readonly BatchTime[]): void {
    this.#zeroTime = zeroTime
    for (const [i, time] of times.entries()) {
      const before = times[i - 1]
      if (before !== undefined && time > before + this.batchInterval) this.#skipped.push([before, time])
      this.#lastBatch = time
    }
  }

  /** The id of a new operator: its name, or its kind and its number among that kind. */
  opId(kind: string, options: OpOptions | undefined): string {
    this.requireOpen(kind)
    const number = this.#counters.get(kind) ?? 0
    this.#counters.set(kind, number + 1)
    const id = options?.name ?? `${kind}-${String(number)}`
    requireArgument(
      id !== '' && !id.includes('/'),
      kind,
      `the name '${id}' must not be empty or hold a slash; use letters, digits and dashes`,
    )
    requireArgument(!this.#ids.has(id), kind, `the name '${id}' is used twice; give each operator its own`)
    this.#ids.set(id, { kind, isNamed: options?.name !== undefined })
    return id
  }

  /** How an operator came to its id. */
  originOf(id: string): OpOrigin {
    return this.#ids.get(id) ?? { kind: id, isNamed: true }
  }

  /** The scope of the batch that runs, for `slice`. Throws `ACTION_OUTSIDE_BATCH` when none does. */
  runningScope(): RddScope {
    if (this.running !== undefined) return this.running
    throw new SluiceError({
      code: 'ACTION_OUTSIDE_BATCH',
      component: 'slice',
      message: 'no batch runs; call slice() inside foreachRDD or transform',
    })
  }

  addStream(stream: StreamAtTimes): void {
    this.streams.push(stream)
  }

  addOutput(output: OutputStream): void {
    this.outputs.push(output)
  }

  addState(state: StatefulStream): void {
    this.states.push(state)
  }

  /** Throws what is wrong with the graph as a whole. */
  validate(): void {
    if (this.outputs.length > 0) return
    throw new SluiceError({
      code: 'GRAPH_INVALID',
      component: 'graph',
      message:
        'no output is registered, so there is nothing to run; add print(), foreachRDD(), saveAsTextFiles() or to(sink)',
    })
  }

  /** Time of the batch that runs, or ran last. */
  get lastBatch(): BatchTime {
    return this.#lastBatch ?? this.zeroTime
  }

  /** Whether there never was a batch of this time, though the next one has run. */
  wasSkipped(time: BatchTime): boolean {
    return this.#skipped.some(([after, before]) => time > after && time < before)
  }

  /** Begins a batch: runs what must run before RDDs can be made, the functions of `transform`. */
  async prepare(time: BatchTime, scopes: BatchScopes): Promise<void> {
    if (time > this.lastBatch + this.batchInterval) this.#skipped.push([this.lastBatch, time])
    this.#lastBatch = time
    this.#prepared ??= this.#needed().filter((stream) => stream.prepare !== undefined)
    for (const stream of this.#prepared) if (stream.isValidTime(time)) await stream.prepare?.(time, scopes)
  }

  /** Streams that an output, a state or `slice` can ask for. */
  #needed(): StreamAtTimes[] {
    const needed = new Set<StreamAtTimes>()
    const stack = [...this.outputs.map(({ parent }) => parent), ...this.states]
    stack.push(...this.streams.filter(({ isRemembered }) => isRemembered))
    for (let stream = stack.pop(); stream !== undefined; stream = stack.pop()) {
      if (needed.has(stream)) continue
      needed.add(stream)
      stack.push(...stream.parents)
    }
    return this.streams.filter((stream) => needed.has(stream))
  }

  /** Drops what no later batch can ask for. */
  clearBefore(time: BatchTime): RddNode[] {
    const removed: RddNode[] = []
    for (const stream of this.streams) removed.push(...stream.clearBefore(time))
    if (this.#skipped.length > 0) {
      const oldest = time - Math.max(...this.streams.map(({ rememberMs }) => rememberMs))
      this.#skipped = this.#skipped.filter(([, before]) => before > oldest)
    }
    return removed
  }

  /** Throws `GRAPH_CHANGED_AFTER_START`. */
  requireOpen(kind: string): void {
    if (this.#closed === undefined) return
    throw new SluiceError({
      code: 'GRAPH_CHANGED_AFTER_START',
      component: kind,
      message: `streams and outputs cannot be added once the context is ${this.#closed}; declare them before start()`,
    })
  }
}
