import { SluiceError, type InputPlan, type InputSource } from '@sluice/core'
import { describe, expect, test } from 'vitest'
import { collectSuite, type SuiteResult } from '../suite/collect.js'
import { inputConformance } from './input-conformance.js'

interface Range {
  readonly partition: number
  from: number
  until: number
}

interface LogPlan {
  readonly ranges: readonly Range[]
}

type Flaw =
  | 'plans twice'
  | 'skips records'
  | 'reads what is there'
  | 'keeps an iterator in its plan'
  | 'keeps a class in its plan'
  | 'changes its plans'
  | 'tells wrong numbers'
  | 'ignores the rate'
  | 'reads everything at once'
  | 'reads in another order each time'
  | 'reads only once'
  | 'forgets at restart'
  | 'takes lost records for none'
  | 'plans again what is committed'
  | 'throws plain errors'
  | 'cannot be stopped'
  | 'turns records round'
  | 'one reader'

const CHUNK = 1_000

/** A log of two partitions that is read by offsets. */
class Log {
  readonly partitions: string[][] = [[], []]
  lost = false
  #next = 0

  add(records: readonly string[]): void {
    for (const record of records) this.partitions[this.#next++ % 2]?.push(record)
  }
}

class Offsets {
  readonly ranges: readonly Range[]
  constructor(ranges: readonly Range[]) {
    this.ranges = ranges
  }
}

class LogSource implements InputSource<string, LogPlan> {
  readonly '~sluice' = 'input/1'
  readonly name = 'log'
  readonly replayable = true
  readonly #log: Log
  readonly #flaws: ReadonlySet<Flaw>
  readonly #planned: number[] = [0, 0]
  readonly #live: Range[] = []
  readonly #seen = new Set<string>()
  #rate = Infinity
  #lastTime: number | undefined
  #startedMs = 0
  #reading = false
  #reads = 0

  constructor(log: Log, flaws: readonly Flaw[], rates = false) {
    this.#log = log
    this.#flaws = new Set(flaws)
    if (rates)
      this.setRate = (rate) => {
        this.#rate = rate
      }
  }

  setRate?: (rate: number) => void

  #has(flaw: Flaw): boolean {
    return this.#flaws.has(flaw)
  }

  start({ clock }: { clock: { now(): number } }): Promise<void> {
    this.#startedMs = clock.now()
    return Promise.resolve()
  }

  stop(): Promise<void> {
    return this.#has('cannot be stopped') ? Promise.reject(new Error('no')) : Promise.resolve()
  }

