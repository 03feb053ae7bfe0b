/** What the log under checkpoints must do on any file system, as tests: `logConformance({ describe, test, name, open })`. */
import { inspectEntryLog, openEntryLog } from '@sluice/core/testing'
import { defineSuite } from '../suite/runner.js'
import { entryRules } from './entry-rules.js'
import { faultRules } from './fault-rules.js'
import { benchOf, type LogConformanceOptions } from './log-bench.js'

/**
 * Defines one test for each rule of the log's contract. For a new file system it shows that checkpoints are safe on it, in
 * the layout that its `supports.append` chooses, as far as that can be seen without cutting the power.
 */
export function logConformance(options: LogConformanceOptions): void {
  const { openLog = openEntryLog, inspectLog = inspectEntryLog } = options
  defineSuite(options, {
    title: `log conformance: ${options.name}`,
    rules: [...entryRules, ...faultRules],
    skip: options.skip ?? [],
    async open() {
      const bench = benchOf(await options.open(), openLog, inspectLog, options.damages)
      return { bench, close: () => bench.close() }
    },
  })
}
