/** What the processes of a run have done, as they and their sources tell: which batches there were, and what each covered. */
import type { InputInfo, SinkContext } from '@sluice/core'

/** What a direct source gave to a batch: for each of its partitions the records from one number to another. */
export interface Ranges {
  readonly from: readonly number[]
  readonly to: readonly number[]
}

/** A batch that counts: planned, durable, and committed in the end. */
export interface EffectiveBatch {
  readonly time: number
  /** What each input gave, by its name. */
  readonly inputs: readonly InputInfo[]
  /** What direct sources gave, by their name. */
  readonly ranges: ReadonlyMap<string, Ranges>
}

/** One process of the application. */
export class ProcessHistory {
  readonly name: string
  /** Time of the first tick after its start, less one interval: the zero time, where it began the log. */
  readonly zeroTime: number
  epoch: number | undefined
  /** Last batch in the log that it found. */
  lastPlanned: number | undefined
  readonly submitted = new Map<number, readonly InputInfo[]>()
  readonly plans = new Map<string, Map<number, Ranges>>()
  readonly completed: number[] = []

  constructor(name: string, zeroTime: number) {
    this.name = name
    this.zeroTime = zeroTime
  }

  /** A sink was opened: each process does that before it plans anything. Others may be opened by batches. */
  opened({ epoch, lastPlanned }: Pick<SinkContext, 'epoch' | 'lastPlanned'>): void {
    if (this.epoch !== undefined) return
    this.epoch = epoch
    this.lastPlanned = lastPlanned
  }

  planned(source: string, time: number, ranges: Ranges): void {
    const plans = this.plans.get(source) ?? new Map<number, Ranges>()
    this.plans.set(source, plans.set(time, ranges))
  }

  hasPlanned(time: number): boolean {
    return [...this.plans.values()].some((plans) => plans.has(time))
  }

  rangesOf(time: number): Map<string, Ranges> {
    const ranges = new Map<string, Ranges>()
    for (const [source, plans] of this.plans) {
      const plan = plans.get(time)
      if (plan !== undefined) ranges.set(source, plan)
    }
    return ranges
  }
}

export class History {
  readonly processes: ProcessHistory[] = []
  /** How often each partition of each batch was given to each sink. */
  readonly writes = new Map<string, number>()
  /** Records that inputs told to be lost (E15). */
  lost = 0

  /** Zero time of the application. */
  get zeroTime(): number {
    return this.#owners()[0]?.zeroTime ?? 0
  }

  /** Notes a write; gives how many there were of this partition. */
  wrote(table: string, time: number, partition: number): number {
    const key = writeKey(table, time, partition)
    const writes = (this.writes.get(key) ?? 0) + 1
    this.writes.set(key, writes)
    return writes
  }

  /**
   * The batches that count. A plan was durable if the next owner found it; of one time, only the first owner's that was. What
   * processes planned that were replaced already never was.
   */
  effective(): EffectiveBatch[] {
    const batches = new Map<number, EffectiveBatch>()
    const owners = this.#owners()
    for (const [i, owner] of owners.entries()) {
      const known = owner.lastPlanned ?? -Infinity
      for (const time of batches.keys()) if (time > known) batches.delete(time)
      for (const [time, inputs] of owner.submitted) {
        if (batches.has(time)) continue
        // One that it found in the log, whose owner died before it could tell of it.
        const planner = time > known ? owner : owners.slice(0, i).findLast((before) => before.hasPlanned(time))
        batches.set(time, { time, inputs, ranges: planner?.rangesOf(time) ?? new Map<string, Ranges>() })
      }
    }
    const last = Math.max(-Infinity, ...(owners.at(-1)?.completed ?? []))
    return [...batches.values()].filter(({ time }) => time <= last).sort((a, b) => a.time - b.time)
  }

  #owners(): ProcessHistory[] {
    return this.processes.filter(({ epoch }) => epoch !== undefined).sort((a, b) => (a.epoch ?? 0) - (b.epoch ?? 0))
  }
}

export function writeKey(table: string, time: number, partition: number): string {
  return `${table} ${String(time)}/${String(partition)}`
}
