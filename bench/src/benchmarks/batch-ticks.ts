/** Ticks of the system clock, followed by a stream and by a bare timer, with what each cost. */
import { setTimeout as sleep } from 'node:timers/promises'
import { milliseconds, StreamingContext, type DStream, type InputSource } from '@sluice/core'
import { streamDriver } from '../stream-driver.js'

export const TICK_MS = 10

export interface TickOptions {
  /** Records of each batch. */
  readonly records: readonly number[]
  /** Batches that count. */
  readonly batches: number
  /** Batches before them that do not. */
  readonly warmUp: number
}

/** Of each batch that counts, milliseconds from its tick to its start and to its end; CPU time of the process over all. */
export interface Ticks {
  readonly batchTimes: readonly number[]
  readonly startedMs: Float64Array
  readonly endedMs: Float64Array
  readonly cpuMs: number
}

const increment = (n: number): number => n + 1
const isEven = (n: number): boolean => n % 2 === 0
const double = (n: number): number => 2 * n
const isSmall = (n: number): boolean => n < 1_000
const negate = (n: number): number => -n

function fiveOperators(numbers: DStream<number>): DStream<number> {
  return numbers.map(increment).filter(isEven).map(double).filter(isSmall).map(negate)
}

/** CPU milliseconds of each batch where one follows the other at once, so that code and caches are warm. */
export async function backToBackCpuMs({ records, batches, warmUp }: TickOptions): Promise<number> {
  const driver = await streamDriver(fiveOperators)
  for (let i = 0; i < warmUp; i++) await driver.batch(records)
  globalThis.gc?.()
  const before = process.cpuUsage()
  for (let i = 0; i < batches; i++) await driver.batch(records)
  const { user, system } = process.cpuUsage(before)
  await driver.stop()
  return (user + system) / 1_000 / batches
}

/** Runs a stream of five operators on the system clock. */
export async function streamTicks({ records, batches, warmUp }: TickOptions): Promise<Ticks> {
  const ssc = new StreamingContext({ batchInterval: milliseconds(TICK_MS), log: 'error', signals: false })
  const log = new TickLog(batches, warmUp)
  let seen = 0
  fiveOperators(ssc.inputStream(steadySource(records))).foreachRDD(async (rdd) => {
    seen += await rdd.count()
  })
  ssc.addListener({
    onBatchStarted: () => {
      log.started()
    },
    onBatchCompleted: ({ batchTime }) => {
      log.ended(batchTime)
    },
  })
  await ssc.start()
  await log.done
  await ssc.stop({ graceful: false })
  requireSeen(seen, records, batches + warmUp)
  return log.ticks()
}

/** Follows the same ticks with a timer and nothing else, and runs the same functions in a loop. */
export async function bareTicks({ records, batches, warmUp }: TickOptions): Promise<Ticks> {
  const log = new TickLog(batches, warmUp)
  let due = (Math.floor(log.epochMs() / TICK_MS) + 1) * TICK_MS
  let seen = 0
  for (let i = 0; i < batches + warmUp; i++, due += TICK_MS) {
    for (let left = due - log.epochMs(); left > 0; left = due - log.epochMs()) await sleep(left)
    log.started()
    for (const record of records) {
      const incremented = increment(record)
      if (!isEven(incremented)) continue
      const doubled = double(incremented)
      if (isSmall(doubled) && negate(doubled) <= 0) seen++
    }
    log.ended(due)
  }
  requireSeen(seen, records, batches + warmUp)
  return log.ticks()
}

/** The same records in each batch. */
function steadySource(records: readonly number[]): InputSource<number> {
  return {
    '~sluice': 'input/1',
    name: 'steady',
    replayable: true,
    plan: () => ({ data: null, records: records.length }),
    partitions: () => [records],
    read: () => [records],
  }
}

function requireSeen(seen: number, records: readonly number[], batches: number): void {
  const each = records.filter((n) => isEven(increment(n)) && isSmall(double(increment(n)))).length
  // A stop at once may leave a batch behind that has begun.
  if (Math.abs(seen - each * batches) <= each) return
  throw new Error(`batch: ${String(seen)} records were counted, not ${String(each * batches)}`)
}

class TickLog {
  readonly done: Promise<void>
  readonly #skip: number
  readonly #batchTimes: number[] = []
  readonly #startedMs: Float64Array
  readonly #endedMs: Float64Array
  /** Epoch by the monotonic clock: `Date` has whole milliseconds only. */
  readonly #origin = preciseOrigin()
  #cpu = process.cpuUsage()
  #cpuMs = 0
  #at: number
  #start = 0
  #onDone: () => void = () => undefined

  constructor(batches: number, warmUp: number) {
    this.#skip = warmUp
    this.#at = -warmUp
    this.#startedMs = new Float64Array(batches)
    this.#endedMs = new Float64Array(batches)
    this.done = new Promise((resolve) => (this.#onDone = resolve))
  }

  epochMs(): number {
    return this.#origin + performance.now()
  }

  started(): void {
    this.#start = this.epochMs()
  }

  ended(batchTime: number): void {
    const at = this.#at++
    if (at === -1 || (at === 0 && this.#skip === 0)) this.#cpu = process.cpuUsage()
    if (at < 0 || at >= this.#endedMs.length) return
    this.#batchTimes.push(batchTime)
    this.#startedMs[at] = this.#start - batchTime
    this.#endedMs[at] = this.epochMs() - batchTime
    if (at + 1 < this.#endedMs.length) return
    const { user, system } = process.cpuUsage(this.#cpu)
    this.#cpuMs = (user + system) / 1_000
    this.#onDone()
  }

  ticks(): Ticks {
    return {
      batchTimes: this.#batchTimes,
      startedMs: this.#startedMs,
      endedMs: this.#endedMs,
      cpuMs: this.#cpuMs,
    }
  }
}

/** What to add to `performance.now()` for the epoch time, found where `Date.now()` turns to its next millisecond. */
function preciseOrigin(): number {
  const before = Date.now()
  let now = before
  while (now === before) now = Date.now()
  return now - performance.now()
}
