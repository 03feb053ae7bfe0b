/** Streams with state: their RDDs read what was committed with the batch before. */
import { aggregated, PartitionwiseNode, type RddNode, SourceNode } from '../rdd/lineage.js'
import { grouping } from '../rdd/rdd-impl.js'
import { pipelineChunks } from '../rdd/run.js'
import type { Pipeline } from '../rdd/pipeline.js'
import type { Partitioner } from '../rdd/types.js'
import { StateOperator } from '../state/state-operator.js'
import { updateState, type UpdateFunction } from '../state/update-state.js'
import type { BatchTime, Duration } from '../time/duration.js'
import { StreamNode } from './stream-node.js'

export class UpdateStateStream extends StreamNode {
  readonly parents: readonly [StreamNode]
  readonly #update: UpdateFunction
  readonly #partitioner: Partitioner
  readonly #state: StateOperator

  constructor(parent: StreamNode, id: string, update: UpdateFunction, partitioner: Partitioner) {
    super(parent.graph, id)
    this.parents = [parent]
    this.#update = update
    this.#partitioner = partitioner
    this.#state = new StateOperator(id, partitioner.partitions)
    this.graph.addState(this.#state)
  }

  get slideDuration(): Duration {
    return this.parents[0].slideDuration
  }

  // A batch without parent still updates every key, with no values.
  protected compute(time: BatchTime): RddNode {
    const parent = this.parents[0].at(time) ?? new SourceNode([])
    const grouped = aggregated(parent, this.id, grouping, this.#partitioner, false)
    return new PartitionwiseNode(
      [grouped],
      ([input], partition) => this.#source(time, input as Pipeline, partition),
      this.#partitioner,
    )
  }

  #source(
    time: BatchTime,
    input: Pipeline,
    partition: number,
  ): ReturnType<ConstructorParameters<typeof PartitionwiseNode>[1]> {
    const { id } = this
    const state = this.#state
    const update = this.#update
    return {
      kind: 'driver',
      async *open(env) {
        yield await state.evaluate(time, partition, (own) =>
          updateState(own, pipelineChunks(input, env), update, id, env),
        )
      },
    }
  }
}
