/** What every store of offsets must do, as tests: `offsetStoreConformance({ describe, test, name, open })`. */
import { defineSuite } from '../suite/runner.js'
import { OffsetStoreBench, type OffsetStoreConformanceOptions } from './offset-store-bench.js'
import { contentRules, lifeRules } from './offset-store-rules.js'

/**
 * Defines one test for each rule of the contract. A store that cannot tell that another run has stored meanwhile, e.g. one that
 * only writes, skips that rule by name and says why.
 */
export function offsetStoreConformance(options: OffsetStoreConformanceOptions): void {
  defineSuite(options, {
    title: `offset store conformance: ${options.name}`,
    rules: [...contentRules, ...lifeRules],
    skip: options.skip ?? [],
    async open({ name }) {
      const bench = new OffsetStoreBench(options, await options.open(), name)
      return { bench, close: () => bench.end() }
    },
  })
}
