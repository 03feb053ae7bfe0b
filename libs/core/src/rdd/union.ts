/** Union of RDDs. */
import { AlignedUnionNode, UnionNode, type RddNode } from './lineage.js'

/** Partition by partition where all are spread alike, so that no shuffle is needed afterwards; else one after another. */
export function unionOf(nodes: readonly RddNode[]): RddNode {
  const [first] = nodes
  if (first !== undefined && nodes.length === 1) return first
  const shared = first?.partitioner
  return shared !== undefined && nodes.every((each) => each.partitioner?.equals(shared) === true)
    ? new AlignedUnionNode(nodes, shared)
    : new UnionNode(nodes)
}
