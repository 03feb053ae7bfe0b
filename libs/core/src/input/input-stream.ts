/** The streams that batches begin with. */
import { type RddNode, SourceNode } from '../rdd/lineage.js'
import type { Source } from '../rdd/pipeline.js'
import type { BatchTime, Duration } from '../time/duration.js'
import type { StreamGraph } from '../dstream/graph.js'
import { StreamNode } from '../dstream/stream-node.js'
import type { InputContext, InputPlan, InputSource, ResumedInput } from './input.js'
import type { ReceivedJournal } from './journal.js'

/** A plan of an earlier run. */
export interface LoggedPlan {
  readonly time: BatchTime
  readonly data: unknown
  /** How many records it covers, where that is known. */
  readonly records: number | undefined
  /** Whether it counts as empty, because somebody has said so (E15). */
  readonly isDropped: boolean
  /** Whether its batch is committed: only windows ask for it. */
  readonly isCommitted: boolean
}

/** What the log knows of what an input has stored. */
interface ReceivedBefore {
  readonly blocks: readonly {
    readonly id: string
    readonly records: readonly unknown[]
    readonly packed: boolean
    readonly count: number
    readonly sequence: number
  }[]
  /** Of the last durable records, by partition of the source. */
  readonly positions: ReadonlyMap<string, bigint>
}

/** What the log tells an input at its start. */
export interface LogStart {
  readonly resumed: ResumedInput | undefined
  readonly epoch: number
  /** The write-ahead log; undefined without a checkpoint. */
  readonly journal: ReceivedJournal | undefined
  readonly received: ReceivedBefore | undefined
}

export type StreamStart = Omit<InputContext, 'resumed'> & LogStart

/** An input inside the engine: plans at ticks, gives the RDD of what was planned. */
export abstract class InputStream extends StreamNode {
  readonly parents = []
  readonly streamId: number
  abstract readonly name: string
  readonly #plans = new Map<BatchTime, InputPlan<unknown>>()
  /** Plans that count as empty. */
  readonly #dropped = new Set<BatchTime>()

  constructor(graph: StreamGraph, id: string, streamId: number) {
    super(graph, id)
    this.streamId = streamId
  }

  get slideDuration(): Duration {
    return this.graph.batchInterval
  }

  /** How long after its batch the log keeps a plan. */
  get keepPlansMs(): number {
    return this.rememberMs
  }

  /** Whether a plan can be read again after a restart. */
  abstract readonly isReplayable: boolean

  override get isRecomputable(): boolean {
    return this.isReplayable
  }

  /**
   * Takes over what earlier runs planned: their batches are asked for again, or are slices of windows. Of what it cannot give
   * again it gives how many records that is, as far as it is known (E15).
   */
  resumePlans(plans: readonly LoggedPlan[]): number {
    let lost = 0
    for (const plan of plans) {
      const { data, lost: missing } = this.available(plan)
      this.#plans.set(plan.time, { data })
      if (plan.isDropped) this.#dropped.add(plan.time)
      else lost += missing
    }
    return lost
  }

  /** Batches that were planned before the program had this input: it has nothing in them (E11). */
  resumeWithout(times: readonly BatchTime[]): void {
    for (const time of times) this.#plans.set(time, { data: new Lost(0) })
  }

  /** What of a plan is there still. */
  protected available({ data }: LoggedPlan): { readonly data: unknown; readonly lost: number } {
    return { data, lost: 0 }
  }

  /** Whether what it takes in is safe before it says so. */
  get isReliable(): boolean {
    return this.isReplayable
  }

  /** Whether it can do what it was asked for only with a log. */
  get needsCheckpoint(): boolean {
    return false
  }

  abstract start(context: StreamStart): Promise<void>
  /** Records per second that may come in from now on. */
  abstract setRate(recordsPerSecond: number): void
  /** Ends receiving; what was received before can still be planned, and is read. */
  abstract stop(): Promise<void>
  /** Nothing is planned or read any more. */
  async close(): Promise<void> {
    // Most inputs end with `stop`.
  }

