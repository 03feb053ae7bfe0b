/** A producer of another application: it fills a topic in transactions, some of which it aborts and writes again. */
import type { Random } from '@sluice/core'
import { encodeBatches, sealBatch } from '../produce/record-encoder.js'
import type { SimulatedWorld } from './places.js'
import type { SimBrokers } from './sim-brokers.js'
import type { SimPartition } from './sim-partition.js'

export interface SimFeedOptions {
  readonly topic: string
  /** The value of record `i`, from 0. */
  readonly value: (i: number) => string
  /** Transactions that begin in a batch interval. Default: 2. */
  readonly perInterval?: number | undefined
  /** How often one is aborted and written again, from 0 to 1. Default: 0.25. */
  readonly aborts?: number | undefined
}

const RECORDS = 3
const LONGEST_TRANSACTION_MS = 1_500
/** Of the brokers: it never comes. */
const TIMEOUT_MS = 60_000

export class SimFeed {
  /** What it has committed. */
  readonly values: string[] = []
  /** Simulated milliseconds at which it last committed something. */
  lastMs = 0
  readonly #world: SimulatedWorld
  readonly #brokers: SimBrokers
  readonly #options: SimFeedOptions
  #unwritten = 0
  #transactions = 0

  constructor(world: SimulatedWorld, brokers: SimBrokers, options: SimFeedOptions) {
    this.#world = world
    this.#brokers = brokers
    this.#options = options
    for (let interval = 0; interval < world.intervals; interval++) this.#plan(interval)
  }

  get isDone(): boolean {
    return this.#unwritten === 0
  }

  /** The same records in an interval however many intervals there are. */
  #plan(interval: number): void {
    const { perInterval = 2, value } = this.#options
    for (let i = 0; i < perInterval; i++) {
      const number = interval * perInterval + i
      const random = this.#world.randomFor('feed', number)
      const values = Array.from({ length: RECORDS }, (_, each) => value(number * RECORDS + each))
      this.#unwritten++
      this.#world.after((interval + random.next()) * this.#world.intervalMs, 'feed', () => {
        this.#write(values, random)
      })
    }
  }

  #write(values: readonly string[], random: Random): void {
    const { topic, aborts = 0.25 } = this.#options
    const { transactions } = this.#brokers
    const partitions = this.#brokers.partitionsOf(topic)
    const id = `feed ${String(this.#transactions++)}`
    const { producerId, epoch } = transactions.init(id, TIMEOUT_MS)
    const sequences = new Map<SimPartition, number>()
    for (const value of values) {
      const partition = partitions[random.integer(partitions.length)] as SimPartition
      const sequence = sequences.get(partition) ?? 0
      sequences.set(partition, sequence + 1)
      transactions.join(id, producerId, epoch, partition)
      partition.append(this.#batchOf(value, { producerId, epoch }, sequence), true)
    }
    const isAborted = random.next() < aborts
    this.#world.after(random.next() * LONGEST_TRANSACTION_MS, 'feed', () => {
      transactions.end(id, producerId, epoch, isAborted ? 'abort' : 'commit')
      if (isAborted) this.#write(values, random)
      else this.#committed(values)
    })
  }

  #committed(values: readonly string[]): void {
    this.values.push(...values)
    this.#unwritten--
    this.lastMs = this.#world.nowMs
  }

  #batchOf(value: string, sender: { producerId: bigint; epoch: number }, sequence: number): Buffer {
    const nowMs = Math.floor(this.#world.nowMs)
    const plain = { maxBytes: Infinity, nowMs, isTransactional: true, codec: 0, compress: undefined }
    const [batch] = encodeBatches([{ value }], plain)
    if (batch === undefined) throw new TypeError('one record is one batch')
    sealBatch(batch, sender, sequence)
    return batch.bytes
  }
}
