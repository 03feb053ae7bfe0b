/** Options of the Kafka source: their meaning, defaults and checks. */
import { SluiceError, type OffsetStore, type Sink } from '@sluice/core'
import type { Isolation, KafkaClient, KafkajsClientOptions } from '@sluice/kafka-wire'
import { COMPONENT } from './component.js'
import type { Deserializer } from './decode/deserializer.js'
import type { StartFrom, StartMoment } from './offsets.js'
import type { KafkaRecord, UndecodableRecord } from './record.js'
import type { Selection } from './watch.js'

/** How to reach the cluster: `brokers` and what goes with them, or a client. */
export type KafkaConnectionOptions =
  | ({ readonly client?: undefined } & Omit<KafkajsClientOptions, 'clock' | 'logger'>)
  /** Used and never closed, e.g. `platformaticClient(…)` of `@sluice/kafka-wire/platformatic`. */
  | { readonly client: KafkaClient; readonly brokers?: undefined }

/** Exactly one of the three. */
export interface KafkaTopicOptions {
  readonly topics?: string | readonly string[] | undefined
  /** Of topics whose whole name matches nothing else is asked; new ones join while it runs. Names that begin with `__` never match. */
  readonly pattern?: RegExp | undefined
  readonly partitions?: readonly { readonly topic: string; readonly partition: number }[] | undefined
}

export interface KafkaSourceOptions extends KafkaTopicOptions {
  /** Of the stream: needed with a checkpoint where there are several inputs. Default: derived. */
  readonly name?: string | undefined
  /**
   * Where a first start begins; one that has a checkpoint to go on from does that. `committed`: at the offsets of `group`
   * or `offsets`. Default: `committed` with one of these, else `latest`.
   */
  readonly from?: StartFrom | undefined
  /** Where partitions begin for which `from` has no offset. Default: `latest`. */
  readonly otherwise?: StartMoment | 'fail' | undefined
  /** A Kafka group whose offsets tell lag tools what has been processed. It must have no members. */
  readonly group?: string | undefined
  /** Where offsets are kept besides the checkpoint, in place of `group`. */
  readonly offsets?: OffsetStore | undefined
  /** Default: `committed`: what open and aborted transactions wrote is left out. */
  readonly isolation?: Isolation | undefined
  /** When records were deleted before they were planned: fail, or go on with what is there, with a warning. Default: `fail`. */
  readonly onDataLoss?: 'fail' | 'reset' | undefined
  /** When a topic is deleted while it is read: fail, or go on without it. Default: `fail`. */
  readonly onDeletedTopic?: 'fail' | 'leave' | undefined
  /** Most records of a partition per second, as offsets. Default: no limit. */
  readonly maxRatePerPartition?: number | undefined
  /** What each partition that is behind gets at least per second, also beyond the rate of back-pressure, and one a batch in any case. Default: 1. */
  readonly minRatePerPartition?: number | undefined
  /** Most records of a batch, as offsets. Default: no limit. */
  readonly maxRecordsPerBatch?: number | undefined
  /** Milliseconds without progress after which reading fails, and with it the batch. Default: 60 000. */
  readonly deadlineMs?: number | undefined
  /** How often reading begins anew after that. Default: 0. */
  readonly maxRetries?: number | undefined
  /** How often topics are looked at for new partitions, deleted records and, with a pattern, new topics, in milliseconds. Default: 10 000. */
  readonly refreshMs?: number | undefined
  /** Bytes of one fetch. Default: 512 KiB, which costs a fifth less than 1 MiB where four partitions are fetched at once. */
  readonly fetchBytes?: number | undefined
  /** Bytes that are fetched before their batch reads them, all partitions together. Default: 64 MiB. */
  readonly readAheadBytes?: number | undefined
}

export interface KafkaDecodeOptions<K, V, T> {
  /** Default: bytes. */
  readonly key?: Deserializer<K> | undefined
  /** Default: bytes. */
  readonly value?: Deserializer<V> | undefined
  /**
   * Makes what the stream holds, in place of records. The record is valid during the call only; its parts are decoded when they are
   * looked at, and bytes are views: copy what is kept. After Spark's `messageHandler`.
   */
  readonly handler?: ((record: KafkaRecord<K | null, V | null>) => T) | undefined
  /**
   * What becomes of records whose key or value does not decode, or whose handler throws: they fail the batch, or go to another
   * sink, as output `NAME-undecodable` of the application, before all others. Everything is then decoded once more. Default: `fail`.
   */
  readonly onDecodeError?: 'fail' | { readonly deadLetter: Sink<UndecodableRecord> } | undefined
}

