/** Lineage: how an RDD's partitions come from those of others. No data, and no user of it knows these classes. */
import { RDD_IDS } from './rdd-ids.js'
import type { AnyFunction } from './functions.js'
import type { Op } from './op.js'
import type { Aggregator } from './out.js'
import type { JoinKind, Pipeline, Source } from './pipeline.js'
import { reversed } from './engine-functions.js'
import { rangePartitioner } from './partitioner.js'
import { compareNatural, type Compare } from './order.js'
import type { SampleResult, Work } from './work.js'
import type { Partitioner, StorageLevel } from './types.js'

/** What a node may ask for before its partitions can be computed: hidden stages. */
export interface Preparer {
  /** Runs `work` over every partition of `node`; results by partition. */
  runAll(node: RddNode, work: Work, operator: string): Promise<unknown[]>
  /** Runs `work` over records at hand: where user functions run, wherever that is. */
  runInline(records: readonly unknown[], work: Work, operator: string): Promise<unknown>
  /** Makes the shuffle's map outputs available under `shuffle`. */
  shuffle(node: ShuffleNode): Promise<void>
}

export abstract class RddNode {
  readonly id = RDD_IDS.next()
  abstract readonly partitions: number
  abstract readonly parents: readonly RddNode[]
  readonly partitioner: Partitioner | undefined = undefined
  /** Set by `persist`. */
  level: StorageLevel | undefined
  /** Set for the RDD of a stream or a context: it is released when that forgets it, not with those made from it. */
  isOwned = false

  /** What computes partition `index`. Called only after `prepare` of this node and of all it is made of. */
  pipeline(index: number): Pipeline {
    const { level } = this
    if (level === undefined) return this.build(index)
    return { source: { kind: 'cached', block: this.blockId(index), level, input: this.build(index) }, ops: [] }
  }

  blockId(index: number): string {
    return `${this.id}/${String(index)}`
  }

  /** Hidden stages that must run first. */
  prepare(_preparer: Preparer): Promise<void> | undefined {
    return undefined
  }

  protected abstract build(index: number): Pipeline
}

const bare = (source: Source): Pipeline => ({ source, ops: [] })

// Never an empty partition instead: records would be missing and nobody would know.
function notPrepared(node: RddNode): Error {
  return new Error(`${node.id} is computed before it was prepared; this is a bug of the engine`)
}

/** An operator in its partition: what the engine makes for each task depends on it. */
function placed(op: Op, partition: number): Op {
  return typeof op.fn === 'object' ? { ...op, fn: { ...op.fn, partition } } : op
}

/** Partitions that come from outside: arrays, ranges, files, blocks. */
export class SourceNode extends RddNode {
  readonly parents = []
  /** What the input of a stream has planned, where these are its partitions. */
  readonly plan: unknown
  readonly #sources: readonly Source[]

  constructor(sources: readonly Source[], plan?: unknown) {
    super()
    this.#sources = sources
    this.plan = plan
  }

  get partitions(): number {
    return this.#sources.length
  }

  protected build(index: number): Pipeline {
    return bare(this.#sources[index] as Source)
  }
}

/** The plan behind an RDD whose partitions are those of an input, one for one. */
export function planOf(node: RddNode): unknown {
  let at = node
  while (at instanceof NarrowNode) at = at.parents[0]
  return at instanceof SourceNode ? at.plan : undefined
}

/** A source whose partitions are found out when they are first needed, e.g. by the sizes of files. */
export class LazySourceNode extends RddNode {
  readonly parents = []
  readonly partitions: number
  readonly #find: () => Promise<readonly Source[]>
  #finding: Promise<void> | undefined
  #sources: readonly Source[] | undefined

  /** `find` gives exactly `partitions` sources. */
  constructor(partitions: number, find: () => Promise<readonly Source[]>) {
    super()
    this.partitions = partitions
    this.#find = find
  }

