/** Counts words of each batch, and keeps the words themselves in their order. */
import { StreamingContext } from '@sluice/core'
import { recordsOf, sumsOf, word, type Scenario } from './scenario.js'

export const wordCount: Scenario = {
  name: 'word-count',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    const words = sim.source(ssc, 'words', word)
    words.to(sim.sink('words'), { timeoutMs: 5_000 })
    words
      .map((text) => [text, 1 as number] as const)
      .reduceByKey((a, b) => a + b, { partitions: 2 })
      .to(sim.sink('counts'), { timeoutMs: 5_000 })
    return ssc
  },
  ordered: ['words'],
  expected: (batches) => ({
    words: batches.map((batch) => recordsOf(batch, 'words')),
    counts: batches.map((batch) => sumsOf(recordsOf<string>(batch, 'words').map((text) => [text, 1]))),
  }),
}
