/** A consumer group of the simulated cluster. Whoever waits for others asks again until they are there. */
import type { GroupIdentity, JoinedGroup } from '../adapter.js'
import type { TopicPartition, TopicPartitionOffset } from '../client.js'
import { CODES, refusal } from './codes.js'

export interface JoinRequest {
  readonly topics: readonly string[]
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
}

interface GroupMember extends JoinRequest {
  heardMs: number
  /** It has joined for the next generation. */
  isWaiting: boolean
  generation: number
  /** Of another application; it leads nothing, and is always there. */
  readonly isStranger: boolean
}

const fresh = { isWaiting: true, generation: 0 }

export class SimGroup {
  readonly #nowMs: () => number
  readonly #offsets = new Map<string, TopicPartitionOffset>()
  readonly #members = new Map<string, GroupMember>()
  #generation = 0
  #state: 'stable' | 'joining' | 'syncing' = 'stable'
  #deadlineMs = 0
  #assigned: ReadonlyMap<string, readonly TopicPartition[]> = new Map()
  #names = 0

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  get hasMembers(): boolean {
    return this.#members.size > 0
  }

  /** Gives the member its name. */
  join(memberId: string, request: JoinRequest): string {
    this.#expire()
    if (memberId !== '' && !this.#members.has(memberId)) throw refusal(CODES.unknownMember)
    const name = memberId === '' ? `member ${String(++this.#names)}` : memberId
    this.#members.set(name, { ...request, ...fresh, heardMs: this.#nowMs(), isStranger: false })
    if (this.#state !== 'joining') this.#begin()
    return name
  }

  /** Undefined while others have to join. */
  joined(memberId: string): JoinedGroup | undefined {
    const member = this.#heard(memberId)
    this.#expire()
    if (this.#state === 'joining' && member.isWaiting) {
      if (![...this.#members.values()].every(({ isWaiting }) => isWaiting)) return undefined
      this.#complete()
    }
    // Another round has begun since, or was there without it.
    if (this.#state === 'joining' || member.generation !== this.#generation) throw refusal(CODES.rebalanceInProgress)
    const isLeader = memberId === this.#leader
    const all = [...this.#members].map(([name, { topics }]) => ({ memberId: name, topics }))
    return { memberId, generation: this.#generation, members: isLeader ? all : [] }
  }

  /** Undefined while the leader has not given anything out. */
  sync(
    as: GroupIdentity,
    assigned: ReadonlyMap<string, readonly TopicPartition[]>,
  ): readonly TopicPartition[] | undefined {
    this.#check(as)
    if (this.#state === 'joining') throw refusal(CODES.rebalanceInProgress)
    if (this.#state === 'syncing' && as.memberId === this.#leader) {
      this.#assigned = assigned
      this.#state = 'stable'
    }
    return this.#state === 'stable' ? (this.#assigned.get(as.memberId) ?? []) : undefined
  }

  heartbeat(as: GroupIdentity): void {
    this.#check(as)
    if (this.#state === 'joining') throw refusal(CODES.rebalanceInProgress)
  }

  /** As a member: in the name of its generation, also while the next one gathers. */
  commitAs(as: GroupIdentity, offsets: readonly TopicPartitionOffset[]): void {
    this.#check(as)
    if (this.#state === 'syncing') throw refusal(CODES.rebalanceInProgress)
    this.store(offsets)
  }

  /** As none. */
  commit(offsets: readonly TopicPartitionOffset[]): void {
    this.#expire()
    if (this.hasMembers) throw refusal(CODES.unknownMember)
    this.store(offsets)
  }

  store(offsets: readonly TopicPartitionOffset[]): void {
    for (const each of offsets) this.#offsets.set(nameOf(each), each)
  }

  committed(topic: string, partitions: readonly number[]): readonly TopicPartitionOffset[] {
    return partitions.flatMap((partition) => this.#offsets.get(nameOf({ topic, partition })) ?? [])
  }

  leave(memberId: string): void {
    if (this.#members.delete(memberId) && this.#state !== 'joining') this.#begin()
  }

  /** Another application's consumer comes, and gets its part, of which it reads nothing. */
  addStranger(name: string, topics: readonly string[]): void {
    const never = { sessionTimeoutMs: Infinity, rebalanceTimeoutMs: Infinity }
    this.#members.set(name, { ...never, topics, ...fresh, heardMs: 0, isStranger: true })
    if (this.#state !== 'joining') this.#begin()
  }

  get #leader(): string | undefined {
    return [...this.#members].find(([, { isStranger }]) => !isStranger)?.[0]
  }

  #check({ memberId, generation }: GroupIdentity): void {
    this.#heard(memberId)
    this.#expire()
    if (generation !== this.#generation) throw refusal(CODES.illegalGeneration)
  }

  #heard(memberId: string): GroupMember {
    this.#expire()
    const member = this.#members.get(memberId)
    if (member === undefined) throw refusal(CODES.unknownMember)
    member.heardMs = this.#nowMs()
    return member
  }

  #begin(): void {
    this.#state = 'joining'
    const longest = Math.max(
      ...[...this.#members.values()].map((member) => member.rebalanceTimeoutMs).filter(isFinite),
      0,
    )
    this.#deadlineMs = this.#nowMs() + longest
  }

  #complete(): void {
    this.#state = 'syncing'
    this.#generation++
    this.#assigned = new Map()
    for (const member of this.#members.values()) {
      member.isWaiting = member.isStranger
      member.generation = this.#generation
    }
  }

  /** Who was not heard of, or has not joined again in time, is out. */
  #expire(): void {
    const nowMs = this.#nowMs()
    for (const [name, { heardMs, sessionTimeoutMs, isWaiting }] of this.#members) {
      const isLate = this.#state === 'joining' && !isWaiting && nowMs > this.#deadlineMs
      if (nowMs - heardMs > sessionTimeoutMs || isLate) this.leave(name)
    }
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${String(partition)}`
}
