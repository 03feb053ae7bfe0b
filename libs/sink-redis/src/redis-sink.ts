/** The sink for Redis: guard and writes in one script call for each slot and chunk (E1, E8, E18, E19). */
import type { BatchPartitionId, Sink, SinkContext, SinkGuarantee, WriteContext } from '@sluice/core'
import { Connections, type Calls, type Connector } from './connection.js'
import { connectorOf } from './connector.js'
import { durabilityOf } from './durability.js'
import { redisError, requireThat } from './errors.js'
import { guaranteeOf, type Lowered } from './guarantee.js'
import { planKey, type KeyPlan } from './key-template.js'
import { LedgerCalls, ledgerOf, type Ledger, type Refusal, type ReplicaWait } from './ledger.js'
import { Commands, planMode, sizeOf, type Command, type Mode } from './modes.js'
import { checkOptions, DEFAULT_CALL_TIMEOUT_MS, type RedisSinkOptions } from './redis-sink.config.js'
import { requirePermissions } from './permissions.js'
import { slotOf } from './slots.js'

const NAME = 'redis-sink'
/** What one script call takes at most: the server does nothing else meanwhile. */
const CHUNK_BYTES = 2 ** 20
const CHUNK_COMMANDS = 10_000
/** Slots of a cluster that are written to at the same time. */
const SLOTS_AT_ONCE = 64

/**
 * A sink that writes to Redis. However often a batch is run, its effect is there once: each script call writes commands together with a
 * guard that says so. Throws `ARGUMENT_INVALID` for options that make no sense; what is wrong with the server rejects `start()`.
 */
export function redisSink<T>(options: RedisSinkOptions<T>): Sink<T> {
  return new RedisSink(options as RedisSinkOptions<never>)
}

interface Session {
  readonly connections: Connections
  readonly wait: ReplicaWait
}

/** The commands of one slot, and the ledger that lies there. */
interface Group {
  readonly ledger: Ledger
  readonly commands: Command[]
}

class RedisSink implements Sink<unknown> {
  readonly '~sluice' = 'sink/1'
  readonly name = NAME
  readonly target: string
  readonly settledIndexes?: (id: BatchPartitionId) => Promise<readonly number[]>
  readonly #options: RedisSinkOptions<never>
  readonly #connector: Connector
  readonly #mode: Mode
  readonly #key: KeyPlan
  readonly #timeoutMs: number
  /** Whether the keys of a batch may lie in several slots, each with a guard of its own. */
  readonly #hasSlots: boolean
  #lowered: Lowered = { missing: [] }
  #session: Session | undefined