  /** All jobs see the same sources, also those that ask at the same time. */
  override prepare(): Promise<void> | undefined {
    if (this.#sources !== undefined) return undefined
    return (this.#finding ??= this.#prepare())
  }

  async #prepare(): Promise<void> {
    try {
      this.#sources = await this.#find()
    } finally {
      this.#finding = undefined
    }
  }

  protected build(index: number): Pipeline {
    const source = this.#sources?.[index]
    if (source === undefined) throw notPrepared(this)
    return bare(source)
  }
}

/** One record-wise operator. */
export class NarrowNode extends RddNode {
  readonly parents: readonly [RddNode]
  readonly op: Op
  override readonly partitioner: Partitioner | undefined

  constructor(parent: RddNode, op: Op, keepsPartitioner = false) {
    super()
    this.parents = [parent]
    this.op = op
    this.partitioner = keepsPartitioner ? parent.partitioner : undefined
  }

  get partitions(): number {
    return this.parents[0].partitions
  }

  protected build(index: number): Pipeline {
    // Long chains are walked, not recursed into.
    const ops = [placed(this.op, index)]
    let node: RddNode = this.parents[0]
    while (node instanceof NarrowNode && node.level === undefined) {
      ops.push(placed(node.op, index))
      node = node.parents[0]
    }
    const { source, ops: before } = node.pipeline(index)
    return { source, ops: [...before, ...ops.reverse()] }
  }
}

/** The partitions of several RDDs, one after another. */
export class UnionNode extends RddNode {
  readonly parents: readonly RddNode[]
  readonly partitions: number
  override readonly partitioner: Partitioner | undefined

  constructor(parents: readonly RddNode[]) {
    super()
    this.parents = parents
    this.partitioner = parents.length === 1 ? parents[0]?.partitioner : undefined
    this.partitions = parents.reduce((sum, parent) => sum + parent.partitions, 0)
  }

  protected build(index: number): Pipeline {
    let at = index
    for (const parent of this.parents) {
      if (at < parent.partitions) return parent.pipeline(at)
      at -= parent.partitions
    }
    throw new RangeError(`no partition ${String(index)}`)
  }
}

/** Union of RDDs that are partitioned alike: partition i holds theirs, so that no shuffle is needed afterwards. */
export class AlignedUnionNode extends RddNode {
  readonly parents: readonly RddNode[]
  override readonly partitioner: Partitioner

  constructor(parents: readonly RddNode[], partitioner: Partitioner) {
    super()
    this.parents = parents
    this.partitioner = partitioner
  }

  get partitions(): number {
    return this.partitioner.partitions
  }

  protected build(index: number): Pipeline {
    return bare({ kind: 'concat', inputs: this.parents.map((parent) => parent.pipeline(index)) })
  }
}

/** Fewer partitions without a shuffle: neighbours are read one after another. */
export class CoalesceNode extends RddNode {
  readonly parents: readonly [RddNode]
  readonly partitions: number

  constructor(parent: RddNode, partitions: number) {
    super()
    this.parents = [parent]
    this.partitions = Math.min(partitions, Math.max(1, parent.partitions))
  }

  protected build(index: number): Pipeline {
    const [parent] = this.parents
    const from = Math.floor((index * parent.partitions) / this.partitions)
    const to = Math.floor(((index + 1) * parent.partitions) / this.partitions)
    const inputs = Array.from({ length: to - from }, (_, i) => parent.pipeline(from + i))
    return inputs.length === 1 ? (inputs[0] as Pipeline) : bare({ kind: 'concat', inputs })
  }
}

/** Any partition-wise operator over one or more parents of equal partition count. */
export class PartitionwiseNode extends RddNode {
  readonly parents: readonly RddNode[]
  override readonly partitioner: Partitioner | undefined
  readonly #source: (inputs: readonly Pipeline[], index: number) => Source

  constructor(
    parents: readonly RddNode[],
    source: (inputs: readonly Pipeline[], index: number) => Source,
    partitioner?: Partitioner,
  ) {
    super()
    this.parents = parents
    this.#source = source
    this.partitioner = partitioner
  }

  get partitions(): number {
    return this.parents[0]?.partitions ?? 0
  }

  protected build(index: number): Pipeline {
    return bare(
      this.#source(
        this.parents.map((parent) => parent.pipeline(index)),
        index,
      ),
    )
  }
}

/** Every pair of a left and a right partition. */
export class CartesianNode extends RddNode {
  readonly parents: readonly [RddNode, RddNode]

