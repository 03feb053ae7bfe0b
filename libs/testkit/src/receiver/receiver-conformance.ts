/** What every receiver must do, as tests: `receiverConformance({ describe, test, name, open, record })`. */
import { defineSuite } from '../suite/runner.js'
import { ReceiverBench, type ReceiverConformanceOptions } from './receiver-bench.js'
import { receivingRules } from './receiving-rules.js'
import { runRules } from './run-rules.js'

/** Defines one test for each rule of the receiver contract. The suite drives the receiver as the engine does. */
export function receiverConformance<T>(options: ReceiverConformanceOptions<T>): void {
  defineSuite(options, {
    title: `receiver conformance: ${options.name}`,
    rules: [...receivingRules, ...runRules],
    skip: options.skip ?? [],
    async open({ name }) {
      const bench = new ReceiverBench(options, await options.open(), name)
      // The rules know nothing of T: what is sent are the connector's own records.
      return { bench: bench as unknown as ReceiverBench<unknown>, close: () => bench.end() }
    },
  })
}
