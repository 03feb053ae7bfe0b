/** Counting and reducing whole RDDs into one record. */
import { CoalesceNode, PartitionwiseNode, type RddNode } from '../rdd/lineage.js'
import type { Pipeline } from '../rdd/pipeline.js'

/** The number of records: always exactly one record, 0 for none. */
export function counted(rdd: RddNode, operator: string): RddNode {
  const counts = new PartitionwiseNode([rdd], ([input]) => ({ kind: 'count', operator, input: input as Pipeline }))
  const together = new CoalesceNode(counts, 1)
  return new PartitionwiseNode([together], ([input]) => ({
    kind: 'fold',
    operator,
    input: input as Pipeline,
    f: add,
    start: 0,
  }))
}

/** All records reduced to one; none where there are none. */
export function reduced(rdd: RddNode, operator: string, f: (a: never, b: never) => unknown): RddNode {
  const parts = new PartitionwiseNode([rdd], ([input]) => ({
    kind: 'fold',
    operator,
    input: input as Pipeline,
    f,
    start: undefined,
  }))
  const together = new CoalesceNode(parts, 1)
  return new PartitionwiseNode([together], ([input]) => ({
    kind: 'fold',
    operator,
    input: input as Pipeline,
    f,
    start: undefined,
  }))
}

const add = (a: number, b: number): number => a + b