  constructor(left: RddNode, right: RddNode) {
    super()
    this.parents = [left, right]
  }

  get partitions(): number {
    return this.parents[0].partitions * this.parents[1].partitions
  }

  protected build(index: number): Pipeline {
    const [left, right] = this.parents
    return bare({
      kind: 'cartesian',
      left: left.pipeline(Math.floor(index / right.partitions)),
      right: right.pipeline(index % right.partitions),
    })
  }
}

/** Pairs moved to the partition of their key; with an aggregator, combined before they move. Where stages are cut. */
export class ShuffleNode extends RddNode {
  readonly parents: readonly [RddNode]
  readonly operator: string
  override readonly partitioner: Partitioner
  readonly aggregator: Aggregator | undefined

  constructor(parent: RddNode, operator: string, partitioner: Partitioner, aggregator?: Aggregator) {
    super()
    this.parents = [parent]
    this.operator = operator
    this.partitioner = partitioner
    this.aggregator = aggregator
  }

  get partitions(): number {
    return this.partitioner.partitions
  }

  override prepare(preparer: Preparer): Promise<void> {
    return preparer.shuffle(this)
  }

  protected build(index: number): Pipeline {
    return bare({ kind: 'shuffle', shuffle: this.id, partition: index })
  }
}

/** `parent` with its pairs in the partitions of `partitioner`, without a shuffle where they are there already. */
export function partitioned(parent: RddNode, operator: string, partitioner: Partitioner): RddNode {
  return isPartitionedBy(parent, partitioner) ? parent : new ShuffleNode(parent, operator, partitioner)
}

function isPartitionedBy(node: RddNode, partitioner: Partitioner): boolean {
  if (node.partitioner?.equals(partitioner) === true) return true
  // One partition to one partition: every key is in its place.
  return node.partitions === 1 && partitioner.partitions === 1
}

/** The values of each key combined. */
export function aggregated(
  parent: RddNode,
  operator: string,
  aggregator: Aggregator,
  partitioner: Partitioner,
  mapSideCombine: boolean,
): RddNode {
  const inPlace = isPartitionedBy(parent, partitioner)
  const combined = !inPlace && mapSideCombine
  const shuffled = inPlace ? parent : new ShuffleNode(parent, operator, partitioner, combined ? aggregator : undefined)
  const from = combined ? 'combiners' : 'values'
  return new PartitionwiseNode(
    [shuffled],
    ([input]) => ({ kind: 'aggregate', operator, input: input as Pipeline, aggregator, from }),
    partitioner,
  )
}

/** `[key, [values of parent 0, values of parent 1, …]]`. */
export function cogrouped(parents: readonly RddNode[], operator: string, partitioner: Partitioner): RddNode {
  const placed = parents.map((parent) => partitioned(parent, operator, partitioner))
  return new PartitionwiseNode(placed, (inputs) => ({ kind: 'cogroup', operator, inputs }), partitioner)
}

export function joined(
  left: RddNode,
  right: RddNode,
  operator: string,
  join: JoinKind,
  partitioner: Partitioner,
): RddNode {
  const placed = [left, right].map((side) => partitioned(side, operator, partitioner))
  return new PartitionwiseNode(
    placed,
    (inputs) => ({ kind: 'join', operator, left: inputs[0] as Pipeline, right: inputs[1] as Pipeline, join }),
    partitioner,
  )
}

/** Sample size that gives even ranges with high probability, as Spark uses it. */
const SAMPLE_PER_PARTITION = 60

/** Pairs [sort key, record] sorted over all partitions. The sampling is a hidden stage. */
export class SortNode extends RddNode {
  readonly partitions: number
  readonly #keyed: RddNode
  readonly #operator: string
  readonly #compare: Compare<unknown> | undefined
  readonly #descending: boolean
  #placed: RddNode
  #ranging: Promise<void> | undefined

  constructor(
    keyed: RddNode,
    operator: string,
    partitions: number,
    compare: Compare<unknown> | undefined,
    descending: boolean,
  ) {
    super()
    this.partitions = partitions
    this.#keyed = keyed
    this.#operator = operator
    this.#compare = compare
    this.#descending = descending
    // One partition needs no ranges: what there is is read one after another.
    this.#placed = partitions === 1 ? new CoalesceNode(keyed, 1) : keyed
  }

