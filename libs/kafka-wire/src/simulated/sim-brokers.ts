/** The brokers of a simulated cluster: topics, leaders, transactions, groups, and what changes by itself. */
import type { NewTopic, TopicMetadata } from '../client.js'
import { CODES, refusal } from './codes.js'
import type { SimulatedWorld } from './places.js'
import { SimGroup } from './sim-group.js'
import { SimPartition } from './sim-partition.js'
import { answerTo } from './sim-requests.js'
import { SimTransactions } from './sim-transactions.js'

/** How often what changes by itself, from 0 to 1. */
export interface Unrest {
  /** Per batch interval: a partition loses its leader, and gets another one, which may not know at first how much is safe. Default: 0.3. */
  readonly leaderChange?: number | undefined
  /** Per partition of a transaction: the partition hears seconds later how it ended. Default: 0.1. */
  readonly lateMarker?: number | undefined
  /** Per batch interval: another application's consumer joins a group, and leaves it later. Default: 0.2. */
  readonly rebalance?: number | undefined
}

const BROKERS = 3
const MARKER_MS = 5
const LATE_MARKER_MS = 8_000
const LEADERLESS_MS = 1_500
const UNAWARE_MS = 1_000
const STRANGER_MS = 6_000

export class SimBrokers {
  readonly numbers = Array.from({ length: BROKERS }, (_, broker) => broker)
  readonly transactions: SimTransactions
  readonly #world: SimulatedWorld
  readonly #unrest: Unrest
  readonly #topics = new Map<string, SimPartition[]>()
  readonly #settings = new Map<string, ReadonlyMap<string, string>>()
  readonly #groups = new Map<string, SimGroup>()

  constructor(world: SimulatedWorld, unrest: Unrest) {
    this.#world = world
    this.#unrest = unrest
    const random = world.randomFor('markers')
    const { lateMarker = 0.1 } = unrest
    this.transactions = new SimTransactions({
      world,
      markerDelayMs: () => random.next() * (random.next() < lateMarker ? LATE_MARKER_MS : MARKER_MS),
      commitOffsets: (group, offsets) => {
        this.group(group).store(offsets)
      },
    })
    this.#everyInterval(0)
  }

  get partitions(): readonly SimPartition[] {
    return [...this.#topics.values()].flat()
  }

  partitionsOf(topic: string): readonly SimPartition[] {
    return this.#topics.get(topic) ?? []
  }

  partition(topic: string, partition: number): SimPartition | undefined {
    return this.#topics.get(topic)?.[partition]
  }

  /** Throws what a broker answers that does not lead it. */
  led(topic: string, partition: number, broker: number): SimPartition {
    const found = this.partition(topic, partition)
    if (found === undefined) throw refusal(CODES.unknownPartition)
    if (found.leader !== broker) throw refusal(CODES.notLeader)
    return found
  }

  group(name: string): SimGroup {
    const group = this.#groups.get(name) ?? new SimGroup(() => this.#world.nowMs)
    this.#groups.set(name, group)
    return group
  }

  metadata(topics: readonly string[] | RegExp): TopicMetadata[] {
    const names =
      topics instanceof RegExp ? [...this.#topics.keys()].filter((name) => topics.test(name)).sort() : topics
    return names.map((topic) => {
      const partitions = this.#topics.get(topic)
      if (partitions === undefined) throw refusal(CODES.unknownPartition)
      return { topic, partitions: partitions.map(({ partition, leader }) => ({ partition, leader })) }
    })
  }

  settings(topic: string): ReadonlyMap<string, string> {
    return this.#settings.get(topic) ?? new Map()
  }

  create({ topic, partitions, settings = {} }: NewTopic): void {
    if (this.#topics.has(topic)) throw refusal(CODES.topicExists)
    const random = this.#world.randomFor('leaders', topic)
    const made = Array.from({ length: partitions }, (_, i) => new SimPartition(topic, i, random.integer(BROKERS)))
    this.#topics.set(topic, made)
    this.#settings.set(topic, new Map(Object.entries(settings)))
  }

  answer(broker: number, api: number, bytes: Buffer): Buffer {
    return answerTo(this, broker, api, bytes)
  }

  /** As long as records come: then the cluster calms down. */
  #everyInterval(interval: number): void {
    const { intervalMs, intervals } = this.#world
    if (interval >= intervals) return
    const random = this.#world.randomFor('unrest', interval)
    this.#world.after(random.next() * intervalMs, 'unrest', () => {
      const { leaderChange = 0.3, rebalance = 0.2 } = this.#unrest
      const partition = this.partitions[random.integer(this.partitions.length)]
      if (random.next() < leaderChange && partition !== undefined)
        this.#changeLeader(partition, random.next(), random.next())
      if (random.next() < rebalance) this.#addStrangers(`stranger ${String(interval)}`, random.next())
    })
    this.#world.after(intervalMs, 'interval', () => {
      this.#everyInterval(interval + 1)
    })
  }

  #changeLeader(partition: SimPartition, howLong: number, howUnaware: number): void {
    const { leader, end } = partition
    if (leader < 0) return
    partition.leader = -1
    partition.knownEnd = end - (end * BigInt(Math.floor(howUnaware * 4))) / 16n
    this.#world.after(howLong * LEADERLESS_MS, 'leader', () => {
      partition.leader = (leader + 1) % BROKERS
    })
    this.#world.after(howLong * LEADERLESS_MS + howUnaware * UNAWARE_MS, 'known end', () => {
      partition.knownEnd = undefined
    })
  }

  #addStrangers(name: string, howLong: number): void {
    for (const group of this.#groups.values()) {
      if (!group.hasMembers) continue
      group.addStranger(name, [...this.#topics.keys()])
      this.#world.after(howLong * STRANGER_MS, 'stranger leaves', () => {
        group.leave(name)
      })
    }
  }
}