  plan(time: number): InputPlan<LogPlan> {
    const seconds = (time - (this.#lastTime ?? this.#startedMs)) / 1_000
    this.#lastTime = time
    const share = this.#has('ignores the rate') ? Infinity : Math.ceil((this.#rate * seconds) / 2)
    const ranges = this.#log.partitions.map((records, partition): Range => {
      const from = this.#planned[partition] ?? 0
      const until = Math.min(records.length, from + share)
      this.#planned[partition] = this.#has('plans twice') ? Math.max(0, until - 1) : until
      return { partition, from: this.#has('skips records') && from > 0 ? Math.min(until, from + 1) : from, until }
    })
    const count = ranges.reduce((sum, { from, until }) => sum + until - from, 0)
    return { data: this.#dataOf(ranges), records: this.#has('tells wrong numbers') ? count + 1 : count }
  }

  #dataOf(ranges: Range[]): LogPlan {
    if (this.#has('keeps an iterator in its plan')) return { ranges, next: () => 0 } as LogPlan
    if (this.#has('keeps a class in its plan')) return new Offsets(ranges)
    if (!this.#has('changes its plans')) return { ranges }
    for (const [i, range] of ranges.entries()) Object.assign((this.#live[i] ??= { ...range }), range)
    return { ranges: this.#live }
  }

  partitions({ ranges }: LogPlan): readonly Range[] {
    return ranges
  }

  async *read({ partition, from, until }: Range): AsyncGenerator<readonly string[]> {
    if (this.#has('one reader') && this.#reading) throw new Error('busy')
    this.#reading = true
    try {
      await new Promise((resolve) => setImmediate(resolve))
      yield* this.#chunks(partition, from, until)
    } finally {
      this.#reading = false
    }
  }

  *#chunks(partition: number, from: number, until: number): Generator<readonly string[]> {
    const records = this.#log.partitions[partition] ?? []
    if (this.#log.lost) {
      if (this.#has('takes lost records for none')) return
      if (this.#has('throws plain errors')) throw new Error('gone')
      throw new SluiceError({ code: 'INPUT_MISSING', component: 'log', message: 'past retention; raise it' })
    }
    const key = `${String(partition)}/${String(from)}/${String(until)}`
    if (this.#has('reads only once') && this.#seen.has(key)) return
    this.#seen.add(key)
    if (this.#has('forgets at restart') && this.#planned[partition] === 0) return
    const end = this.#has('reads what is there') ? records.length : until
    const wanted = records.slice(from, end)
    const turned =
      this.#has('turns records round') || (this.#has('reads in another order each time') && this.#reads++ % 4 > 1)
    if (turned) wanted.reverse()
    const step = this.#has('reads everything at once') ? Infinity : CHUNK
    for (let at = 0; at < wanted.length; at += step) yield wanted.slice(at, at + step)
  }

  commit({ ranges }: LogPlan): Promise<void> {
    if (this.#has('plans again what is committed'))
      for (const { partition, from } of ranges) this.#planned[partition] = from
    return Promise.resolve()
  }
}

function suite(flaws: readonly Flaw[], only?: string): Promise<SuiteResult[]> {
  return collectSuite(
    (runner) => {
      inputConformance<string>({
        ...runner,
        name: 'log',
        record: (index) => `record ${String(index)}`,
        open: () => {
          const log = new Log()
          return {
            source: new LogSource(log, flaws, true),
            reopen: () => new LogSource(log, flaws, true),
            add: (records) => {
              log.add(records)
            },
            lose: () => {
              log.lost = true
            },
          }
        },
        broken: () => {
          const source = new LogSource(new Log(), flaws)
          const start = (): Promise<void> =>
            Promise.reject(
              new SluiceError({ code: 'CONNECTION_FAILED', component: 'log', message: 'nobody there; is it up?' }),
            )
          return Object.assign(source, { start })
        },
      })
    },
    { only },
  )
}

test('a right source passes', async () => {
  const results = await suite([])
  expect(results.filter(({ outcome }) => outcome !== 'passed')).toEqual([])
  expect(results.length).toBeGreaterThan(15)
})

describe('each broken source is caught by the rule that it breaks', () => {
  test.each<[Flaw, string]>([
    ['plans twice', 'plans cover everything that was added, each record once'],
    ['skips records', 'plans cover everything that was added, each record once'],
    ['plans twice', 'a plan with nothing new is empty'],
    ['reads what is there', 'what is added after a plan is not in it'],
    ['turns records round', 'the records of a partition keep their order'],
    ['keeps an iterator in its plan', 'a plan is plain data, and after a way through bytes it covers the same'],
    ['keeps a class in its plan', 'a plan is plain data, and after a way through bytes it covers the same'],
    ['changes its plans', 'a plan is not changed by what comes after it'],
    ['tells wrong numbers', 'the number of records that a plan tells is right'],
    ['ignores the rate', 'setRate, where it is there, bounds the next plans, and the rest comes later'],
    ['reads everything at once', 'read gives bounded chunks, however much was planned'],
    [
      'reads in another order each time',
      'a plan that is read again gives the same records in the same order, where the source is replayable',
    ],
    [
      'reads only once',
      'a plan that is read again gives the same records in the same order, where the source is replayable',
    ],
    ['reads only once', 'a read that is left early does no harm'],
    ['forgets at restart', 'E15: a plan is read the same after a restart, where the source is replayable'],
    [
      'takes lost records for none',
      'E15: what was planned and is gone fails the read by name, where the source is replayable',
    ],
    ['throws plain errors', 'E15: what was planned and is gone fails the read by name, where the source is replayable'],
    ['one reader', 'partitions can be read at the same time'],
    ['plans again what is committed', 'commit comes after later plans and changes none'],
    ['cannot be stopped', 'a start that cannot work rejects, naming component, problem and remedy, and can be stopped'],
  ])('one that %s: %s', async (flaw, rule) => {
    const [result] = await suite([flaw], rule)
    expect(result).toMatchObject({ name: rule, outcome: 'failed' })
  })
})
