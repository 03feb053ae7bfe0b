/** What every sink must do, as tests: `sinkConformance({ describe, test, name, open, record })`. */
import { defineSuite } from '../suite/runner.js'
import { contentRules } from './content-rules.js'
import { failureRules } from './failure-rules.js'
import { identityRules } from './identity-rules.js'
import { lifecycleRules } from './lifecycle-rules.js'
import { SinkBench, type SinkConformanceOptions, type SinkRule } from './sink-bench.js'

const rules: readonly SinkRule[] = [...contentRules, ...identityRules, ...failureRules, ...lifecycleRules]

/**
 * Defines one test for each rule of the sink contract. The suite obeys what the sink declares: with
 * `guarantee.level: 'at-least-once'` the rules of {@link atLeastOnceRules} accept duplicates and let conflicts pass; with
 * `unit: 'batch'` partitions are written in turn and must not be there before `commitBatch`.
 */
export function sinkConformance<T>(options: SinkConformanceOptions<T>): void {
  defineSuite(options, {
    title: `sink conformance: ${options.name}`,
    rules,
    skip: options.skip ?? [],
    async open({ name }) {
      const target = await options.open()
      const mayRelax = atLeastOnceRules.includes(name)
      const bench = new SinkBench(options, target, name, mayRelax)
      // The rules know nothing of T: what they write are the connector's own records.
      return { bench: bench as unknown as SinkBench<unknown>, close: () => bench.end() }
    },
  })
}

/** The rules that a sink which declares itself at-least-once need not keep in full: nothing may be lost, but come twice. */
export const atLeastOnceRules: readonly string[] = rules.filter(({ relaxed }) => relaxed).map(({ name }) => name)
