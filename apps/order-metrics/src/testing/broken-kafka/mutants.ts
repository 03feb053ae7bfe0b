/** Mistakes in the connectors of Kafka, of which the simulator must find each: a small piece is another one when it is loaded. */
import type { Faults } from '@sluice/testkit'

interface Replacement {
  /** Below `libs`. */
  readonly file: string
  /** Stands in the compiled file exactly once. */
  readonly find: string
  readonly replace: string
}

export interface Mutant {
  readonly name: string
  readonly mistake: string
  readonly replacements: readonly Replacement[]
  readonly program: 'topic to topic' | 'group to ledger'
  /** Seeds within which it must be found. */
  readonly seeds: number
  readonly faults: Faults
  readonly finds: RegExp
}

const CONSUMER = 'source-kafka/dist/receiver/consumer.js'
const OUTPUT = 'sink-kafka/dist/ledgered-output.js'

export const mutants: readonly Mutant[] = [
  {
    name: 'committed-before-stored',
    mistake: 'offsets are committed while their records are on their way into the log',
    replacements: [
      {
        file: CONSUMER,
        find: 'await lane.claim.store(context.storePacked(bytes, { records, position }));',
        replace: 'lane.claim.store(context.storePacked(bytes, { records, position })).catch(() => undefined);',
      },
    ],
    program: 'group to ledger',
    seeds: 40,
    faults: { slowDisk: 0.1, kill: 0.3 },
    finds: /is missing/,
  },
  {
    name: 'position-of-what-failed',
    mistake: 'a consumer goes on above what failed on its way into the log',
    replacements: [{ file: 'core/dist/input/supervisor.js', find: 'positions.safe', replace: 'positions.taken' }],
    program: 'group to ledger',
    seeds: 40,
    faults: { diskFull: 0.02, callFails: 0.02 },
    finds: /is missing/,
  },
  {
    name: 'open-transactions-read',
    mistake: 'records are read whose transaction has not been committed',
    replacements: [
      {
        file: 'source-kafka/dist/kafka-source.config.js',
        find: "options.isolation ?? 'committed'",
        replace: "options.isolation ?? 'uncommitted'",
      },
    ],
    program: 'topic to topic',
    seeds: 3,
    faults: {},
    finds: /times|was never committed/,
  },
  {
    name: 'ledger-not-asked',
    mistake: 'the sink does not ask its ledger whether a partition was written',
    replacements: [{ file: OUTPUT, find: "decide(id, this.#ledger) === 'applied'", replace: 'false' }],
    program: 'topic to topic',
    seeds: 20,
    faults: { answerIsLost: 0.03, kill: 0.3 },
    finds: /is there 2 times/,
  },
  {
    name: 'producer-reused',
    mistake: 'a failed transaction is not aborted, and its producer is used for the next one',
    replacements: [
      {
        file: 'kafka-wire/dist/producing.js',
        find: 'return guarded(inner, transactionalId);',
        replace: 'return inner;',
      },
      {
        file: OUTPUT,
        find: 'this.#producers.delete(name);\n            // So that',
        replace: 'throw error;\n            // So that',
      },
    ],
    program: 'topic to topic',
    seeds: 40,
    faults: { callHangs: 0.02, answerIsLost: 0.02 },
    finds: /is there 2 times|is missing/,
  },
]