export type KafkaStreamOptions<K = Buffer, V = Buffer, T = KafkaRecord<K | null, V | null>> = KafkaConnectionOptions &
  KafkaSourceOptions &
  KafkaDecodeOptions<K, V, T>

/** Settings with their defaults. */
export interface KafkaSettings {
  readonly selection: Selection
  readonly from: StartFrom
  readonly otherwise: StartMoment | 'fail'
  readonly isolation: Isolation
  readonly onDataLoss: 'fail' | 'reset'
  readonly onDeletedTopic: 'fail' | 'leave'
  readonly maxRatePerPartition: number
  readonly minRatePerPartition: number
  readonly maxRecordsPerBatch: number
  readonly deadlineMs: number
  readonly maxRetries: number
  readonly refreshMs: number
  readonly fetchBytes: number
  readonly readAheadBytes: number
}

const MIB = 1_048_576

/** Throws `ARGUMENT_INVALID`. */
export function kafkaSettings(options: KafkaSourceOptions): KafkaSettings {
  const { group, offsets } = options
  if (group !== undefined && offsets !== undefined) throw invalid('give group or offsets, not both')
  if (group === '') throw invalid('group is empty; give it a name, or leave it out')
  const hasStore = group !== undefined || offsets !== undefined
  const from = options.from ?? (hasStore ? 'committed' : 'latest')
  if (from === 'committed' && !hasStore) throw invalid("from: 'committed' needs a group, or a store as offsets")
  const settings: KafkaSettings = {
    selection: selectionOf(options),
    from,
    otherwise: options.otherwise ?? 'latest',
    isolation: options.isolation ?? 'committed',
    onDataLoss: options.onDataLoss ?? 'fail',
    onDeletedTopic: options.onDeletedTopic ?? 'fail',
    maxRatePerPartition: options.maxRatePerPartition ?? Infinity,
    minRatePerPartition: options.minRatePerPartition ?? 1,
    maxRecordsPerBatch: options.maxRecordsPerBatch ?? Infinity,
    deadlineMs: options.deadlineMs ?? 60_000,
    maxRetries: options.maxRetries ?? 0,
    refreshMs: options.refreshMs ?? 10_000,
    fetchBytes: options.fetchBytes ?? MIB / 2,
    readAheadBytes: options.readAheadBytes ?? 64 * MIB,
  }
  requireNumbers(settings)
  return settings
}

function requireNumbers(settings: KafkaSettings): void {
  const { maxRatePerPartition, minRatePerPartition, maxRecordsPerBatch } = settings
  const above0 = ['maxRatePerPartition', 'maxRecordsPerBatch', 'deadlineMs', 'refreshMs', 'fetchBytes'] as const
  for (const name of above0)
    if (!(settings[name] > 0)) throw invalid(`${name} must be above 0, not ${String(settings[name])}`)
  const from0 = ['minRatePerPartition', 'maxRetries', 'readAheadBytes'] as const
  for (const name of from0)
    if (!(settings[name] >= 0)) throw invalid(`${name} must be at least 0, not ${String(settings[name])}`)
  if (minRatePerPartition > maxRatePerPartition)
    throw invalid('minRatePerPartition must not be above maxRatePerPartition')
  if (maxRecordsPerBatch < 1) throw invalid('maxRecordsPerBatch must be at least 1')
}

function selectionOf({ topics, pattern, partitions }: KafkaTopicOptions): Selection {
  const given = [topics, pattern, partitions].filter((each) => each !== undefined)
  if (given.length !== 1) throw invalid('give exactly one of topics, pattern and partitions')
  // Flags that remember where the last match was would skip topics.
  if (pattern !== undefined)
    return { kind: 'pattern', pattern: new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')) }
  if (partitions !== undefined) {
    if (partitions.length === 0) throw invalid('partitions is empty; give at least one')
    return { kind: 'partitions', partitions: [...partitions] }
  }
  const names = typeof topics === 'string' ? [topics] : [...new Set(topics)]
  if (names.length === 0 || names.includes('')) throw invalid('topics is empty; give at least one name')
  return { kind: 'topics', topics: names }
}

function invalid(message: string): SluiceError {
  return new SluiceError({ code: 'ARGUMENT_INVALID', component: COMPONENT, message })
}
