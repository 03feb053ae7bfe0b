/** A member of a consumer group: joins, sends heartbeats by itself, commits in the name of one generation, leaves. */
import { isSluiceError, SluiceError } from '@sluice/core'
import type { Clock } from '@sluice/core'
import type { AdapterGroup, Failures, GroupIdentity } from '../adapter.js'
import type {
  CallOptions,
  GroupGeneration,
  GroupMember,
  GroupMemberOptions,
  KafkaClient,
  TopicMetadata,
  TopicPartition,
  TopicPartitionOffset,
} from '../client.js'
import { brokerRefused, COMPONENT, stopped } from '../errors.js'
import { assignPartitions } from './group-assignment.js'
import type { GroupSubscription } from './group-assignment.js'
import { within, withRetries } from '../waiting.js'

export interface MemberParts {
  readonly group: AdapterGroup
  readonly clock: Clock
  readonly timeoutMs: number
  readonly failures: Failures
  readonly metadata: KafkaClient['metadata']
}

const SESSION_TIMEOUT_MS = 30_000
const REBALANCE_TIMEOUT_MS = 60_000
const MOST_HEARTBEAT_MS = 3_000
const HEARTBEATS_A_SESSION = 10
/** How often the leader looks whether topics have got partitions. */
const LOOK_MS = 10_000
/** How long a member waits at its end for what is under way. */
const LEAVE_MS = 5_000

