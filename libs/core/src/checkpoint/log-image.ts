/**
 * What the batch log says, in short: the batches that are not committed, and of the committed ones those whose plans can
 * still be asked for. It is kept up to date while the application runs, and written down with each snapshot of the state, so
 * that the log before it can be dropped.
 */
import { SluiceError } from '../errors.js'
import type { BatchTime } from '../time/duration.js'
import type { AmendRecord, BatchEntry, GraphRecord, PlanEntry, PlanRecord, StartRecord } from './entries.js'

/** A batch as the log knows it. */
export interface LoggedBatch {
  readonly plan: PlanRecord
  readonly records: Readonly<Record<string, number>>
  readonly start: StartRecord | undefined
  /** Outputs of `writeTo`, with their partitions. */
  readonly outputs: Readonly<Record<string, number>>
  readonly done: readonly string[]
  /** Inputs that count as empty (E15). */
  readonly dropped: readonly string[]
  readonly isCommitted: boolean
}

/** An image as plain data. */
export interface ImageData {
  readonly graph: GraphRecord | undefined
  readonly batches: readonly LoggedBatch[]
  readonly lastPlanned: BatchTime | undefined
  readonly lastCommitted: BatchTime | undefined
  /** What each input must know to go on after the last plan. */
  readonly heads: Readonly<Record<string, unknown>>
  readonly since: Readonly<Record<string, BatchTime>>
}

/** Before the first batch. */
const NEVER = -1

export class LogImage {
  graph: GraphRecord | undefined
  lastPlanned: BatchTime | undefined
  lastCommitted: BatchTime | undefined
  #heads: Readonly<Record<string, unknown>>
  /** For each state, the last batch committed before it came into the program; for each input, the last one planned. */
  #since: Readonly<Record<string, BatchTime>>
  readonly #batches = new Map<BatchTime, LoggedBatch>()

  constructor(data?: ImageData) {
    this.graph = data?.graph
    this.lastPlanned = data?.lastPlanned
    this.lastCommitted = data?.lastCommitted
    this.#heads = data?.heads ?? {}
    this.#since = data?.since ?? {}
    for (const batch of data?.batches ?? []) this.#batches.set(batch.plan.time, batch)
  }

  toData(): ImageData {
    const { graph, lastPlanned, lastCommitted } = this
    const batches = [...this.#batches.values()]
    return { graph, lastPlanned, lastCommitted, heads: this.#heads, since: this.#since, batches }
  }

  /** Whether no batch was committed since this state is in the program. */
  isNewState(id: string): boolean {
    return (this.#since[id] ?? NEVER) >= (this.lastCommitted ?? NEVER)
  }

  /** Whether this input was not in the program when the batch was planned. */
  isNewInput(id: string, planned: BatchTime): boolean {
    return planned <= (this.#since[id] ?? NEVER)
  }

  /** What an input must know to go on after the last plan. */
  head(input: string): unknown {
    return this.#heads[input]
  }

  batch(time: BatchTime): LoggedBatch | undefined {
    return this.#batches.get(time)
  }

  /** In the order of their times: the committed ones come first. */
  get batches(): LoggedBatch[] {
    return [...this.#batches.values()]
  }

  get committed(): LoggedBatch[] {
    return this.batches.filter(({ isCommitted }) => isCommitted)
  }

  get uncommitted(): LoggedBatch[] {
    return this.batches.filter(({ isCommitted }) => !isCommitted)
  }

  /** Takes an entry in. The same one may come again. */
  apply(entry: BatchEntry): void {
    switch (entry.type) {
      case 'graph':
        this.#learn(entry)
        return
      case 'plan':
        this.#plan(entry)
        return
      case 'start': {
        const { time, partitions, sideData } = entry
        this.#change(entry.time, { start: { time, partitions, sideData } })
        return
      }
      case 'output':
        this.#change(entry.time, { outputs: { ...this.batch(entry.time)?.outputs, [entry.output]: entry.partitions } })
        return
      case 'done':
        this.#change(entry.time, { done: [...(this.batch(entry.time)?.done ?? []), entry.output] })
        return
      case 'commit':
        this.#commit(entry.time)
        return
      case 'amend':
        this.#amend(entry)
        return
      case 'state':
      case 'skip':
    }
  }

  #learn(graph: GraphRecord): void {
    const { states = [], inputs = [] } = this.graph ?? {}
    const since = { ...this.#since }
    for (const { id, was } of graph.states) {
      const before = states.find((state) => state.id === id) ?? states.find((state) => state.id === was)
      const isNew = before === undefined || graph.dropped.includes(before.id)
      since[id] = isNew ? (this.lastCommitted ?? NEVER) : (since[before.id] ?? NEVER)
    }
    for (const id of graph.inputs) if (!inputs.includes(id)) since[id] = this.lastPlanned ?? NEVER
    this.#since = since
    this.graph = graph
  }

  #plan({ time, inputs, records, heads }: PlanEntry): void {
    if (this.lastPlanned !== undefined && time <= this.lastPlanned) return
    this.lastPlanned = time
    this.#heads = { ...this.#heads, ...heads }
    const plan = { time, inputs }
    this.#batches.set(time, { plan, records, start: undefined, outputs: {}, done: [], dropped: [], isCommitted: false })
  }

  #amend({ time, dropped }: AmendRecord): void {
    const batch = this.batch(time)
    if (batch === undefined) return
    const records = { ...batch.records, ...Object.fromEntries(dropped.map((input) => [input, 0])) }
    this.#change(time, { records, dropped: [...new Set([...batch.dropped, ...dropped])] })
  }

  #commit(time: BatchTime): void {
    if (this.lastCommitted !== undefined && time <= this.lastCommitted) return
    this.#require(time)
    this.lastCommitted = time
    this.#change(time, { isCommitted: true })
  }

  #change(time: BatchTime, change: Partial<LoggedBatch>): void {
    const batch = this.#batches.get(time)
    // Of a batch that was forgotten since.
    if (batch === undefined) return
    this.#batches.set(time, { ...batch, ...change })
  }

  #require(time: BatchTime): void {
    if (this.#batches.has(time)) return
    throw new SluiceError({
      code: 'DATA_CORRUPT',
      component: 'checkpoint',
      message: `the log commits batch ${String(time)}, which it has not planned; restore the folder from a copy`,
    })
  }

  /** Forgets committed batches up to this time: nothing can ask for them. */
  forget(upTo: BatchTime): void {
    for (const [time, { isCommitted }] of this.#batches) {
      if (time > upTo) return
      if (isCommitted) this.#batches.delete(time)
    }
  }
}

/** Before anything else a log, or the snapshot that stands for its beginning, tells of the program. */
export function requireBeginning({ graph }: LogImage, entry: BatchEntry): void {
  if (graph !== undefined || (entry.type === 'graph' && entry.snapshot === undefined)) return
  throw new SluiceError({
    code: 'DATA_CORRUPT',
    component: 'checkpoint',
    message: `the log begins with an entry of type ${entry.type}, and the snapshot that belongs before it is gone; restore the folder from a copy`,
  })
}
