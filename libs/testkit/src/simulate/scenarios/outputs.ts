/** Programs whose outputs fail, and whose records are refused. */
import { milliseconds, StreamingContext } from '@sluice/core'
import { recordsOf, soon, word, type Scenario } from './scenario.js'

/** One of two outputs fails in every third batch until it is run again; the other one is not run again with it (E13). */
export const oneOutputFails: Scenario = {
  name: 'one-output-fails',
  build: (sim) => {
    const retries = { retries: 3, minDelay: milliseconds(50) }
    const ssc = new StreamingContext({ ...sim.options, outputRetry: retries })
    const words = sim.source(ssc, 'words', word)
    words.to(sim.sink('added', { kind: 'append' }), soon)
    const failures = (time: number): number => ((time / 1_000) % 3 === 0 ? 3 : 0)
    words.to(sim.sink('words', { failures }), { ...soon, retry: { ...retries, retries: 1 } })
    return ssc
  },
  ordered: ['words'],
  expected: (batches) => {
    const words = batches.map((batch) => recordsOf<string>(batch, 'words'))
    return { words, added: words }
  },
}

const isBad = (n: unknown): boolean => (n as number) % 3 === 0

/** What the store refuses is written elsewhere, with its place and its reason (E18). */
export const deadLetters: Scenario = {
  name: 'dead-letters',
  build: (sim) => {
    const ssc = new StreamingContext(sim.options)
    sim
      .source(ssc, 'numbers', (i) => i)
      .to(sim.sink('good', { refuses: isBad }), { ...soon, name: 'good', onError: { deadLetter: sim.sink('bad') } })
    return ssc
  },
  ordered: ['good'],
  expected: (batches) => ({
    good: batches.map((batch) => recordsOf(batch, 'numbers').filter((n) => !isBad(n))),
    bad: batches.map(({ time, partitions }) =>
      (partitions['numbers'] ?? []).flatMap((records, partition) =>
        records.flatMap((record, index) => (isBad(record) ? [letter(record, time, partition, index)] : [])),
      ),
    ),
  }),
}

function letter(record: unknown, batchTime: number, partition: number, index: number): object {
  const message = `[simulated-store] the store refuses ${String(record)}; give it another`
  return { record, message, code: 'RECORD_REJECTED', output: 'good', batchTime, partition, index }
}
