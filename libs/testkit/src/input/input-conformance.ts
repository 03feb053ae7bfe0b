/** What every direct source must do, as tests: `inputConformance({ describe, test, name, open, record })`. */
import { defineSuite } from '../suite/runner.js'
import { clockOf, InputBench, type InputConformanceOptions } from './input-bench.js'
import { planRules } from './plan-rules.js'
import { readRules } from './read-rules.js'

/** Defines one test for each rule of the input contract. The suite obeys `replayable`. */
export function inputConformance<T>(options: InputConformanceOptions<T>): void {
  defineSuite(options, {
    title: `input conformance: ${options.name}`,
    rules: [...readRules, ...planRules],
    skip: options.skip ?? [],
    async open({ name }) {
      const clock = clockOf(options)
      const bench = new InputBench(options, await options.open(clock), clock, name)
      // The rules know nothing of T: what is added are the connector's own records.
      return { bench: bench as unknown as InputBench<unknown>, close: () => bench.end() }
    },
  })
}
