import { SluiceError, unpackLines, type Receiver, type ReceiverContext } from '@sluice/core'
import { describe, expect, test } from 'vitest'
import { collectSuite, type SuiteResult } from '../suite/collect.js'
import { receiverConformance } from './receiver-conformance.js'

interface Subscriber {
  push(records: readonly string[], last: number): void
  fail(error: Error): void
}

/** A log that can be followed from any position. */
class Log {
  readonly records: string[] = []
  readonly subscribers = new Set<Subscriber>()
  broken = false

  send(records: readonly string[]): void {
    this.records.push(...records)
    for (const subscriber of this.subscribers) subscriber.push(records, this.records.length - 1)
  }

  async connect(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.broken) throw new Error('nobody there')
  }

  subscribe(from: number, subscriber: Subscriber): void {
    this.subscribers.add(subscriber)
    if (from < this.records.length) subscriber.push(this.records.slice(from), this.records.length - 1)
  }

  break(): void {
    this.broken = true
    for (const subscriber of [...this.subscribers]) subscriber.fail(new Error('cut'))
  }
}

type Flaw =
  | 'does not await'
  | 'keeps its subscription'
  | 'stores late'
  | 'turns round'
  | 'waits in onStart'
  | 'hides failed stores'
  | 'tells of stops'
  | 'starts once'
  | 'leaks failed starts'
  | 'connects in the background'
  | 'plain errors'
  | 'hides breaks'
  | 'ignores the position'
  | 'leaves the pump alone'
  | 'drops while busy'
  /** No flaw by itself. */
  | 'packs'
  | 'counts what it packs wrong'

class LogReceiver implements Receiver<string> {
  readonly '~sluice' = 'receiver/1'
  readonly name = 'log'
  readonly unpack = unpackLines
  readonly #log: Log
  readonly #flaws: ReadonlySet<Flaw>
  #queue: { records: readonly string[]; last: number }[] = []
  #subscriber: Subscriber | undefined
  #pumping = false
  #cursor = 0
  #starts = 0

  constructor(log: Log, flaws: readonly Flaw[]) {
    this.#log = log
    this.#flaws = new Set(flaws)
  }

