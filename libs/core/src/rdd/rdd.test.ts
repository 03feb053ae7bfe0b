import { describe, test } from 'vitest'
import { SluiceContext } from '../context/sluice-context.js'
import { localExecutor } from '../executor/local-executor.js'
import { rddSuite } from './rdd.suite.js'

for (const stages of ['fused', 'closures'] as const) {
  for (const parallelism of [1, 3]) {
    rddSuite({ describe, test }, `local executor, ${stages}, parallelism ${String(parallelism)}`, () => {
      const context = new SluiceContext({ executor: localExecutor({ stages, parallelism }), log: 'warn' })
      return Promise.resolve({ context, close: () => context.stop() })
    })
  }
}
