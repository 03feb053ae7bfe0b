/** transform: any function from RDDs to an RDD, called once in each run of a batch, when the batch starts (E3). */
import { SluiceError } from '../errors.js'
import type { RddNode } from '../rdd/lineage.js'
import type { Rdd } from '../rdd/rdd.js'
import { RddImpl, self } from '../rdd/rdd-impl.js'
import type { RddScope } from '../rdd/scope.js'
import type { BatchTime, Duration } from '../time/duration.js'
import type { BatchScopes } from './output.js'
import { StreamNode } from './stream-node.js'

export type TransformFunction = (
  rdds: readonly Rdd<never>[],
  time: BatchTime,
  side: unknown,
) => Rdd<unknown> | Promise<Rdd<unknown>>

export class TransformStream extends StreamNode {
  readonly parents: readonly [StreamNode, ...StreamNode[]]
  readonly #f: TransformFunction
  readonly #sideData: (() => unknown) | undefined
  readonly #results = new Map<BatchTime, RddNode>()

  constructor(
    parents: readonly [StreamNode, ...StreamNode[]],
    id: string,
    f: TransformFunction,
    sideData: (() => unknown) | undefined,
  ) {
    super(parents[0].graph, id)
    this.parents = parents
    this.#f = f
    this.#sideData = sideData
  }

  get slideDuration(): Duration {
    return this.parents[0].slideDuration
  }

  override get hasPrepare(): boolean {
    return true
  }

  /** Calls the user's function; the side data of a batch are those recorded when it first started (E10). */
  override async prepare(time: BatchTime, scopes: BatchScopes): Promise<void> {
    if (this.#results.has(time)) return
    const rdds = this.parents.map((parent) => this.required(parent, time))
    const side = this.#sideData === undefined ? undefined : await scopes.sideData(this.id, this.#sideData)
    const scope = scopes.scope(this.id)
    this.#results.set(time, await this.#call(rdds, time, side, scope))
  }

  async #call(rdds: readonly RddNode[], time: BatchTime, side: unknown, scope: RddScope): Promise<RddNode> {
    const result = (await this.#f(
      rdds.map((rdd) => new RddImpl<never>(rdd, scope)),
      time,
      side,
    )) as Rdd<unknown> | undefined | null
    if (result?.['~sluice'] === 'rdd/1') return self(result).node
    throw new SluiceError({
      code: 'GRAPH_INVALID',
      component: this.id,
      message: `the function must return an RDD, and returned ${result === null ? 'null' : typeof result}`,
    })
  }

  protected compute(time: BatchTime): RddNode | undefined {
    const result = this.#results.get(time)
    this.#results.delete(time)
    return result
  }
}