  get parents(): readonly RddNode[] {
    return [this.#placed]
  }

  override prepare(preparer: Preparer): Promise<void> | undefined {
    if (this.partitions === 1) return undefined
    if (this.#placed !== this.#keyed) return this.#placed.prepare(preparer)
    return this.#range(preparer)
  }

  // Jobs at the same time share the ranges: each partition must mean the same to all.
  async #range(preparer: Preparer): Promise<void> {
    try {
      await (this.#ranging ??= this.#sample(preparer))
    } finally {
      this.#ranging = undefined
    }
    await this.#placed.prepare(preparer)
  }

  async #sample(preparer: Preparer): Promise<void> {
    const work: Work = { kind: 'sample', n: SAMPLE_PER_PARTITION * this.partitions, seed: 0 }
    const samples = (await preparer.runAll(this.#keyed, work, this.#operator)) as SampleResult[]
    const compare = this.#compare ?? compareNatural
    const order = this.#descending ? reversed(compare) : compare
    const cut: Work = { kind: 'bounds', partitions: this.partitions, compare: order }
    const bounds = (await preparer.runInline(weighted(samples), cut, this.#operator)) as unknown[]
    this.#placed = new ShuffleNode(this.#keyed, this.#operator, rangePartitioner(bounds, order))
  }

  protected build(index: number): Pipeline {
    if (this.partitions > 1 && this.#placed === this.#keyed) throw notPrepared(this)
    // Few distinct keys make fewer ranges than partitions.
    if (index >= this.#placed.partitions) return bare({ kind: 'records', records: [] })
    const input = this.#placed.pipeline(index)
    return bare({
      kind: 'sort',
      operator: this.#operator,
      input,
      compare: this.#compare,
      descending: this.#descending,
    })
  }
}

// A partition that holds more records must count for more: its sample is repeated in proportion.
function weighted(samples: readonly SampleResult[]): unknown[] {
  const least = Math.min(...samples.filter((s) => s.sample.length > 0).map((s) => s.count / s.sample.length))
  return samples.flatMap(({ count, sample }) => {
    const times = sample.length === 0 ? 0 : Math.max(1, Math.round(count / sample.length / least))
    return Array.from({ length: Math.min(times, 16) }, () =>
      sample.map((entry) => (entry as readonly unknown[])[0]),
    ).flat()
  })
}

/** Records with their index over all partitions; the counting of the partitions before is a hidden stage. */
export class IndexedNode extends RddNode {
  readonly parents: readonly [RddNode]
  readonly #operator: string
  #starts: readonly number[] | undefined

  constructor(parent: RddNode, operator: string) {
    super()
    this.parents = [parent]
    this.#operator = operator
  }

  get partitions(): number {
    return this.parents[0].partitions
  }

  override prepare(preparer: Preparer): Promise<void> | undefined {
    if (this.#starts !== undefined) return undefined
    if (this.partitions > 1) return this.#count(preparer)
    this.#starts = [0]
    return undefined
  }

  async #count(preparer: Preparer): Promise<void> {
    const counts = (await preparer.runAll(this.parents[0], { kind: 'count' }, this.#operator)) as number[]
    let sum = 0
    this.#starts = counts.map((count) => (sum += count) - count)
  }

  protected build(index: number): Pipeline {
    const { source, ops } = this.parents[0].pipeline(index)
    if (this.#starts === undefined) throw notPrepared(this)
    const fn = { builtin: 'zipWithIndex', args: [this.#starts], partition: index }
    return { source, ops: [...ops, { kind: 'map', id: this.#operator, fn }] }
  }
}

/** A partition function, with or without asynchronous work. */
export function mappedPartitions(
  parent: RddNode,
  operator: string,
  fn: AnyFunction | undefined,
  keepsPartitioner: boolean,
): RddNode {
  return new PartitionwiseNode(
    [parent],
    ([input]) => ({ kind: 'partition', operator, input: input as Pipeline, fn }),
    keepsPartitioner ? parent.partitioner : undefined,
  )
}
