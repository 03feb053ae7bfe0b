/** Errors of this package that more than one file throws. */
import { isSluiceError, SluiceError } from '@sluice/core'

export const COMPONENT = 'kafka-wire'

/** Offsets of a partition that a range asked for and the broker has no more. */
export interface LostRange {
  readonly topic: string
  readonly partition: number
  /** The first lost offset. */
  readonly from: bigint
  /** The offset behind the last lost one. */
  readonly to: bigint
  /** Where the partition begins now. */
  readonly earliest: bigint
  /** Where it ends now. */
  readonly latest: bigint
}

class OffsetsLost extends SluiceError {
  readonly lost: LostRange

  constructor(lost: LostRange) {
    const { topic, partition, from, to, earliest, latest } = lost
    super({
      code: 'OFFSETS_LOST',
      component: COMPONENT,
      message:
        `offsets ${String(from)} to ${String(to - 1n)} of ${topic}/${String(partition)} are gone: the partition holds ` +
        `${String(earliest)} to ${String(latest - 1n)}; keep records for longer (retention.ms, retention.bytes) than batches ` +
        `may be late, and see that nobody made the topic anew or deleted records`,
    })
    this.lost = lost
  }
}

export function offsetsLost(lost: LostRange): SluiceError {
  return new OffsetsLost(lost)
}

/** The range that an error with the code `OFFSETS_LOST` tells of; `undefined` for every other error. */
export function lostRangeOf(error: unknown): LostRange | undefined {
  return isSluiceError(error, 'OFFSETS_LOST') ? (error as unknown as OffsetsLost).lost : undefined
}

export function corrupt(what: string): SluiceError {
  const message = `${what}; read it with another client: if that fails too, the broker's log is damaged`
  return new SluiceError({ code: 'DATA_CORRUPT', component: COMPONENT, message })
}

const FENCED = new Set(['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'FENCED_INSTANCE_ID'])

/** Also of a topic's partition. */
export const UNKNOWN_PARTITION = 'UNKNOWN_TOPIC_OR_PARTITION'

const remedies: Readonly<Record<string, string>> = {
  [UNKNOWN_PARTITION]: 'create it, or see to the name',
  UNKNOWN_TOPIC_ID: 'it was deleted and made anew: start again',
  TOPIC_AUTHORIZATION_FAILED: 'give this user the right to it (kafka-acls)',
  GROUP_AUTHORIZATION_FAILED: 'give this user the right to it (kafka-acls)',
  CLUSTER_AUTHORIZATION_FAILED: 'give this user the right IdempotentWrite (kafka-acls)',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'give this user the right to it (kafka-acls)',
  MESSAGE_TOO_LARGE: 'raise max.message.bytes of the topic, or make records smaller',
  INVALID_TRANSACTION_TIMEOUT: 'raise transaction.max.timeout.ms of the brokers, or lower timeoutMs',
  UNKNOWN_MEMBER_ID: 'the group has members of its own: stop them, or choose another group',
  ILLEGAL_GENERATION: 'the group has members of its own: stop them, or choose another group',
  INCONSISTENT_GROUP_PROTOCOL: 'the group has members that give out partitions in another way: choose another group',
  INVALID_SESSION_TIMEOUT:
    'choose sessionTimeoutMs between group.min.session.timeout.ms and group.max.session.timeout.ms',
  UNSUPPORTED_COMPRESSION_TYPE: 'choose another compression, or use newer brokers',
  UNSUPPORTED_VERSION: 'use brokers from Kafka 2.3 on',
}

export interface BrokerAnswer {
  /** Kafka's name for the error. */
  readonly type: string
  /** What was asked for, e.g. `reading orders/3`. */
  readonly doing: string
  readonly isRetryable: boolean
  readonly cause?: unknown
}

class BrokerRefused extends SluiceError {
  readonly type: string

  constructor({ type, doing, isRetryable, cause }: BrokerAnswer) {
    const remedy = remedies[type] ?? (isRetryable ? 'this may pass: try again' : "see the broker's log")
    const message = `${doing}: the broker answered ${type}; ${remedy}`
    super({ code: 'BROKER_REFUSED', component: COMPONENT, message, retryable: isRetryable, cause })
    this.type = type
  }
}

/** Whether a broker has answered that there is no such topic, or that the topic has no such partition. */
export function isUnknownTopic(error: unknown): boolean {
  return isSluiceError(error, 'BROKER_REFUSED') && (error as unknown as BrokerRefused).type === UNKNOWN_PARTITION
}

/** A broker has answered with an error. */
export function brokerRefused(answer: BrokerAnswer): SluiceError {
  const { type, doing, cause } = answer
  if (FENCED.has(type)) {
    const message = `${doing}: another producer has taken over this transactional id (${type}); let that one go on, and see why there are two`
    return new SluiceError({ code: 'FENCED', component: COMPONENT, message, cause })
  }
  return new BrokerRefused(answer)
}

/** No broker was reached, or the connection broke. */
export function connectionFailed(doing: string, cause: unknown, isRetryable = true): SluiceError {
  const remedy = isRetryable
    ? 'are the brokers up, and can the addresses that they advertise be reached from here?'
    : 'see to user, password, mechanism and certificates'
  const message = `${doing}: no connection to Kafka (${messageOf(cause)}); ${remedy}`
  return new SluiceError({ code: 'CONNECTION_FAILED', component: COMPONENT, message, retryable: isRetryable, cause })
}

export function timedOut(doing: string, afterMs: number, cause: unknown): SluiceError {
  const message = `${doing}: no progress within ${String(afterMs)} ms (${messageOf(cause)}); are the brokers up?`
  return new SluiceError({ code: 'TIMEOUT', component: COMPONENT, message, retryable: true, cause })
}

export function stopped(what: string): SluiceError {
  const message = `${what} is closed; make a new one`
  return new SluiceError({ code: 'STOPPED', component: COMPONENT, message })
}

export function invalid(message: string): SluiceError {
  return new SluiceError({ code: 'ARGUMENT_INVALID', component: COMPONENT, message })
}

export function chunkIsOver(topic: string, partition: number): SluiceError {
  return invalid(
    `a chunk of ${topic}/${String(partition)} is read after the next one was asked for, when its memory may hold that one; read each chunk ` +
      'to its end before, or keep what pack() gives',
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
