/**
 * What every executor must do: each transformation and action of an RDD, on empty RDDs, with empty partitions, with one
 * partition and with many. User functions come from `suite-functions.ts` only, so that tasks can run anywhere.
 */
import { actionTests } from './suite-actions.js'
import type { Define, OpenedContext, SuiteRunner } from './suite-bench.js'
import * as pairs from './suite-pairs.js'
import * as transformations from './suite-transformations.js'

export type { OpenedContext, SuiteRunner } from './suite-bench.js'

/** Defines the suite under `name`. `open` is called once for each test. */
export function rddSuite(runner: SuiteRunner, name: string, open: () => Promise<OpenedContext>): void {
  const define: Define = (title, run) => {
    runner.test(title, async () => {
      const { context, close } = await open()
      try {
        await run(context)
      } finally {
        await close()
      }
    })
  }
  runner.describe(`RDD: ${name}`, () => {
    for (const group of [...Object.values(transformations), ...Object.values(pairs), actionTests]) group(define)
  })
}
