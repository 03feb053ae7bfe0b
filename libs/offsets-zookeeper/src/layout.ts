/** Where offsets lie in ZooKeeper: `/consumers/GROUP/offsets/TOPIC/PARTITION`, as Kafka 0.8 and the applications of Spark had it. */
import { zooKeeperError } from './errors.js'

export const CONSUMERS = '/consumers'
const MOST_DIGITS = 19
const GREATEST = 2n ** 63n - 1n

export function groupPath(group: string): string {
  return `${CONSUMERS}/${group}`
}

export function offsetsPath(group: string): string {
  return `${groupPath(group)}/offsets`
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

/** Whether ZooKeeper takes it as the name of a node. */
export function isNodeName(name: string): boolean {
  if (name === '' || name === '.' || name === '..') return false
  return !/[/\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]/.test(name)
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: string
}

/** Of a partition as sources of Kafka call it, e.g. `web-orders-3`. Throws `ARGUMENT_INVALID` for other names. */
export function partitionOf(name: string): TopicPartition {
  const [, topic = '', partition = ''] = /^([\w.-]+)-(\d+)$/.exec(name) ?? []
  if (topic !== '' && topic !== '.' && topic !== '..' && isPartition(partition)) return { topic, partition }
  throw zooKeeperError(
    'ARGUMENT_INVALID',
    `'${name}' is no partition of a Kafka topic, e.g. orders-3; keep the offsets of this source in another store, of SQL or Redis`,
  )
}

export function partitionName({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}

/** The name of a node that holds the offset of a partition. */
export function isPartition(name: string): boolean {
  return /^(0|[1-9]\d*)$/.test(name)
}

/** Whether it is a next offset as Kafka counts: a decimal number of 63 bits. */
export function isOffset(text: string): boolean {
  return /^\d+$/.test(text) && text.length <= MOST_DIGITS && BigInt(text) <= GREATEST
}
