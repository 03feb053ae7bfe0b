/** What a process sees of the simulated cluster: each call is a request to one broker, by what it knows of who leads. */
import type { Adapter, AdapterGroup } from '../adapter.js'
import type { FetchAnswer, FetchRequest, Isolation, NewTopic, TopicMetadata, TopicPartitionOffset } from '../client.js'
import { clientOver } from '../adapted-client.js'
import type { KafkaClient } from '../client.js'
import { toSluice, typeOf } from '../kafkajs/failures.js'
import { errorOfCode } from '../kafkajs/inner.js'
import type { WireCall } from '../produce/produce-wire.js'
import type { BrokerLink, Wire } from '../produce/wire.js'
import type { WireProducer } from '../produce/wire-producer.js'
import { WireProducers } from '../produce/wire-producers.js'
import type { Clock } from '@sluice/core'
import { CODES, refusal } from './codes.js'
import type { Call, SimulatedProcess } from './places.js'
import type { SimBrokers } from './sim-brokers.js'

/** Between questions for what others have to do first. */
const POLL_MS = 100

/** The client itself is the real one. */
export function simulatedClient(brokers: SimBrokers, process: SimulatedProcess): KafkaClient {
  const { clock } = process.options
  if (clock === undefined) throw new TypeError('a simulated process has a clock: give `sim` itself')
  return clientOver({ brokers: ['simulated'], clock }, (parts) => {
    const topics = new KnownLeaders(brokers, process.call)
    const wire = new SimWire(brokers, process.call, topics)
    return adapter({
      brokers,
      call: process.call,
      clock,
      topics,
      producers: new WireProducers({ ...parts, wire, dialect: 'safe' }),
    })
  })
}

interface AdapterPlace {
  readonly brokers: SimBrokers
  readonly call: Call
  readonly clock: Clock
  readonly topics: KnownLeaders
  readonly producers: WireProducers
}

function adapter({ brokers, call, clock, topics, producers }: AdapterPlace): Adapter<WireProducer> {
  return {
    name: 'simulated',
    compression: ['none'],
    failures: { toSluice, typeOf },
    producers,
    areTransactionsSafe: true,
    connect: () => call('Metadata', 'any broker', () => undefined),
    close: () => Promise.resolve(),
    metadata: (names) => call('Metadata', 'any broker', () => brokers.metadata(names)),
    topicSettings: (topic) => call('DescribeConfigs', 'any broker', () => brokers.settings(topic)),
    createTopic: (topic: NewTopic) =>
      call('CreateTopics', 'any broker', () => {
        brokers.create(topic)
      }),
    listOffsets: (topic, partitions, timestampMs, isolation) =>
      topics.listOffsets(topic, partitions, timestampMs, isolation),
    fetch: (request) => fetched(request, topics, clock),
    fetchCommitted: (group, asked) =>
      call('OffsetFetch', group, () =>
        asked.flatMap(({ topic, partitions }) => brokers.group(group).committed(topic, partitions)),
      ),
    commit: (group: string, offsets: readonly TopicPartitionOffset[]) =>
      call('OffsetCommit', group, () => {
        brokers.group(group).commit(offsets)
      }),
    group: (name) => member(brokers, name, call, clock),
    failed: () => {
      topics.forgetAll()
      return Promise.resolve()
    },
    gaveUp: () => Promise.resolve(),
  }
}

/** A broker waits for a first byte; here who asks asks again. */
async function fetched(request: FetchRequest, topics: KnownLeaders, clock: Clock): Promise<FetchAnswer> {
  const late = clock.monotonic() + request.maxWaitMs
  for (;;) {
    const answer = await topics.fetch(request)
    if (answer.records.length > 0 || clock.monotonic() >= late) return answer
    await clock.sleep(POLL_MS, request.signal)
  }
}

function member(brokers: SimBrokers, name: string, call: Call, clock: Clock): AdapterGroup {
  let isClosed = false
  const ask = <T>(what: string, work: () => T): Promise<T> => call(what, name, work)
  /** Until there is an answer. */
  const wait = async <T>(what: string, work: () => T | undefined): Promise<T> => {
    for (;;) {
      const answer = await ask(what, work)
      if (answer !== undefined) return answer
      if (isClosed) throw refusal(CODES.unknownMember)
      await clock.sleep(POLL_MS)
    }
  }
  const group = brokers.group(name)
  return {
    join: async ({ memberId, ...request }) => {
      const named = await ask('JoinGroup', () => group.join(memberId, request))
      return wait('JoinGroup', () => group.joined(named))
    },
    sync: (as, assigned) => wait('SyncGroup', () => group.sync(as, assigned)),
    heartbeat: (as) =>
      ask('Heartbeat', () => {
        group.heartbeat(as)
      }),
    commit: (as, offsets) =>
      ask('OffsetCommit', () => {
        group.commitAs(as, offsets)
      }),
    leave: (memberId) =>
      ask('LeaveGroup', () => {
        group.leave(memberId)
      }),
    close: () => {
      isClosed = true
      return Promise.resolve()
    },
  }
}

