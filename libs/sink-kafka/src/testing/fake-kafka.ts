/** Topics of one partition in memory, with transactions that stay open, lost answers, and a leader that does not know yet what is safe. */
import { SluiceError, systemClock, type Clock } from '@sluice/core'
import type {
  KafkaClient,
  OffsetMoment,
  RangeRequest,
  RecordChunk,
  RecordToProduce,
  Transaction,
  TransactionalProducer,
} from '@sluice/kafka-wire'

interface Pending {
  state: 'open' | 'committed' | 'aborted'
}

interface Entry {
  readonly record: RecordToProduce
  readonly transaction: Pending
}

/** What becomes of a call: nothing unusual, or an error before or after it took effect. */
export type Fate = 'well' | 'lost' | 'answer lost'

interface Owner {
  epoch: number
  open: Pending | undefined
}

export class FakeKafka {
  readonly #topics = new Map<string, Entry[]>()
  readonly #owners = new Map<string, Owner>()
  /** Asked before each call that changes something. */
  fate: (call: string) => Fate = () => 'well'
  /** Waited for before each call that changes something takes effect, and behind that. */
  pause: ((call: string, when: 'before' | 'after') => Promise<void>) | undefined
  #ends = new Map<string, number>()
  #staleAnswers = 0

  rememberEnds(): void {
    this.#ends = new Map([...this.#topics].map(([topic, log]) => [topic, log.length]))
  }

  /** So many questions for the end of a topic are answered by the one that is remembered. */
  answerRemembered(questions: number): void {
    this.#staleAnswers = questions
  }

  committed(topic: string): string[] {
    return this.#log(topic).flatMap(({ record, transaction }) =>
      transaction.state === 'committed' ? [String(record.value)] : [],
    )
  }

  client(): KafkaClient {
    return {
      produce: (topic: string, records: readonly RecordToProduce[]) =>
        this.#call('produce', () => {
          this.#append(topic, records, { state: 'committed' })
        }),
      listOffsets: (topic: string, _: readonly number[], moment: OffsetMoment) =>
        Promise.resolve(new Map([[0, BigInt(this.#offset(topic, moment))]])),
      readRange: (range: RangeRequest) => this.#read(range),
      transactional: (id: string) => Promise.resolve(this.#producer(id)),
    } as unknown as KafkaClient
  }

  #producer(id: string): TransactionalProducer {
    let epoch = 0
    const owner = (): Owner => {
      const own = this.#owners.get(id) as Owner
      if (own.epoch !== epoch) throw new SluiceError({ code: 'FENCED', component: 'fake', message: 'fenced' })
      return own
    }
    return {
      init: () =>
        this.#call('init', () => {
          const before = this.#owners.get(id)
          if (before?.open !== undefined) before.open.state = 'aborted'
          epoch = (before?.epoch ?? 0) + 1
          this.#owners.set(id, { epoch, open: undefined })
        }),
      begin: () => {
        const open: Pending = { state: 'open' }
        owner().open = open
        return Promise.resolve(this.#transaction(open, owner))
      },
      close: () => Promise.resolve(),
    }
  }

  #transaction(open: Pending, owner: () => Owner): Transaction {
    const end = (state: Pending['state']) => () => {
      const own = owner()
      if (own.open === open) open.state = state
      own.open = undefined
    }
    return {
      send: (topic, records) =>
        this.#call('send', () => {
          owner()
          this.#append(topic, records, open)
        }),
      commit: () => this.#call('commit', end('committed')),
      abort: () => this.#call('abort', end('aborted')),
      sendOffsets: () => Promise.reject(new TypeError('not here')),
    }
  }

  async #call(name: string, work: () => void): Promise<void> {
    await this.pause?.(name, 'before')
    const fate = this.fate(name)
    if (fate !== 'lost') work()
    await this.pause?.(name, 'after')
    if (fate !== 'well')
      throw new SluiceError({ code: 'TIMEOUT', component: 'fake', message: `${name} ${fate}`, retryable: true })
    await systemClock.yield()
  }

  #append(topic: string, records: readonly RecordToProduce[], transaction: Pending): void {
    this.#log(topic).push(...records.map((record) => ({ record, transaction })))
  }

  #log(topic: string): Entry[] {
    const log = this.#topics.get(topic) ?? []
    this.#topics.set(topic, log)
    return log
  }

  #offset(topic: string, moment: OffsetMoment): number {
    if (moment === 'earliest') return 0
    const log = this.#log(topic)
    const end = this.#staleAnswers > 0 ? (this.#ends.get(topic) ?? 0) : log.length
    this.#staleAnswers = Math.max(0, this.#staleAnswers - 1)
    return moment === 'latest' ? end : Math.min(end, this.#stableEnd(log))
  }

  #stableEnd(log: readonly Entry[]): number {
    const open = log.findIndex(({ transaction }) => transaction.state === 'open')
    return open < 0 ? log.length : open
  }

  /** Where a real one would wait until its deadline, it fails at once. */
  async *#read({ topic, from, to, isolation = 'committed' }: RangeRequest): AsyncGenerator<RecordChunk> {
    await systemClock.yield()
    const log = this.#log(topic)
    const isCommitted = isolation === 'committed'
    if (to > BigInt(isCommitted ? this.#stableEnd(log) : log.length))
      throw new SluiceError({ code: 'TIMEOUT', component: 'fake', message: 'nothing there yet', retryable: true })
    const found = log
      .map((entry, offset) => ({ ...entry, offset }))
      .slice(Number(from), Number(to))
      .filter(({ transaction }) => !isCommitted || transaction.state === 'committed')
    yield { records: () => new Cursor(found) } as unknown as RecordChunk
  }
}

class Cursor {
  readonly #found: readonly (Entry & { readonly offset: number })[]
  #at = -1

  constructor(found: readonly (Entry & { readonly offset: number })[]) {
    this.#found = found
  }

  next(): boolean {
    return ++this.#at < this.#found.length
  }

  get offset(): bigint {
    return BigInt(this.#found[this.#at]?.offset ?? -1)
  }

  get keyText(): string | null {
    return (this.#found[this.#at]?.record.key ?? null) as string | null
  }

  get valueText(): string | null {
    return (this.#found[this.#at]?.record.value ?? null) as string | null
  }
}

/** Nobody waits: whoever sleeps finds that the time is over. */
export function hastyClock(): Clock {
  let nowMs = 1_000
  return {
    ...systemClock,
    now: () => nowMs,
    monotonic: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms
      await systemClock.yield()
    },
  }
}