const REBALANCING = 'REBALANCE_IN_PROGRESS'
const UNKNOWN_MEMBER = 'UNKNOWN_MEMBER_ID'
/** The group goes on without the member. */
const OUT = new Set([UNKNOWN_MEMBER, 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID'])

interface Limits {
  readonly topics: readonly string[]
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly heartbeatMs: number
}

/** What the leader has given out. */
interface Given {
  readonly topics: readonly string[]
  readonly counts: string
}

export class Member implements GroupMember {
  readonly #parts: MemberParts
  readonly #limits: Limits
  readonly #doing: string
  readonly #left = new AbortController()
  #memberId = ''
  #generation: Generation | undefined
  #joining: Promise<unknown> = Promise.resolve()

  constructor(options: GroupMemberOptions, parts: MemberParts) {
    const { group, topics, sessionTimeoutMs = SESSION_TIMEOUT_MS, rebalanceTimeoutMs = REBALANCE_TIMEOUT_MS } = options
    const heartbeatMs = options.heartbeatMs ?? Math.min(MOST_HEARTBEAT_MS, sessionTimeoutMs / HEARTBEATS_A_SESSION)
    this.#parts = parts
    this.#limits = { topics, sessionTimeoutMs, rebalanceTimeoutMs, heartbeatMs }
    this.#doing = `joining group ${group}`
  }

  async join({ signal, timeoutMs }: CallOptions = {}): Promise<GroupGeneration> {
    if (this.#left.signal.aborted) throw stopped('this member of a group')
    this.#generation?.close()
    const { clock } = this.#parts
    const limits = {
      clock,
      signal: signal === undefined ? this.#left.signal : AbortSignal.any([signal, this.#left.signal]),
      timeoutMs: timeoutMs ?? this.#limits.rebalanceTimeoutMs + this.#parts.timeoutMs,
      doing: this.#doing,
    }
    return within(
      limits,
      withRetries(limits, () => {
        const attempt = this.#attempt()
        this.#joining = attempt.catch(() => undefined)
        return attempt
      }),
    )
  }

  async leave(): Promise<void> {
    if (this.#left.signal.aborted) return
    this.#left.abort(stopped('this member of a group'))
    this.#generation?.close()
    const { clock, group } = this.#parts
    const limits = { clock, timeoutMs: LEAVE_MS, signal: undefined, doing: 'leaving a group' }
    const leaving = async (): Promise<void> => {
      // What joins when nobody wants it any more would hold its partitions until its session is over.
      await this.#joining
      if (this.#memberId !== '') await group.leave(this.#memberId)
    }
    await within(limits, leaving()).catch(() => undefined)
    await group.close(stopped('this member of a group'))
  }

  async #attempt(): Promise<Generation> {
    const { group, failures } = this.#parts
    try {
      const joined = await group.join({ ...this.#limits, memberId: this.#memberId })
      this.#memberId = joined.memberId
      const topics = await this.#topicsOf(joined.members)
      const partitions = await group.sync(joined, assignPartitions(joined.members, topics))
      const given = joined.members.length === 0 ? undefined : givenOf(topics)
      const generation = new Generation(joined, partitions, { ...this.#parts, ...this.#limits, given })
      this.#generation = generation
      if (!this.#left.signal.aborted) void generation.beat()
      return generation
    } catch (error) {
      const type = failures.typeOf(error)
      if (type === UNKNOWN_MEMBER) this.#memberId = ''
      if (type !== undefined && (type === REBALANCING || OUT.has(type))) {
        throw brokerRefused({ type, doing: this.#doing, isRetryable: true, cause: error })
      }
      throw failures.toSluice(error, this.#doing)
    }
  }

  /** Others may ask for topics that are not there: theirs is the trouble. */
  async #topicsOf(members: readonly GroupSubscription[]): Promise<readonly TopicMetadata[]> {
    const topics = [...new Set(members.flatMap((member) => member.topics))]
    return topics.length === 0 ? [] : existing(topics, this.#parts.metadata)
  }
}

/** All together where all are there, which is cheaper. */
async function existing(topics: readonly string[], metadata: KafkaClient['metadata']) {
  try {
    return await metadata(topics, { newTopicMs: 0 })
  } catch (error) {
    if (!isSluiceError(error, 'BROKER_REFUSED')) throw error
    return (await metadata(/./)).filter(({ topic }) => topics.includes(topic))
  }
}

function givenOf(topics: readonly TopicMetadata[]): Given {
  return {
    topics: topics.map(({ topic }) => topic),
    counts: topics.map(({ topic, partitions }) => `${topic} ${String(partitions.length)}`).join(),
  }
}

type GenerationParts = MemberParts & Limits & { readonly given: Given | undefined }

class Generation implements GroupGeneration {
  readonly partitions: readonly TopicPartition[]
  readonly signal: AbortSignal
  readonly #as: GroupIdentity
  readonly #parts: GenerationParts
  readonly #ended = new AbortController()
  /** No heartbeats any more. */
  readonly #closed = new AbortController()
  #heardMs: number
  #lookedMs: number

  constructor(as: GroupIdentity, partitions: readonly TopicPartition[], parts: GenerationParts) {
    this.#as = as
    this.partitions = partitions
    this.#parts = parts
    this.signal = this.#ended.signal
    this.#heardMs = this.#lookedMs = parts.clock.monotonic()
  }

  async commit(offsets: readonly TopicPartitionOffset[], { signal, timeoutMs }: CallOptions = {}): Promise<void> {
    const { clock, group, failures } = this.#parts
    const doing = 'committing offsets as a member'
    const limits = { clock, signal, timeoutMs: timeoutMs ?? this.#parts.timeoutMs, doing }
    const work = withRetries(limits, async () => {
      if (this.#closed.signal.aborted) throw ended('the group has given its partitions out anew')
      try {
        await group.commit(this.#as, offsets)
      } catch (error) {
        const type = failures.typeOf(error)
        const isOver = type !== undefined && (type === REBALANCING || OUT.has(type))
        if (isOver) this.#end(`its commit was refused (${type})`)
        throw isOver
          ? brokerRefused({ type, doing, isRetryable: false, cause: error })
          : failures.toSluice(error, doing)
      }
    })
    await within(limits, work)
  }

  /** Ends it for good: another one follows, or none. */
  close(): void {
    this.#end('the member has left it')
    this.#closed.abort()
  }

  async beat(): Promise<void> {
    const { clock, heartbeatMs } = this.#parts
    while (!this.#closed.signal.aborted) {
      await clock.sleep(heartbeatMs, this.#closed.signal).catch(() => undefined)
      if (this.#closed.signal.aborted) return
      await this.#beatOnce()
      await this.#look().catch(() => undefined)
    }
  }

  async #beatOnce(): Promise<void> {
    const { clock, group, failures, sessionTimeoutMs } = this.#parts
    const limits = { clock, timeoutMs: sessionTimeoutMs / 2, signal: this.#closed.signal, doing: 'a heartbeat' }
    try {
      await within(limits, group.heartbeat(this.#as))
      this.#heardMs = clock.monotonic()
    } catch (error) {
      const type = failures.typeOf(error) ?? ''
      if (type === REBALANCING) {
        this.#heardMs = clock.monotonic()
        this.#end('its partitions are given out anew')
      } else if (OUT.has(type)) this.#endAlone(`it goes on without this member (${type})`)
      else if (clock.monotonic() - this.#heardMs > sessionTimeoutMs) this.#endAlone('its coordinator is silent')
    }
  }

  /** The leader sees to it that new partitions are given out: the others wait for its joining again. */
  async #look(): Promise<void> {
    const { clock, given, metadata } = this.#parts
    if (given === undefined || this.signal.aborted || clock.monotonic() - this.#lookedMs < LOOK_MS) return
    this.#lookedMs = clock.monotonic()
    const now = givenOf(await existing(given.topics, metadata))
    if (now.counts !== given.counts) this.#end('its topics have got other partitions')
  }

  #endAlone(why: string): void {
    this.#end(why)
    this.#closed.abort()
  }

  #end(why: string): void {
    if (!this.signal.aborted) this.#ended.abort(ended(why))
  }
}

function ended(why: string): SluiceError {
  const message = `this generation of the group has ended, as ${why}; join again`
  return new SluiceError({ code: 'ABORTED', component: COMPONENT, message })
}
