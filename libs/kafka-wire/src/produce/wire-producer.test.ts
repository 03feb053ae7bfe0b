/** A producer against brokers that count sequences as Kafka's do, over connections that lose requests and answers. */
import { seededRandom } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { codecsOf } from '../codecs/codecs.js'
import { brokerRefused, connectionFailed, UNKNOWN_PARTITION } from '../errors.js'
import type { WireCall } from './produce-wire.js'
import type { BrokerLink, Wire } from './wire.js'
import { WireProducer } from './wire-producer.js'
import { WireProducers } from './wire-producers.js'

const REMEMBERED = 5
const TYPES: Readonly<Record<number, string>> = { 6: 'NOT_LEADER_FOR_PARTITION', 45: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }

/** The partition's log, and what its leader remembers of the only producer. */
class Log {
  readonly values: number[] = []
  #next: number | undefined
  #batches: { readonly from: number; readonly to: number }[] = []

  /** Kafka's number of the error. */
  append(sequence: number, values: readonly number[]): number {
    const to = sequence + values.length
    if (this.#batches.some((each) => each.from === sequence && each.to === to)) return 46
    // A broker that knows nothing of the producer takes any number for its first.
    if (this.#next !== undefined && sequence !== this.#next) return 45
    this.#next = to
    this.#batches = [...this.#batches, { from: sequence, to }].slice(-REMEMBERED)
    this.values.push(...values)
    return 0
  }
}

const batchOf = (values: readonly number[]) => {
  const bytes = Buffer.alloc(61 + values.length * 4)
  bytes.writeInt32BE(values.length, 57)
  values.forEach((value, i) => bytes.writeInt32BE(value, 61 + i * 4))
  return { bytes, count: values.length }
}

interface Faults {
  readonly lostRequest: number
  readonly lostAnswer: number
  readonly wrongLeader: number
}

class FakeCluster implements Wire {
  readonly logs = new Map<number, Log>()
  readonly #random: () => number
  readonly #faults: Faults
  #arrivals: Promise<unknown> = Promise.resolve()
  readonly #link: BrokerLink

  constructor(seed: number, faults: Faults) {
    const random = seededRandom(seed)
    this.#random = () => random.next()
    this.#faults = faults
    this.#link = { call: (call) => this.#inOrder(call) }
  }

  readonly failures = { toSluice: (error: unknown) => error as never, typeOf: () => undefined }
  readonly errorOf = (code: number) =>
    brokerRefused({ type: TYPES[code] ?? String(code), doing: 'a test', isRetryable: code === 6 })
  partitionCount = (): Promise<number> => Promise.resolve(3)
  leaders = (_: string, partitions: readonly number[]) => Promise.resolve(new Map([[this.#link, partitions]]))
  coordinator = () => Promise.resolve(this.#link)
  anyBroker = () => Promise.resolve(this.#link)
  forget = () => undefined

  /** Requests of one connection arrive in their order; each may be lost, or its answer. */
  #inOrder<T>(call: WireCall<T>): Promise<T> {
    const done = this.#arrivals.then(() => this.#arrive(call))
    this.#arrivals = done.catch(() => undefined)
    return done
  }

  #arrive<T>({ api, bytes, decode }: WireCall<T>): T {
    if (api.key === 22) return decode(Buffer.concat([Buffer.alloc(6), Buffer.alloc(8, 1), Buffer.alloc(2)]))
    if (this.#random() < this.#faults.lostRequest) throw connectionFailed('a test', 'lost')
    const answers = this.#appendAll(bytes)
    if (this.#random() < this.#faults.lostAnswer) throw connectionFailed('a test', 'lost')
    return decode(answers)
  }

  /** As of version 7: no transactional id, then acks, time-out, one topic `t`, and its partitions. */
  #appendAll(bytes: Buffer): Buffer {
    let at = 2 + 2 + 4 + 4 + 3
    const answers: Buffer[] = []
    for (let left = bytes.readInt32BE(at); left > 0; left--) {
      const partition = bytes.readInt32BE(at + 4)
      const size = bytes.readInt32BE(at + 8)
      answers.push(this.#append(partition, bytes.subarray(at + 12, at + 12 + size)))
      at += 8 + size
    }
    const head = Buffer.from([0, 0, 0, 1, 0, 1, 't'.charCodeAt(0), 0, 0, 0, answers.length])
    return Buffer.concat([head, ...answers, Buffer.alloc(4)])
  }

  #append(partition: number, batch: Buffer): Buffer {
    const log = this.logs.get(partition) ?? new Log()
    this.logs.set(partition, log)
    const values = Array.from({ length: batch.readInt32BE(57) }, (_, i) => batch.readInt32BE(61 + i * 4))
    const isRefused = this.#random() < this.#faults.wrongLeader
    const answer = Buffer.alloc(30)
    answer.writeInt32BE(partition)
    answer.writeInt16BE(isRefused ? 6 : log.append(batch.readInt32BE(53), values), 4)
    return answer
  }
}

it('E22: every record is written once and in order, whichever requests and answers are lost', async () => {
  const share = fc.double({ min: 0, max: 0.4, noNaN: true })
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.record({ lostRequest: share, lostAnswer: share, wrongLeader: share }),
      fc.array(fc.array(fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 12 }), { maxLength: 3 }), {
        maxLength: 4,
      }),
      async (seed, faults, sends) => {
        const cluster = new FakeCluster(seed, faults)
        const clock = new ManualClock(0)
        const producer = new WireProducer({ wire: cluster, clock, timeoutMs: 1e9 })
        await producer.init('classic')
        const wanted: number[][] = [[], [], []]
        let value = 0
        let isDone = false
        const work = (async () => {
          for (const partitions of sends) {
            const queues = partitions.map((counts, partition) => ({
              partition,
              sent: 0,
              batches: counts.map((count) => batchOf(Array.from({ length: count }, () => ++value))),
            }))
            for (const { partition, batches } of queues)
              for (const { bytes, count } of batches)
                for (let i = 0; i < count; i++) wanted[partition]?.push(bytes.readInt32BE(61 + i * 4))
            await producer.send('t', queues, undefined)
          }
        })().finally(() => (isDone = true))
        while (!isDone) await clock.advance(1_000)
        await work
        expect([0, 1, 2].map((partition) => cluster.logs.get(partition)?.values ?? [])).toEqual(wanted)
      },
    ),
    { numRuns: 200 },
  )
})

it('refuses to go on where the log goes on otherwise', async () => {
  const cluster = new FakeCluster(1, { lostRequest: 0, lostAnswer: 0, wrongLeader: 0 })
  const producer = new WireProducer({ wire: cluster, clock: new ManualClock(0), timeoutMs: 1_000 })
  await producer.init('classic')
  const send = (value: number) =>
    producer.send('t', [{ partition: 0, batches: [batchOf([value])], sent: 0 }], undefined)
  await send(1)
  // Somebody else's, under the same id.
  cluster.logs.get(0)?.append(1, [99, 98, 97])
  await expect(send(2)).rejects.toThrow('OUT_OF_ORDER_SEQUENCE_NUMBER')
  expect(cluster.logs.get(0)?.values).toEqual([1, 99, 98, 97])
})

it('waits until brokers have heard of a new topic, and no longer where it does not come', async () => {
  const cluster = new FakeCluster(1, { lostRequest: 0, lostAnswer: 0, wrongLeader: 0 })
  let left = 3
  cluster.partitionCount = () =>
    left-- > 0
      ? Promise.reject(brokerRefused({ type: UNKNOWN_PARTITION, doing: 'a test', isRetryable: false }))
      : Promise.resolve(3)
  const clock = new ManualClock(0)
  const producers = new WireProducers({
    wire: cluster,
    clock,
    codecs: codecsOf(undefined),
    timeoutMs: 30_000,
    dialect: 'classic',
  })
  const producer = producers.make()
  await producers.init(producer)
  const settled = async (newTopicMs?: number): Promise<string> => {
    let result: string | undefined
    const ended = (what: string) => () => void (result = what)
    producers
      .send(producer, 't', [{ partition: 0, value: 'abc' }], { newTopicMs })
      .then(ended('written'), (error: Error) => ended(error.message)())
    while (result === undefined) await clock.advance(100)
    return result
  }
  expect(await settled()).toBe('written')
  left = Infinity
  expect(await settled(1_000)).toMatch(/the broker answered UNKNOWN_TOPIC_OR_PARTITION; create it/)
  expect(cluster.logs.get(0)?.values).toHaveLength(1)
})
