/** transform: any function from RDDs to an RDD, called once in each run of a batch, when the batch starts (E3). */
import { SluiceError } from '../errors.js'
import { deepCopy } from '../rdd/copy.js'
import { freezeDeep } from '../rdd/freeze.js'
import { UnionNode, type RddNode } from '../rdd/lineage.js'
import type { Rdd } from '../rdd/rdd.js'
import { RddImpl, self } from '../rdd/rdd-impl.js'
import { batchFunctionFailed } from '../rdd/run.js'
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
  #result: { readonly time: BatchTime; readonly rdd: RddNode } | undefined

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

  // Its function is called when its batch starts, and never for an older one (E3).
  override get isRecomputable(): boolean {
    return false
  }

  /** Calls the user's function; the side data of a batch are those recorded when it first started (E10). */
  async prepare(time: BatchTime, scopes: BatchScopes): Promise<void> {
    const rdds = this.parents.map((parent) => this.required(parent, time))
    const result = await this.#call(rdds, time, scopes)
    if (result?.['~sluice'] !== 'rdd/1') throw this.#noRdd(result)
    this.#result = { time, rdd: self(result).node }
    // Kept from now on, also if nothing asks for it before a later window does.
    this.at(time)
  }

  async #call(
    rdds: readonly RddNode[],
    time: BatchTime,
    scopes: BatchScopes,
  ): Promise<Rdd<unknown> | undefined | null> {
    const scope = scopes.scope(this.id)
    try {
      const side = this.#sideData === undefined ? undefined : await scopes.sideData(this.id, this.#sideData)
      return await this.#f(
        rdds.map((rdd) => new RddImpl<never>(rdd, scope)),
        time,
        // What the function does to them must not get into the record.
        freezeDeep(side) ? side : deepCopy(side),
      )
    } catch (error) {
      throw batchFunctionFailed(error, this.id, time)
    }
  }

  protected compute(time: BatchTime): RddNode {
    const result = this.#result
    this.#result = undefined
    // It may be an RDD that the user has kept for all batches.
    if (result?.time === time) return new UnionNode([result.rdd])
    throw new SluiceError({
      code: 'RDD_MISSING',
      component: this.id,
      message: `its function was not called for batch ${String(time)}, as no output needs the stream; call remember() on it before start() to slice it`,
    })
  }

  #noRdd(result: unknown): SluiceError {
    return new SluiceError({
      code: 'GRAPH_INVALID',
      component: this.id,
      message: `the function must return an RDD, and returned ${result === null ? 'null' : typeof result}; return the RDD that the batch goes on with`,
    })
  }
}
