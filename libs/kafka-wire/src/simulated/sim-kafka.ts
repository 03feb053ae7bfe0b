/** A simulated cluster for `simulate` of `@sluice/testkit`: another application fills a topic, and its records must have their effect once. */
import type { KafkaClient } from '../client.js'
import { committedTexts } from './committed-texts.js'
import type { SimulatedProcess, SimulatedWorld } from './places.js'
import { simulatedClient } from './sim-adapter.js'
import { SimBrokers, type Unrest } from './sim-brokers.js'
import { SimFeed, type SimFeedOptions } from './sim-feed.js'

export interface SimKafkaOptions extends Unrest {
  /** How many partitions each topic has. */
  readonly topics: Readonly<Record<string, number>>
  /** What another application writes, in transactions of three records. */
  readonly feed: SimFeedOptions
  /** Where each record that it has committed must be once in the end, and nothing else. */
  readonly result: SimResult
}

export interface SimResult {
  /** As who reads what is committed finds it. */
  readonly topic?: string | undefined
  /** Of `sim.sink(table)`. */
  readonly table?: string | undefined
  /** What becomes of a value: a text in a topic, a record in a table. */
  readonly of: (value: string) => unknown
}

/** All rows of a table of the simulator. */
export type RowsOf = (table: string) => readonly unknown[]

/** What has not come through so long after the last record and the last fault does not come any more. */
const PATIENCE_MS = 10 * 60_000
const SHOWN = 3

/** An `OutsideModel` of `@sluice/testkit`. */
export class SimKafka {
  readonly #world: SimulatedWorld
  readonly #result: SimResult
  readonly #brokers: SimBrokers
  readonly #feed: SimFeed

  constructor(world: SimulatedWorld, options: SimKafkaOptions) {
    this.#world = world
    this.#result = options.result
    this.#brokers = new SimBrokers(world, options)
    for (const [topic, partitions] of Object.entries(options.topics)) this.#brokers.create({ topic, partitions })
    this.#feed = new SimFeed(world, this.#brokers, options.feed)
  }

  /** A client of a process, with a group's members: the real one, on brokers that are not. Give it `sim`. */
  client(process: SimulatedProcess): KafkaClient {
    return simulatedClient(this.#brokers, process)
  }

  /** The values that a reader of committed records finds, partition by partition. */
  committed(topic: string): string[] {
    return this.#brokers.partitionsOf(topic).flatMap(committedTexts)
  }

  isThrough(rowsOf: RowsOf): boolean {
    const { nowMs, lastFaultMs } = this.#world
    if (!this.#feed.isDone) return false
    return this.problem(rowsOf) === undefined || nowMs > Math.max(this.#feed.lastMs, lastFaultMs) + PATIENCE_MS
  }

  problem(rowsOf: RowsOf): string | undefined {
    const { topic, table, of } = this.#result
    const found = [...(topic === undefined ? [] : this.committed(topic)), ...(table === undefined ? [] : rowsOf(table))]
    const [has, needs] = [countsOf(found), countsOf(this.#feed.values.map((value) => of(value)))]
    const problems = [...new Set([...needs.keys(), ...has.keys()])].flatMap((text) => {
      const [there, needed] = [has.get(text) ?? 0, needs.get(text) ?? 0]
      if (there === needed) return []
      if (there < needed) return [`${text} is missing`]
      return [needed === 0 ? `${text} was never committed` : `${text} is there ${String(there)} times`]
    })
    if (problems.length === 0) return undefined
    return `${problems.slice(0, SHOWN).join(', ')} (${String(problems.length)} in all)`
  }
}

function countsOf(values: readonly unknown[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const value of values) {
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    counts.set(text, (counts.get(text) ?? 0) + 1)
  }
  return counts
}
