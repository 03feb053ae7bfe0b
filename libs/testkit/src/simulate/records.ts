/** Where records come from: a topic that is read by number, and a feed that is pushed. They outlive every process. */
import {
  seededRandom,
  seedOf,
  SluiceError,
  type InputSource,
  type Random,
  type Receiver,
  type ReceiverContext,
} from '@sluice/core'
import type { ProcessHistory, Ranges } from './history.js'
import type { FaultyOperation, Operate } from './operation.js'
import type { OperationFault } from './faults.js'
import type { World } from './world.js'

/** Makes record number `i`, from 0, of an input. */
export type MakeRecord<T> = (i: number, random: Random) => T

export interface InputShape {
  /** Partitions of a source. Default: 2. */
  readonly partitions?: number | undefined
  /** Records that come in one batch interval. Default: 4. */
  readonly perBatch?: number | undefined
  /** Whether a receiver that connects is sent again all that was not acknowledged, one by one. Default: false. */
  readonly resends?: boolean | undefined
  /** Whether a source forgets what was committed. Default: false. */
  readonly releases?: boolean | undefined
}

interface Arrival {
  readonly atMs: number
  readonly record: unknown
}

/** Milliseconds within which a call to a source answers. */
const SOURCE_LATENCY_MS = 5
const LEAST_HANG_MS = 30_000
const MOST_HANG_MS = 300_000
/** Records that a receiver gets at once, at most. */
const MOST_DELIVERED = 4
const READ_CHUNK = 3

/** When records come: so many intervals of this length. */
export interface Timetable {
  readonly intervalMs: number
  readonly intervals: number
}

/** Arrivals over the time of the run, in order. Those of an interval do not depend on how many intervals there are. */
function arrivalsOf(
  world: World,
  name: string,
  { intervalMs, intervals }: Timetable,
  make: MakeRecord<unknown>,
  perBatch: number,
): Arrival[] {
  const arrivals: Arrival[] = []
  for (let interval = 0; interval < intervals; interval++) {
    const random = seededRandom(seedOf(world.seed, 'records', name, interval))
    const times = Array.from({ length: perBatch }, () => (interval + random.next()) * intervalMs)
    for (const atMs of times.sort((a, b) => a - b)) arrivals.push({ atMs, record: make(arrivals.length, random) })
  }
  return arrivals
}

export class SimTopic {
  readonly name: string
  readonly #world: World
  readonly #partitions: Arrival[][]
  readonly #releases: boolean
  /** Number of the first record that each partition still has. */
  #first: readonly number[]

  constructor(world: World, name: string, timetable: Timetable, make: MakeRecord<unknown>, shape: InputShape) {
    const { partitions = 2, perBatch = 4, releases = false } = shape
    this.name = name
    this.#world = world
    this.#releases = releases
    this.#first = Array.from({ length: partitions }, () => 0)
    this.#partitions = Array.from({ length: partitions }, () => [])
    const random = seededRandom(seedOf(world.seed, 'partitions', name))
    for (const arrival of arrivalsOf(world, name, timetable, make, perBatch))
      this.#partitions[random.integer(partitions)]?.push(arrival)
  }

  get total(): number {
    return this.#partitions.reduce((sum, { length }) => sum + length, 0)
  }

  /** How many records each partition has by now. */
  #ends(): number[] {
    const { nowMs } = this.#world
    return this.#partitions.map((arrivals) => {
      const next = arrivals.findIndex(({ atMs }) => atMs > nowMs)
      return next === -1 ? arrivals.length : next
    })
  }

  records({ from, to }: Ranges): unknown[][] {
    return this.#partitions.map((arrivals, p) => arrivals.slice(from[p], to[p]).map(({ record }) => record))
  }

  /** The topic as a direct source in a process. */
  source(operate: Operate, history: ProcessHistory): InputSource<unknown, Ranges> {
    let offsets = this.#partitions.map(() => 0)
    const call = <T>(what: string, effect: () => T): Promise<T> =>
      operate({ kind: 'source', what, on: this.name }, effect, { latencyMs: SOURCE_LATENCY_MS, faulty: faultySource })
    const records = (ranges: Ranges): number => this.records(ranges).reduce((sum, { length }) => sum + length, 0)
    const read = (partition: number, ranges: Ranges): Promise<unknown[]> =>
      call('read', () => this.#read(partition, ranges))
    return {
      '~sluice': 'input/1',
      name: this.name,
      replayable: true,
      start: async ({ resumed }) => {
        offsets = await call('start', () => (resumed?.head as number[] | undefined) ?? offsets)
      },
      plan: async (time) => {
        const ranges = await call('plan', () => {
          const planned = { from: offsets, to: this.#ends() }
          history.planned(this.name, time, planned)
          return planned
        })
        offsets = [...ranges.to]
        return { data: ranges, records: records(ranges), head: offsets }
      },
      partitions: (ranges) => this.#partitions.map((_, partition) => ({ partition, ranges })),
      read: async function* ({ partition, ranges }: { readonly partition: number; readonly ranges: Ranges }) {
        const all = await read(partition, ranges)
        for (let at = 0; at < all.length; at += READ_CHUNK) yield all.slice(at, at + READ_CHUNK)
      },
      ...(this.#releases && {
        commit: ({ to }: Ranges) =>
          call('commit', () => {
            this.#first = this.#first.map((first, partition) => Math.max(first, to[partition] ?? 0))
          }),
      }),
    }
  }

  #read(partition: number, ranges: Ranges): unknown[] {
    const [from, first] = [ranges.from[partition] ?? 0, this.#first[partition] ?? 0]
    const records = this.records(ranges)[partition] ?? []
    if (records.length > 0 && from < first) throw forgotten(from, first)
    return records
  }
}