  constructor(options: RedisSinkOptions<never>) {
    checkOptions(options)
    this.#options = options
    this.#connector = connectorOf(options)
    this.#mode = planMode(options)
    this.#key = planKey(options.key, this.#connector.keyPrefix)
    this.#timeoutMs = options.callTimeoutMs ?? DEFAULT_CALL_TIMEOUT_MS
    this.#hasSlots = this.#connector.isCluster && this.#mode.isKeyed && this.#key.fixedSlot === undefined
    this.target = `${options.mode} ${this.#key.label}`
    if (!this.#hasSlots && options.ledger !== false) this.settledIndexes = (id) => this.#settledIndexes(id)
  }

  /** As it is known: `open` looks at the server. */
  get guarantee(): SinkGuarantee {
    return guaranteeOf(this.#options, this.#connector.isOwn, this.#lowered)
  }

  /** A sink may belong to several outputs: each claims its own fence. */
  async open(context: SinkContext): Promise<void> {
    const session = (this.#session ??= {
      connections: new Connections(this.#connector, context.clock, this.#timeoutMs),
      wait: { replicas: this.#options.replicas ?? 0, timeoutMs: Math.ceil(this.#timeoutMs / 2) },
    })
    await session.connections.use(context.signal, async (calls) => {
      const wait = await this.#look(calls, context, session.wait)
      if (this.#session === session) this.#session = { ...session, wait }
      const home = this.#home(context)
      if (this.#options.ledger !== false) await this.#ledgerCalls(calls, wait).claim(home, context)
      await requirePermissions(calls, this.#mode, home.key, this.#key.fixedKey)
    })
  }

  /** Whether the server keeps what it acknowledges. */
  async #look(calls: Calls, { logger }: SinkContext, wait: ReplicaWait): Promise<ReplicaWait> {
    const found = await durabilityOf(calls)
    const { isCluster, missing, evicting, replicas } = found
    requireThat(
      !isCluster || this.#connector.isCluster,
      `${this.#connector.label} is a node of a cluster; name nodes with \`cluster\`, or give a client of the cluster`,
    )
    const problems = [...missing, ...(evicting === undefined ? [] : [evicting])]
    const asked = this.#options.replicas ?? replicas
    if (asked < replicas) problems.push(`only ${String(asked)} of ${String(replicas)} replicas are waited for`)
    requireThat(
      problems.length === 0 || this.#options.unsafe !== 'refuse',
      `the server may lose what it has acknowledged: ${problems.join('; ')}; do so, or allow it with unsafe: 'lower'`,
    )
    this.#lowered = { missing: problems, evicting }
    if (problems.length > 0)
      logger.warn(
        `[${NAME}] ${this.target}: a crash of the server may lose batches that are done: ${problems.join('; ')}`,
      )
    if (!this.#connector.isOwn)
      logger.warn(
        `[${NAME}] ${this.target}: at-least-once, as the given client cannot be duplicated; give one of ioredis or node-redis`,
      )
    return { ...wait, replicas: asked }
  }

  async writePartition(
    id: BatchPartitionId,
    chunks: AsyncIterable<readonly unknown[]>,
    context: WriteContext,
  ): Promise<void> {
    const { connections, wait } = this.#opened()
    const { signal } = context
    signal.throwIfAborted()
    const { commands, chunkSize } = await this.#collect(chunks, context)
    await context.settleRejects()
    await connections.use(signal, async (calls) => {
      const write = new PartitionWrite(this.#ledgerCalls(calls, wait), id, context, chunkSize)
      const home = this.#home(id)
      if (this.#options.ledger === false) await write.blindly(this.#groupsOf(id, commands, home), home)
      else if (this.#hasSlots) await write.slots(this.#groupsOf(id, commands, home), home, commands.length)
      else await write.groups([{ ledger: home, commands: [...commands] }])
    })
    signal.throwIfAborted()
  }

  async #collect(
    chunks: AsyncIterable<readonly unknown[]>,
    { signal, reject, indexes }: WriteContext,
  ): Promise<{ commands: readonly Command[]; chunkSize: number }> {
    const commands = new Commands(this.#mode, this.#key, indexes === undefined)
    let index = 0
    let chunkSize = 1
    for await (const chunk of chunks) {
      signal.throwIfAborted()
      for (const record of chunk) commands.add(record, index++, reject)
      chunkSize = Math.max(chunkSize, chunk.length)
    }
    signal.throwIfAborted()
    return { commands: commands.end(reject), chunkSize: Math.min(chunkSize, CHUNK_COMMANDS) }
  }

  #groupsOf(id: BatchPartitionId, commands: readonly Command[], home: Ledger): Group[] {
    if (!this.#hasSlots) return [{ ledger: home, commands: [...commands] }]
    const groups = new Map<number, Group>()
    for (const command of commands) {
      const slot = slotOf(Buffer.from(command.key))
      const group = groups.get(slot)
      if (group !== undefined) group.commands.push(command)
      else groups.set(slot, { ledger: this.#ledgerIn(id, slot, home), commands: [command] })
    }
    return [...groups.values()]
  }

  /** That of the home slot is one with the home's own: its fence was claimed. */
  #ledgerIn(id: BatchPartitionId, slot: number, home: Ledger): Ledger {
    const ledger = ledgerOf(id, slot, false)
    return ledger.key === home.key ? home : ledger
  }

  /** The one ledger, or of several slots the one that says first whether a partition is to be written. */
  #home(of: { app: string; output: string }): Ledger {
    const inCluster = this.#connector.isCluster ? slotOf(Buffer.from(`${of.app}:${of.output}`)) : undefined
    return ledgerOf(of, this.#key.fixedSlot ?? inCluster, true)
  }

  async #settledIndexes(id: BatchPartitionId): Promise<readonly number[]> {
    const { connections, wait } = this.#opened()
    return connections.use(undefined, (calls) => this.#ledgerCalls(calls, wait).settledIndexes(this.#home(id), id))
  }

  #ledgerCalls(calls: Calls, wait: ReplicaWait): LedgerCalls {
    return new LedgerCalls(calls, this.#mode, wait)
  }

  #opened(): Session {
    if (this.#session !== undefined) return this.#session
    throw redisError('STOPPED', `sink ${this.target} is not open; open it before it is written to`)
  }

  close(): Promise<void> {
    this.#session?.connections.close()
    this.#session = undefined
    return Promise.resolve()
  }
}

/** One try of one partition. */
class PartitionWrite {
  readonly #ledgers: LedgerCalls
  readonly #id: BatchPartitionId
  readonly #context: WriteContext
  readonly #chunkSize: number

  constructor(ledgers: LedgerCalls, id: BatchPartitionId, context: WriteContext, chunkSize: number) {
    this.#ledgers = ledgers
    this.#id = id
    this.#context = context
    this.#chunkSize = chunkSize
  }

  /** Of several slots: their guards know nothing of each other, so the home ledger says whether all is done. */
  async slots(groups: readonly Group[], home: Ledger, total: number): Promise<void> {
    if (await this.#ledgers.mark(home, this.#id, 'begin', total)) return
    await this.groups(groups)
    await this.#ledgers.mark(home, this.#id, 'end', total)
  }

  async groups(groups: readonly Group[]): Promise<void> {
    const refusing: Ledger[] = []
    await atOnce(groups, async ({ ledger, commands }) => {
      const refused = await this.#writeSlot(ledger, commands)
      if (refused.length > 0) refusing.push(ledger)
      this.#reject(commands, refused)
    })
    if (refusing.length === 0) return
    // All at once, and only now: what a dead letter holds is left out of the next run, and would move the others' places (E18).
    await this.#context.settleRejects()
    await atOnce(refusing, (ledger) => this.#ledgers.settle(ledger, this.#id))
  }

  async blindly(groups: readonly Group[], home: Ledger): Promise<void> {
    await atOnce(groups, async ({ commands }) => {
      for (let at = 0; at < commands.length;) {
        const end = this.#endOfChunk(commands, at)
        this.#reject(commands, await this.#ledgers.applyBlindly(commands.slice(at, end), at, home.key))
        at = end
      }
    })
    await this.#context.settleRejects()
  }

  /** What the server refuses, of these and of a run before. */
  async #writeSlot(ledger: Ledger, commands: readonly Command[]): Promise<readonly Refusal[]> {
    const total = commands.length
    const { indexes } = this.#context
    const places = indexes && commands.map(({ indexes: [index = 0] }) => indexes[index] ?? index)
    for (let start = 0; ;) {
      const end = this.#endOfChunk(commands, start)
      const chunk = { commands: commands.slice(start, end), start, total, places: places?.slice(start, end) }
      const { isWhole, count, refused } = await this.#ledgers.apply(ledger, this.#id, chunk)
      if (isWhole) return []
      // What a run before has done is not sent again, but for what was refused then.
      const waiting = refused.find(({ place }) => place >= end)?.place ?? total
      start = places === undefined ? Math.max(end, Math.min(count, waiting)) : end
      if (start >= total) return places === undefined ? refused : refused.map((each) => inList(each, places))
    }
  }

  /** At most as many as the output's `batchSize`, and about a megabyte. */
  #endOfChunk(commands: readonly Command[], from: number): number {
    const last = Math.min(commands.length, from + this.#chunkSize)
    let bytes = 0
    for (let at = from; at < last; at++) {
      const command = commands[at]
      bytes += command === undefined ? 0 : sizeOf(command)
      if (bytes > CHUNK_BYTES && at > from) return at
    }
    return last
  }

  #reject(commands: readonly Command[], refused: readonly Refusal[]): void {
    for (const { place, message } of refused) {
      const problem = `Redis refuses it: ${message}; repair the record, or what its key holds`
      for (const index of commands[place]?.indexes ?? [])
        this.#context.reject(index, redisError('RECORD_REJECTED', problem))
    }
  }
}

/** From an index of dead letters to the place of its command. */
function inList({ place, message }: Refusal, places: readonly number[]): Refusal {
  return { place: places.indexOf(place), message }
}

async function atOnce<V>(values: readonly V[], work: (value: V) => Promise<void>): Promise<void> {
  const rest = values.values()
  const worker = async (): Promise<void> => {
    for (const value of rest) await work(value)
  }
  await Promise.all(Array.from({ length: Math.min(SLOTS_AT_ONCE, values.length) }, worker))
}
