/** Programs without state: what is read is written, whatever is done to it on the way. */
import { StreamingContext } from '@sluice/core'
import { recordsOf, soon, sumsOf, word, type Scenario } from './scenario.js'

const countsOf = (words: readonly string[]): [string, number][] => sumsOf(words.map((text) => [text, 1]))

/** Counts words of each batch, and keeps the words themselves in their order. */
export const wordCount: Scenario = {
  name: 'word-count',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    const words = sim.source(ssc, 'words', word)
    words.to(sim.sink('words'), soon)
    words
      .map((text) => [text, 1 as number] as const)
      .reduceByKey((a, b) => a + b, { partitions: 2 })
      .to(sim.sink('counts'), soon)
    return ssc
  },
  ordered: ['words'],
  expected: (batches) => ({
    words: batches.map((batch) => recordsOf(batch, 'words')),
    counts: batches.map((batch) => countsOf(recordsOf(batch, 'words'))),
  }),
}

/** A store that only appends: nothing is missing, and only batches that were written again are there again. */
export const atLeastOnce: Scenario = {
  name: 'at-least-once',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    sim.source(ssc, 'words', word).to(sim.sink('words', { kind: 'append' }), soon)
    return ssc
  },
  expected: (batches) => ({ words: batches.map((batch) => recordsOf(batch, 'words')) }),
}

/** A program that gains and loses operators and outputs from one version to the next, and keeps its state. */
export const changedProgram: Scenario = {
  name: 'changed-program',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    const words = sim.source(ssc, 'words', word)
    const same =
      sim.version % 2 === 0 ? words : words.map((text) => text.toUpperCase()).map((text) => text.toLowerCase())
    same
      .map((text) => [text, 1 as number] as const)
      .updateStateByKey<number>((ones, sum = 0) => sum + ones.length, { name: 'totals', partitions: 2 })
      .to(sim.sink('totals'), soon)
    if (sim.version % 2 === 1) words.count().print()
    return ssc
  },
  expected: (batches) => {
    let all: readonly string[] = []
    return {
      totals: batches.map((batch) => {
        all = [...all, ...recordsOf<string>(batch, 'words')]
        return countsOf(all)
      }),
    }
  },
}

/** Two inputs, joined in each batch. */
export const join: Scenario = {
  name: 'join',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    const numbered = (i: number, random: Parameters<typeof word>[1]): readonly [string, number] => [word(i, random), i]
    const left = sim.source(ssc, 'left', numbered, { perBatch: 3 })
    const right = sim.source(ssc, 'right', numbered, { perBatch: 3, partitions: 1 })
    left.join(right, { partitions: 2 }).to(sim.sink('joined'), soon)
    return ssc
  },
  expected: (batches) => ({
    joined: batches.map((batch) =>
      recordsOf<[string, number]>(batch, 'left').flatMap(([key, a]) =>
        recordsOf<[string, number]>(batch, 'right')
          .filter(([other]) => other === key)
          .map(([, b]) => [key, [a, b]]),
      ),
    ),
  }),
}
