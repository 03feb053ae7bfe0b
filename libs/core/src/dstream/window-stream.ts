/** Windows: the RDDs of the last batches, together. */
import { requireArgument } from '../errors.js'
import type { RddNode } from '../rdd/lineage.js'
import { SourceNode, UnionNode } from '../rdd/lineage.js'
import { unionOf } from '../rdd/union.js'
import type { StorageLevel } from '../storage/storage-level.js'
import { formatDuration, isMultipleOf, type BatchTime, type Duration } from '../time/duration.js'
import { StreamNode } from './stream-node.js'

export class WindowStream extends StreamNode {
  readonly parents: readonly [StreamNode]
  readonly slideDuration: Duration
  readonly #windowMs: number

  constructor(parent: StreamNode, id: string, window: Duration, slide: Duration) {
    requireWindow(parent, id, window, slide)
    super(parent.graph, id)
    this.parents = [parent]
    this.slideDuration = slide
    this.#windowMs = window
    // Every slice is read by several windows. What the user asked for stays.
    parent.level ??= 'memory-and-disk'
    parent.isSliced = true
  }

  /** Slices are kept, not windows: else each record would be kept once for every window that it is in. */
  override persist(level: StorageLevel): void {
    this.parents[0].persist(level)
  }

  protected override parentRememberMs(): number {
    return this.rememberMs + this.#windowMs
  }

  // Always there, also when no slice is: a window without records is empty.
  protected compute(time: BatchTime): RddNode {
    const [parent] = this.parents
    const slices = slicesOf(parent, time - this.#windowMs, time)
    return slices.length === 0 ? new SourceNode([]) : unionOf(slices)
  }
}

/** Times of the parent's batches after `from`, up to `to`. */
function sliceTimes(parent: StreamNode, from: BatchTime, to: BatchTime): BatchTime[] {
  const slide = parent.slideDuration
  const { zeroTime } = parent.graph
  const times: BatchTime[] = []
  const first = Math.max(zeroTime, zeroTime + Math.floor((from - zeroTime) / slide) * slide) + slide
  for (let time = first; time <= to; time += slide) times.push(time)
  return times
}

/** The parent's RDDs in that range, where it has them. */
export function slicesOf(parent: StreamNode, from: BatchTime, to: BatchTime): RddNode[] {
  const slices: RddNode[] = []
  for (const time of sliceTimes(parent, from, to)) {
    const rdd = parent.at(time)
    if (rdd !== undefined) slices.push(isKeptBare(parent) ? bare(rdd) : rdd)
  }
  return slices
}

/** Whether slices come back from a log without knowledge of how they are spread: then it must not count before either (E10). */
function isKeptBare(parent: StreamNode): boolean {
  return parent.graph.keepsSlices && !parent.isRecomputable && parent.knownPartitioner === undefined
}

function bare(rdd: RddNode): RddNode {
  return rdd.partitioner === undefined ? rdd : new UnionNode([rdd])
}

/** Window and slide must be multiples of the parent's slide. */
export function requireWindow(parent: StreamNode, id: string, window: Duration, slide: Duration): void {
  const unit = parent.slideDuration
  for (const [name, value] of [
    ['window', window],
    ['slide', slide],
  ] as const) {
    requireArgument(
      value > 0 && isMultipleOf(value, unit),
      id,
      `the ${name} of ${formatDuration(value)} must be a multiple of the slide of its parent ${parent.id}, ${formatDuration(unit)}; ` +
        `use ${formatDuration(Math.max(1, Math.round(value / unit)) * unit)}`,
    )
  }
}
