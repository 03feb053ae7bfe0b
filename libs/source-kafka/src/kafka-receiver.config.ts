/** Options of the receiver approach: their meaning, defaults and checks. */
import { SluiceError, type ReceiverStreamOptions } from '@sluice/core'
import type { Isolation } from '@sluice/kafka-wire'
import { COMPONENT } from './component.js'
import type { KafkaConnectionOptions, KafkaDecodeOptions } from './kafka-source.config.js'
import type { StartMoment } from './offsets.js'
import type { KafkaRecord } from './record.js'

export interface KafkaReceiverOptions extends ReceiverStreamOptions {
  /** How many consumers each topic has; each is a receiver and a member of the group, so more than it has partitions are idle. */
  readonly topics: Readonly<Record<string, number>>
  /** The consumer group. Other applications may be in it: then each gets a part of the records. */
  readonly group: string
  /** Where a partition begins for which neither the group nor the checkpoint has an offset. Default: `latest`. */
  readonly otherwise?: StartMoment | undefined
  /** Default: `committed`: what open and aborted transactions wrote is left out. */
  readonly isolation?: Isolation | undefined
  /** When records were deleted before they were received: fail and try again, or go on with what is there, and tell. Default: `fail`. */
  readonly onDataLoss?: 'fail' | 'reset' | undefined
  /** Milliseconds without a heartbeat after which the group goes on without a consumer. Default: 30 000. */
  readonly sessionTimeoutMs?: number | undefined
  /** Milliseconds within which all consumers must have joined again when partitions are given out anew. Default: 60 000. */
  readonly rebalanceTimeoutMs?: number | undefined
  /** Milliseconds between two commits of offsets. Default: 1000. */
  readonly commitIntervalMs?: number | undefined
  /** Milliseconds without progress after which a consumer is started anew. Default: 60 000. */
  readonly deadlineMs?: number | undefined
  /** Bytes of one fetch. Default: 512 KiB. */
  readonly fetchBytes?: number | undefined
}

export type KafkaReceiverStreamOptions<
  K = Buffer,
  V = Buffer,
  T = KafkaRecord<K | null, V | null>,
> = KafkaConnectionOptions & KafkaReceiverOptions & KafkaDecodeOptions<K, V, T>

/** Settings with their defaults. */
export interface ReceiverSettings {
  readonly group: string
  readonly otherwise: StartMoment
  readonly isolation: Isolation
  readonly onDataLoss: 'fail' | 'reset'
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly commitIntervalMs: number
  readonly deadlineMs: number
  readonly fetchBytes: number
  /** Whether what is stored is safe, and not only kept. */
  readonly isReliable: boolean
}

const KIB = 1_024

/** Throws `ARGUMENT_INVALID`. */
export function receiverSettings(options: KafkaReceiverOptions): ReceiverSettings {
  const settings: ReceiverSettings = {
    group: options.group,
    otherwise: options.otherwise ?? 'latest',
    isolation: options.isolation ?? 'committed',
    onDataLoss: options.onDataLoss ?? 'fail',
    sessionTimeoutMs: options.sessionTimeoutMs ?? 30_000,
    rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? 60_000,
    commitIntervalMs: options.commitIntervalMs ?? 1_000,
    deadlineMs: options.deadlineMs ?? 60_000,
    fetchBytes: options.fetchBytes ?? 512 * KIB,
    isReliable: options.reliable ?? false,
  }
  if (typeof settings.group !== 'string' || settings.group === '') throw invalid('group is empty; give it a name')
  const above0 = ['sessionTimeoutMs', 'rebalanceTimeoutMs', 'commitIntervalMs', 'deadlineMs', 'fetchBytes'] as const
  for (const name of above0)
    if (!(settings[name] > 0)) throw invalid(`${name} must be above 0, not ${String(settings[name])}`)
  return settings
}

/** The topic of each consumer. Throws `ARGUMENT_INVALID`. */
export function consumersOf(topics: Readonly<Record<string, number>>): readonly string[] {
  const entries = Object.entries(topics)
  if (entries.length === 0) throw invalid('topics is empty; give at least one, with its number of consumers')
  return entries.flatMap(([topic, consumers]) => {
    if (topic === '') throw invalid('topics has an empty name; give each its name')
    if (Number.isSafeInteger(consumers) && consumers > 0) return Array.from({ length: consumers }, () => topic)
    throw invalid(`topics must say how many consumers ${topic} has, a whole number from 1, not ${String(consumers)}`)
  })
}

export function invalid(message: string): SluiceError {
  return new SluiceError({ code: 'ARGUMENT_INVALID', component: COMPONENT, message })
}
