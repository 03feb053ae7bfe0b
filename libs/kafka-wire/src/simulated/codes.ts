/** Kafka's numbers of errors, as far as the simulated cluster has them. */
import { errorOfCode } from '../kafkajs/inner.js'

export const CODES = {
  none: 0,
  offsetOutOfRange: 1,
  unknownPartition: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  illegalGeneration: 22,
  unknownMember: 25,
  rebalanceInProgress: 27,
  topicExists: 36,
  outOfOrderSequence: 45,
  invalidEpoch: 47,
  invalidTransactionState: 48,
  invalidProducerMapping: 49,
  concurrentTransactions: 51,
} as const

export type Code = (typeof CODES)[keyof typeof CODES]

/** As the library throws it. */
export function refusal(code: Code): Error {
  return errorOfCode(code)
}