  #has(flaw: Flaw): boolean {
    return this.#flaws.has(flaw)
  }

  async onStart(context: ReceiverContext<string>): Promise<void> {
    this.#starts++
    this.#queue = []
    if (this.#has('leaks failed starts')) this.#subscribe(context)
    if (this.#has('waits in onStart')) await new Promise((resolve) => context.signal.addEventListener('abort', resolve))
    const connecting = this.#connect(context)
    if (this.#has('connects in the background')) connecting.catch(() => undefined)
    else await connecting
  }

  async #connect(context: ReceiverContext<string>): Promise<void> {
    try {
      await this.#log.connect()
    } catch (cause) {
      throw this.#problem('cannot reach the log', cause)
    }
    if (this.#has('connects in the background')) this.#subscribe(context)
    else if (!context.signal.aborted && !(this.#has('starts once') && this.#starts > 1)) this.#subscribe(context)
  }

  #problem(problem: string, cause: unknown): Error {
    if (this.#has('plain errors')) return new Error(problem)
    return new SluiceError({ code: 'CONNECTION_FAILED', component: 'log', message: `${problem}; is it up?`, cause })
  }

  #subscribe(context: ReceiverContext<string>): void {
    const position = context.position['0']
    const from = this.#has('ignores the position') ? this.#cursor : position === undefined ? 0 : Number(position) + 1
    const subscriber: Subscriber = {
      push: (records, last) => {
        if (this.#has('drops while busy') && this.#pumping) return
        this.#queue.push({ records, last })
        this.#cursor = last + 1
        this.#startPump(context)
      },
      fail: (error) => {
        this.#log.subscribers.delete(subscriber)
        if (!this.#has('hides breaks')) context.restart('lost the log', this.#problem('lost the log', error))
      },
    }
    this.#subscriber = subscriber
    this.#log.subscribe(from, subscriber)
  }

  #startPump(context: ReceiverContext<string>): void {
    if (this.#pumping && !this.#has('does not await')) return
    this.#pumping = true
    const pumping = this.#pump(context).finally(() => (this.#pumping = false))
    if (this.#has('leaves the pump alone')) return
    pumping.catch((error: unknown) => {
      if (this.#has('hides failed stores')) return
      if (!context.signal.aborted) context.restart('could not store', this.#storeProblem(error))
      else if (this.#has('tells of stops')) context.report('could not store', error)
    })
  }

  #storeProblem(error: unknown): unknown {
    return this.#has('plain errors') ? new Error('could not store') : error
  }

  async #pump(context: ReceiverContext<string>): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const records = this.#has('turns round') ? [...next.records].reverse() : next.records
      const position = { 0: BigInt(next.last) }
      if (!this.#has('packs')) await context.storeAll(records, { position })
      else await context.storePacked(packed(records), { records: this.#countOf(records), position })
    }
  }

  #countOf(records: readonly string[]): number {
    return records.length + (this.#has('counts what it packs wrong') ? 1 : 0)
  }

  onStop(): void {
    if (this.#has('keeps its subscription') || this.#has('stores late')) return
    if (this.#has('leaks failed starts') && this.#log.broken) return
    if (this.#subscriber !== undefined) this.#log.subscribers.delete(this.#subscriber)
    this.#subscriber = undefined
  }
}

function packed(lines: readonly string[]): Uint8Array {
  return Buffer.from(lines.map((line) => `${line}\n`).join(''))
}

function suite(flaws: readonly Flaw[], only?: string): Promise<SuiteResult[]> {
  return collectSuite(
    (runner) => {
      receiverConformance<string>({
        ...runner,
        name: 'log',
        deadlineMs: 500,
        record: (index) => `record ${String(index)}`,
        open: () => {
          const log = new Log()
          return {
            receiver: new LogReceiver(log, flaws),
            send: (records) => {
              log.send(records)
            },
            held: () => log.subscribers.size,
            break: () => {
              log.break()
            },
            repair: () => {
              log.broken = false
            },
          }
        },
      })
    },
    { only },
  )
}

test.each<[string, Flaw[]]>([
  ['records', []],
  ['packed bytes', ['packs']],
])('a right receiver that stores %s passes', async (_what, flaws) => {
  const results = await suite(flaws)
  expect(results.filter(({ outcome }) => outcome !== 'passed')).toEqual([])
  expect(results.length).toBeGreaterThan(15)
})

test('a receiver that counts wrong what it packs is caught', async () => {
  const rule = 'records are stored in the order in which they were sent, each once'
  const [result] = await suite(['packs', 'counts what it packs wrong'], rule)
  expect(result).toMatchObject({ name: rule, outcome: 'failed' })
})

describe('each broken receiver is caught by the rule that it breaks', () => {
  test.each<[string, Flaw, string]>([
    [
      'calls store without awaiting',
      'does not await',
      'store is awaited: while it is pending, no more calls come than the source declares',
    ],
    [
      'drops what comes while it stores',
      'drops while busy',
      'what waited for room is stored when there is room, in order',
    ],
    ['keeps its subscription', 'keeps its subscription', 'onStop releases everything, also when nothing was received'],
    ['keeps its subscription', 'keeps its subscription', 'onStop releases everything while records flow'],
    ['stores after onStop', 'stores late', 'nothing is stored after onStop'],
    ['turns records round', 'turns round', 'records are stored in the order in which they were sent, each once'],
    [
      'waits for its end in onStart',
      'waits in onStart',
      'onStart resolves when receiving is set up, before there is anything to receive',
    ],
    [
      'hides failed stores',
      'hides failed stores',
      'a store that fails is told: a report, a restart or a stop with the error',
    ],
    [
      'tells of a normal stop',
      'tells of stops',
      'a store that rejects with STOPPED is a normal end: nothing is told, everything released',
    ],
    ['starts only once', 'starts once', 'a new run after onStop receives again, and uses its own context'],
    [
      'leaks what a failed start has opened',
      'leaks failed starts',
      'a start that fails is told, and onStop after it releases everything',
    ],
    [
      'connects after the stop',
      'connects in the background',
      'a stop while onStart goes on ends it, and onStop releases everything',
    ],
    ['throws plain errors', 'plain errors', 'what goes wrong is told as a SluiceError with component and remedy'],
    [
      'hides that its source broke',
      'hides breaks',
      'a source that breaks in the middle is told, and the next run receives',
    ],
    [
      'ignores the position',
      'ignores the position',
      'E14: a run goes on above the last safe position, without loss and without doubles',
    ],
    ['leaves its promises alone', 'leaves the pump alone', 'no promise is left to reject unhandled at any end'],
  ])('one that %s', async (_what, flaw, rule) => {
    const [result] = await suite([flaw], rule)
    expect(result).toMatchObject({ name: rule, outcome: 'failed' })
  })
})
