/** Options of the Kafka sink, and what is wrong with them. */
import type { Compression, KafkaClient, KafkajsClientOptions } from '@sluice/kafka-wire'
import { requireThat } from './errors.js'
import type { Serializer } from './serializers.js'

/** Where the brokers are: a client of yours, which is never closed, or what `kafkajsClient` takes. */
export type KafkaPlace =
  | { readonly client: KafkaClient }
  | Pick<
      KafkajsClientOptions,
      'brokers' | 'clientId' | 'ssl' | 'sasl' | 'codecs' | 'connectTimeoutMs' | 'callTimeoutMs'
    >

export type KafkaSinkOptions<T> = KafkaPlace & {
  /** The topic, or which one a record goes to. Topics must be there: none is made. */
  readonly topic: string | ((record: T) => string)
  /** Default: none, so records go to all partitions in turn. */
  readonly key?: ((record: T) => unknown) | undefined
  /** Default: the record itself. */
  readonly value?: ((record: T) => unknown) | undefined
  /** Names may repeat where pairs are given. */
  readonly headers?: ((record: T) => Headers) | undefined
  /** Default: by the key's hash, as Java's producer does. */
  readonly partition?: ((record: T) => number | undefined) | undefined
  /** Milliseconds since the Unix epoch. Default: when it is written. */
  readonly timestamp?: ((record: T) => number | Date) | undefined
  /** From what `key` and `value` give to bytes. Default: `text`. */
  readonly serializers?: { readonly key?: Serializer | undefined; readonly value?: Serializer | undefined } | undefined
  /** Default: `none`. */
  readonly compression?: Compression | undefined
  /** Default: `exactly-once`. */
  readonly mode?: 'exactly-once' | 'at-least-once' | undefined
  /** The compacted topic that says which batches are written; made where it is not there. Default: `sluice-ledger`. */
  readonly ledgerTopic?: string | undefined
  /**
   * After how long without an end the broker aborts a transaction; until then readers of what is committed wait for it. At most
   * `transaction.max.timeout.ms` of the brokers. Default: 60 000.
   */
  readonly transactionTimeoutMs?: number | undefined
}

type Headers =
  Readonly<Record<string, Uint8Array | string>> | readonly (readonly [name: string, value: Uint8Array | string])[]

export const DEFAULT_LEDGER = 'sluice-ledger'
export const DEFAULT_TRANSACTION_TIMEOUT_MS = 60_000

const COMPRESSIONS: readonly unknown[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const MODES: readonly unknown[] = ['exactly-once', 'at-least-once']
/** What Kafka takes for a topic's name. */
const TOPIC = /^(?!\.{1,2}$)[\w.-]{1,249}$/

/** Throws `ARGUMENT_INVALID`. */
export function checkOptions(options: KafkaSinkOptions<never>): void {
  const { topic, compression = 'none', mode = 'exactly-once', ledgerTopic = DEFAULT_LEDGER } = options
  const { transactionTimeoutMs = DEFAULT_TRANSACTION_TIMEOUT_MS } = options
  if ('client' in options) {
    const version: unknown = (options.client as Partial<KafkaClient> | undefined)?.['~sluice']
    requireThat(version === 'kafka-client/1', 'client is none of @sluice/kafka-wire; give that of kafkajsClient()')
  } else {
    requireThat(options.brokers.length > 0, 'brokers is empty; give host:port of at least one')
  }
  requireThat(typeof topic === 'function' || isTopicName(topic), 'topic is no name of a topic; give one, or a function')
  requireThat(isTopicName(ledgerTopic), 'ledgerTopic is no name of a topic; give one')
  requireThat(topic !== ledgerTopic, 'topic and ledgerTopic are the same; give two')
  requireThat(COMPRESSIONS.includes(compression), `compression must be one of ${COMPRESSIONS.join(', ')}; choose one`)
  requireThat(MODES.includes(mode), `mode must be one of ${MODES.join(', ')}; choose one`)
  requireThat(transactionTimeoutMs >= 1, 'transactionTimeoutMs must be at least 1; leave it out for 60,000')
  for (const name of ['key', 'value', 'headers', 'partition', 'timestamp'] as const) {
    const given: unknown = options[name]
    requireThat(
      given === undefined || typeof given === 'function',
      `${name} must be a function of the record; give one`,
    )
  }
}

export function isTopicName(name: unknown): name is string {
  return typeof name === 'string' && TOPIC.test(name)
}