function faultySource(fault: OperationFault, random: Random): FaultyOperation {
  if (fault.endsWith('Hangs')) return { delayMs: LEAST_HANG_MS + random.next() * (MOST_HANG_MS - LEAST_HANG_MS) }
  return {
    effect: () => {
      throw connectionFailed()
    },
  }
}

function connectionFailed(): SluiceError {
  return new SluiceError({
    code: 'CONNECTION_FAILED',
    component: 'simulated-source',
    message: 'the connection broke; try again',
    retryable: true,
  })
}

/** A server that pushes numbered records, and forgets what was acknowledged. */
export class SimFeed {
  readonly name: string
  readonly #world: World
  readonly #arrivals: readonly Arrival[]
  readonly #resends: boolean
  /** Records that will not be asked for again. */
  acknowledged = 0
  /** Simulated time of the last acknowledgement. */
  acknowledgedMs = 0
  /** Records that were given to a receiver that may not ask again. */
  pushed = 0

  constructor(
    world: World,
    name: string,
    timetable: Timetable,
    make: MakeRecord<unknown>,
    { perBatch = 4, resends = false }: InputShape,
  ) {
    this.name = name
    this.#resends = resends
    this.#world = world
    this.#arrivals = arrivalsOf(world, name, timetable, make, perBatch)
  }

  get total(): number {
    return this.#arrivals.length
  }

  get records(): unknown[] {
    return this.#arrivals.map(({ record }) => record)
  }

  get isDrained(): boolean {
    return Math.max(this.acknowledged, this.pushed) >= this.#arrivals.length
  }

  /** Records from number `from`, those that came by now; how long it takes until there are any. */
  #delayOf(from: number): number {
    return Math.max(0, (this.#arrivals[from]?.atMs ?? Infinity) - this.#world.nowMs)
  }

  #deliver(from: number): unknown[] {
    if (from < this.acknowledged) throw forgotten(from, this.acknowledged)
    const { nowMs } = this.#world
    const due = this.#arrivals
      .slice(from, from + (this.#resends ? 1 : MOST_DELIVERED))
      .filter(({ atMs }) => atMs <= nowMs)
    return due.map(({ record }) => record)
  }

  /** A receiver that goes on above the last position that is safe. */
  receiver(operate: Operate, isReliable: boolean): Receiver<unknown> {
    const call = <T>(what: string, effect: () => T, delayMs = 0): Promise<T> =>
      operate({ kind: 'receiver', what, on: this.name }, effect, {
        latencyMs: SOURCE_LATENCY_MS,
        delayMs,
        faulty: faultySource,
      })
    return {
      '~sluice': 'receiver/1',
      name: this.name,
      onStart: async (context) => {
        await call('connect', () => undefined)
        void this.#pump(context, call, isReliable)
      },
      onStop: () => undefined,
    }
  }

  async #pump(context: ReceiverContext<unknown>, call: Call, isReliable: boolean): Promise<void> {
    const { signal } = context
    let next = this.#first(context, isReliable)
    const acknowledge = (safe: number): Promise<void> =>
      call('acknowledge', () => {
        this.acknowledged = Math.max(this.acknowledged, safe)
        this.acknowledgedMs = this.#world.nowMs
      })
    try {
      // What was safe before may not have been told.
      if (next > this.acknowledged) await acknowledge(next)
      while (next < this.#arrivals.length && !signal.aborted) {
        const from = next
        // Nobody asks a plain feed again: what it gave is given.
        const records = await call('deliver', () => this.#deliverOnce(from, isReliable), this.#delayOf(from))
        if (signal.aborted) return
        next = from + records.length
        if (records.length === 0) continue
        await context.storeAll(records, isReliable ? { position: { feed: BigInt(next) } } : {})
        await acknowledge(next)
      }
    } catch (error) {
      if (!signal.aborted) context.restart('the feed broke off', error)
    }
  }

  #first({ position }: ReceiverContext<unknown>, isReliable: boolean): number {
    if (this.#resends) return this.acknowledged
    return isReliable ? Number(position['feed'] ?? 0n) : this.pushed
  }

  #deliverOnce(from: number, isReliable: boolean): unknown[] {
    if (isReliable) return this.#deliver(from)
    const records = this.#deliver(from)
    this.pushed = from + records.length
    return records
  }
}

type Call = <T>(what: string, effect: () => T, delayMs?: number) => Promise<T>

function forgotten(from: number, acknowledged: number): SluiceError {
  return new SluiceError({
    code: 'INPUT_MISSING',
    component: 'simulated-input',
    message: `record ${String(from)} was asked for, and all below ${String(acknowledged)} were acknowledged as safe`,
  })
}
