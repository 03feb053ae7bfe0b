/** What producers need of an adapter's connections. Every call is one attempt, and throws what the adapter's library throws. */
import type { Failures } from '../adapter.js'
import type { WireCall } from './produce-wire.js'

export interface Wire {
  readonly failures: Failures
  /** The library's error for Kafka's number of one. */
  errorOf(code: number): Error
  /** As far as it is known, and at least `atLeast` if the topic has as many. */
  partitionCount(topic: string, atLeast: number): Promise<number>
  /** Who leads these partitions. */
  leaders(topic: string, partitions: readonly number[]): Promise<ReadonlyMap<BrokerLink, readonly number[]>>
  coordinator(kind: 'group' | 'transaction', key: string): Promise<BrokerLink>
  anyBroker(): Promise<BrokerLink>
  /** What is known of the topic may be wrong. */
  forget(topic: string): void
}

/** A broker, connected. Requests that are sent without waiting arrive in their order. */
export interface BrokerLink {
  call<T>(call: WireCall<T>): Promise<T>
}