  protected abstract planNext(time: BatchTime): Promise<InputPlan<unknown> | undefined>
  protected abstract sources(data: unknown): readonly Source[]
  protected abstract committed(data: unknown, time: BatchTime): Promise<void>
  /** The batch can never be asked for again. */
  protected abstract forget(data: unknown): void

  /** Fixes what the batch covers. */
  async plan(time: BatchTime): Promise<InputPlan<unknown> | undefined> {
    const plan = await this.planNext(time)
    if (plan !== undefined) this.#plans.set(time, plan)
    return plan
  }

  async commit(time: BatchTime): Promise<void> {
    const plan = this.#plans.get(time)
    if (plan !== undefined && !(plan.data instanceof Lost)) await this.committed(plan.data, time)
  }

  override clearBefore(time: BatchTime): RddNode[] {
    for (const [at, plan] of this.#plans) {
      if (at > time - this.rememberMs) continue
      this.#plans.delete(at)
      this.#dropped.delete(at)
      if (!(plan.data instanceof Lost)) this.forget(plan.data)
    }
    return super.clearBefore(time)
  }

  protected compute(time: BatchTime): RddNode | undefined {
    const plan = this.#plans.get(time)
    if (plan === undefined) return undefined
    if (plan.data instanceof Lost) return new SourceNode(plan.data.sources())
    const sources = this.sources(plan.data)
    return new SourceNode(this.#dropped.has(time) ? emptySources(sources.length) : sources, plan.data)
  }
}

/** An input made of a user's direct source. */
export class SourceInputStream extends InputStream {
  readonly #source: InputSource<unknown>
  #signal: AbortSignal | undefined
  #isStarted = false
  #initialRate: number | undefined

  constructor(graph: StreamGraph, id: string, streamId: number, source: InputSource<unknown>) {
    super(graph, id, streamId)
    this.#source = source
  }

  get name(): string {
    return this.#source.name
  }

  override get keepPlansMs(): number {
    return Math.max(super.keepPlansMs, this.#source.keepPlansMs ?? 0)
  }

  get isReplayable(): boolean {
    return this.#source.replayable
  }

  async start({ streamId, id, appName, clock, logger, signal, resumed }: StreamStart): Promise<void> {
    this.#signal = signal
    await this.#source.start?.({ streamId, id, appName, clock, logger, signal, resumed })
    this.#isStarted = true
    if (this.#initialRate !== undefined) this.#source.setRate?.(this.#initialRate)
  }

  setRate(recordsPerSecond: number): void {
    if (this.#isStarted) this.#source.setRate?.(recordsPerSecond)
    else this.#initialRate = recordsPerSecond
  }

  // It receives nothing by itself, and the last batches of a graceful stop are still to be read.
  async stop(): Promise<void> {}

  override async close(): Promise<void> {
    await this.#source.stop?.()
  }

  protected async planNext(time: BatchTime): Promise<InputPlan<unknown> | undefined> {
    return this.#source.plan(time)
  }

  // A source that cannot give the same again has lost what it had planned.
  protected override available(plan: LoggedPlan): { readonly data: unknown; readonly lost: number } {
    if (this.isReplayable) return super.available(plan)
    return { data: new Lost(this.#source.partitions(plan.data).length), lost: plan.records ?? 0 }
  }

  protected sources(data: unknown): readonly Source[] {
    const source = this.#source
    return source.partitions(data).map((partition) => ({
      kind: 'driver',
      open: () => source.read(partition as never, this.#signal),
      ...(source.count && { count: () => source.count?.(partition as never, this.#signal) as Promise<number> }),
    }))
  }

  protected async committed(data: unknown, time: BatchTime): Promise<void> {
    await this.#source.commit?.(data, time)
  }

  protected forget(): void {
    // What a direct source covers stays with the source.
  }
}

/** Stands for what a plan covered and nobody can give again: as many partitions, without records. */
class Lost {
  readonly #partitions: number

  constructor(partitions: number) {
    this.#partitions = partitions
  }

  sources(): Source[] {
    return emptySources(this.#partitions)
  }
}

function emptySources(partitions: number): Source[] {
  return Array.from({ length: partitions }, () => ({ kind: 'records', records: [] }))
}
