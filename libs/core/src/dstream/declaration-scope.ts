/** The scope of RDDs that belong to one stream operator: whatever is made there has the operator's id, and nothing can be run. */
import { SluiceError } from '../errors.js'
import { hashPartitioner } from '../rdd/partitioner.js'
import type { RddScope } from '../rdd/scope.js'
import type { Partitioner, ShuffleOptions } from '../rdd/types.js'

export interface DeclarationScope extends RddScope {
  partitioner(options: ShuffleOptions | undefined): Partitioner
}

export function declarationScope(id: string, parallelism: number): DeclarationScope {
  const refuse = (): never => {
    throw new SluiceError({
      code: 'ACTION_OUTSIDE_BATCH',
      component: id,
      message: 'streams are declared, not run, here; use foreachRDD for actions',
    })
  }
  return {
    parallelism,
    opId: () => id,
    run: refuse,
    runInline: refuse,
    dropBlocks: refuse,
    saveAsTextFile: refuse,
    writeTo: refuse,
    partitioner: (options) => options?.partitioner ?? hashPartitioner(options?.partitions ?? parallelism),
  }
}