/** Who leads, as far as this client knows: it may be wrong by now. */
class KnownLeaders {
  readonly #brokers: SimBrokers
  readonly #call: Call
  readonly #topics = new Map<string, TopicMetadata>()

  constructor(brokers: SimBrokers, call: Call) {
    this.#brokers = brokers
    this.#call = call
  }

  forgetAll(): void {
    this.#topics.clear()
  }

  forget(topic: string): void {
    this.#topics.delete(topic)
  }

  async count(topic: string): Promise<number> {
    return (await this.#known(topic)).partitions.length
  }

  async byLeader(topic: string, partitions: readonly number[]): Promise<Map<number, number[]>> {
    const known = await this.#known(topic)
    const leaders = new Map<number, number[]>()
    for (const partition of partitions) {
      const leader = known.partitions[partition]?.leader
      if (leader === undefined) throw refusal(CODES.unknownPartition)
      if (leader < 0) {
        this.forget(topic)
        throw refusal(CODES.leaderNotAvailable)
      }
      leaders.set(leader, [...(leaders.get(leader) ?? []), partition])
    }
    return leaders
  }

  async fetch(request: FetchRequest): Promise<FetchAnswer> {
    const { topic, partition } = request
    const [leader = -1] = (await this.byLeader(topic, [partition])).keys()
    return this.#call('Fetch', brokerName(leader), () => this.#brokers.led(topic, partition, leader).fetch(request))
  }

  async listOffsets(
    topic: string,
    partitions: readonly number[],
    timestampMs: number,
    isolation: Isolation,
  ): Promise<ReadonlyMap<number, bigint>> {
    const offsets = new Map<number, bigint>()
    for (const [leader, some] of await this.byLeader(topic, partitions)) {
      const found = await this.#call('ListOffsets', brokerName(leader), () =>
        some.map((each) => [each, this.#brokers.led(topic, each, leader).offsetAt(timestampMs, isolation)] as const),
      )
      for (const [partition, offset] of found) offsets.set(partition, offset)
    }
    return offsets
  }

  async #known(topic: string): Promise<TopicMetadata> {
    const known = this.#topics.get(topic)
    if (known !== undefined) return known
    const [found] = await this.#call('Metadata', 'any broker', () => this.#brokers.metadata([topic]))
    if (found === undefined) throw refusal(CODES.unknownPartition)
    this.#topics.set(topic, found)
    return found
  }
}

class SimWire implements Wire {
  readonly failures = { toSluice, typeOf }
  readonly errorOf = errorOfCode
  readonly #topics: KnownLeaders
  readonly #links: readonly BrokerLink[]

  constructor(brokers: SimBrokers, call: Call, topics: KnownLeaders) {
    this.#topics = topics
    const ask = async <T>(broker: number, { api, bytes, decode }: WireCall<T>): Promise<T> => {
      // What is sent must not change while it is under way.
      const sent = Buffer.from(bytes)
      return decode(await call(api.name, brokerName(broker), () => brokers.answer(broker, api.key, sent)))
    }
    this.#links = brokers.numbers.map((broker) => ({ call: (request) => ask(broker, request) }))
  }

  partitionCount(topic: string, atLeast: number): Promise<number> {
    if (atLeast > 1) this.#topics.forget(topic)
    return this.#topics.count(topic)
  }

  async leaders(topic: string, partitions: readonly number[]): Promise<ReadonlyMap<BrokerLink, readonly number[]>> {
    const byLeader = await this.#topics.byLeader(topic, partitions)
    return new Map([...byLeader].map(([leader, some]) => [this.#links[leader] as BrokerLink, some]))
  }

  coordinator(): Promise<BrokerLink> {
    return this.anyBroker()
  }

  anyBroker(): Promise<BrokerLink> {
    return Promise.resolve(this.#links[0] as BrokerLink)
  }

  forget(topic: string): void {
    this.#topics.forget(topic)
  }
}

function brokerName(broker: number): string {
  return `broker ${String(broker)}`
}
