/**
 * What decides whether a batch partition is applied (E1, E8, E22): a compacted topic with one record for each app, output and
 * partition, written in the transaction of that one's records, and a fence for each app and output. All lies in the topic's first
 * partition: what is read up to its end is the whole of it.
 */
import type { BatchPartitionId, Clock, SinkContext } from '@sluice/core'
import type { Isolation, KafkaClient, RecordToProduce } from '@sluice/kafka-wire'
import { fenced, sinkError } from './errors.js'

/** What is known of a partition that was written. */
export interface LedgerEntry {
  readonly batchTime: number
  readonly partitions: number
  readonly planDigest: string
  readonly epoch: number
  /** Of dead letters: their indexes in the partition that they come from. */
  readonly indexes?: readonly number[] | undefined
}

/** Who owns the output, and how many partitions it may have written. */
export interface Fence {
  readonly epoch: number
  readonly partitions: number
}

const FENCE = 'fence'
const PROBE = 'probe'
/** Between looks at what is not there yet. */
const PAUSE_MS = 20
const PARTITION = 0

type LedgerName = number | typeof FENCE | typeof PROBE

/** Of the process. */
let probes = 0

export interface LedgerParts {
  readonly client: KafkaClient
  readonly topic: string
  readonly clock: Clock
  /** How long a transaction may keep what lies before its end from being read. */
  readonly deadlineMs: number
}

/** One output's part of the ledger, as far as it has been read. */
export class Ledger {
  /** What is committed. */
  readonly entries = new Map<number, LedgerEntry>()
  /** The most that any fence has said, committed or not: nobody claims an epoch that is not theirs. */
  claim: Fence = { epoch: 0, partitions: 0 }
  readonly #parts: LedgerParts
  readonly #id: Pick<SinkContext, 'app' | 'output' | 'epoch'>
  readonly #prefix: string
  /** Up to where committed records have been read. */
  #position: bigint | undefined
  /** Behind the last entry of each partition that was seen, committed or not. */
  readonly #ends = new Map<number, bigint>()
  #seen: string | undefined

  constructor(parts: LedgerParts, { app, output, epoch }: Pick<SinkContext, 'app' | 'output' | 'epoch'>) {
    this.#parts = parts
    this.#id = { app, output, epoch }
    this.#prefix = JSON.stringify([app, output]).slice(0, -1)
  }

  get topic(): string {
    return this.#parts.topic
  }

  /**
   * Looks at all that was written when this was called, waiting for no transaction: who claims the output, and what of it is committed so
   * far. Where the topic ends cannot be asked for: a new leader does not know at first how much of its log is safe. So a record of our
   * own is written behind it all, and reading ends there.
   */
  async look(signal: AbortSignal | undefined): Promise<void> {
    const probe = `${String(this.#id.epoch)} ${String(this.#parts.clock.now())} ${String(++probes)}`
    this.#seen = undefined
    await this.#parts.client.produce(this.topic, [this.#record(PROBE, probe)], { signal })
    await this.#readCommitted(signal)
    let from = this.#position as bigint
    await this.#until(signal, async () => {
      if (this.#seen === probe) return true
      const to = await this.#offset('latest', signal)
      await this.#readOn({ from, to, isolation: 'uncommitted' }, signal, (name, value, offset) => {
        this.#note(name, value, offset)
      })
      if (to > from) from = to
      return this.#seen === probe
    })
  }

  /**
   * Looks, and waits until the entries that were written when this was called, of one partition or of all, are committed or undone. What
   * others have open behind these is nothing to wait for.
   */
  async read(partition: number | 'all', signal: AbortSignal | undefined): Promise<void> {
    await this.look(signal)
    const ends = partition === 'all' ? [...this.#ends.values()] : [this.#ends.get(partition) ?? 0n]
    const isRead = (): boolean => ends.every((end) => end <= (this.#position as bigint))
    await this.#until(signal, async () => {
      if (!isRead()) await this.#readCommitted(signal)
      return isRead()
    })
  }

  /** Takes down what was committed. An entry that is older than the one that is known is not news: it was read late. */
  take(partition: number, entry: LedgerEntry): void {
    const known = this.entries.get(partition)
    const isOld = known !== undefined && (entry.batchTime - known.batchTime || countOf(entry) - countOf(known)) < 0
    if (!isOld) this.entries.set(partition, entry)
  }

  /** As far as nobody can undo it any more. */
  async #readCommitted(signal: AbortSignal | undefined): Promise<void> {
    const from = this.#position ?? (await this.#offset('earliest', signal))
    const to = await this.#offset('last-stable', signal)
    await this.#readOn({ from, to, isolation: 'committed' }, signal, (name, value, offset) => {
      this.#note(name, value, offset)
      if (typeof name === 'number') this.take(name, JSON.parse(value) as LedgerEntry)
    })
    this.#position = to > from ? to : from
  }

  async #readOn(
    range: { readonly from: bigint; readonly to: bigint; readonly isolation: Isolation },
    signal: AbortSignal | undefined,
    use: (name: LedgerName, value: string, offset: bigint) => void,
  ): Promise<void> {
    if (range.to <= range.from) return
    const { client, topic, deadlineMs } = this.#parts
    for await (const chunk of client.readRange({ topic, partition: PARTITION, deadlineMs, signal, ...range })) {
      const record = chunk.records()
      while (record.next()) {
        const { keyText: key, valueText: value } = record
        if (key === null || value === null || !key.startsWith(this.#prefix)) continue
        const [, , name] = JSON.parse(key) as [string, string, LedgerName]
        use(name, value, record.offset)
      }
    }
  }

  async #offset(moment: 'earliest' | 'latest' | 'last-stable', signal: AbortSignal | undefined): Promise<bigint> {
    const { client, topic } = this.#parts
    return (await client.listOffsets(topic, [PARTITION], moment, { signal })).get(PARTITION) ?? 0n
  }

  async #until(signal: AbortSignal | undefined, isDone: () => Promise<boolean>): Promise<void> {
    const { clock, deadlineMs } = this.#parts
    const late = clock.monotonic() + deadlineMs
    while (!(await isDone())) {
      if (clock.monotonic() > late) throw this.#unread()
      await clock.sleep(PAUSE_MS, signal)
    }
  }

  /** The entry with the latest time of all partitions: batches never overlap (E2). */
  get newest(): LedgerEntry | undefined {
    let newest: LedgerEntry | undefined
    for (const entry of this.entries.values()) {
      if (newest === undefined || entry.batchTime > newest.batchTime) newest = entry
    }
    return newest
  }

  entryRecord(partition: number, entry: LedgerEntry): RecordToProduce {
    return this.#record(partition, entry)
  }

  fenceRecord(fence: Fence): RecordToProduce {
    return this.#record(FENCE, fence)
  }

  #record(name: LedgerName, value: object | string): RecordToProduce {
    const { app, output } = this.#id
    return { partition: PARTITION, key: JSON.stringify([app, output, name]), value: JSON.stringify(value) }
  }

  #note(name: LedgerName, value: string, offset: bigint): void {
    if (name === PROBE) this.#seen = JSON.parse(value) as string
    else if (name === FENCE) this.claim = largerOf(this.claim, JSON.parse(value) as Fence)
    else if (offset >= (this.#ends.get(name) ?? 0n)) this.#ends.set(name, offset + 1n)
  }

  #unread(): Error {
    return sinkError(
      'TIMEOUT',
      `what was written to the ledger topic ${this.topic} cannot be read; was it made anew meanwhile? Then start the application again`,
      { retryable: true },
    )
  }
}

/** A batch's dead letters are written bit by bit. */
function countOf({ indexes = [] }: LedgerEntry): number {
  return indexes.length
}

function largerOf(a: Fence, b: Fence): Fence {
  return { epoch: Math.max(a.epoch, b.epoch), partitions: Math.max(a.partitions, b.partitions) }
}

/** Whether to apply a partition. Throws `FENCED` or `IDENTITY_CONFLICT`. */
export function decide(id: BatchPartitionId, { entries, newest, claim }: Ledger): 'apply' | 'applied' {
  if (claim.epoch > id.epoch) throw fenced(id, claim.epoch)
  const own = entries.get(id.partition)
  if (own !== undefined && isSameBatch(own, id)) return 'applied'
  for (const entry of [own, newest]) {
    if (entry === undefined || entry.batchTime < id.batchTime || isSameBatch(entry, id)) continue
    throw conflict(id, entry)
  }
  return 'apply'
}

export function isSameBatch(entry: LedgerEntry, id: BatchPartitionId): boolean {
  return entry.batchTime === id.batchTime && entry.planDigest === id.planDigest && entry.partitions === id.partitions
}

/** Throws `FENCED` when a newer owner has been there, and `LOG_BEHIND_SINK` when the ledger is ahead of the log. */
export function checkOpen(context: SinkContext, { claim, newest, topic }: Ledger): void {
  const { output, epoch, lastPlanned } = context
  if (claim.epoch > epoch) throw fenced(context, claim.epoch)
  if (newest === undefined || (lastPlanned !== undefined && newest.batchTime <= lastPlanned)) return
  const last = lastPlanned === undefined ? 'has no batch' : `ends with batch ${String(lastPlanned)}`
  throw sinkError(
    'LOG_BEHIND_SINK',
    `output ${output} has written batch ${String(newest.batchTime)}, and the log ${last}; restore the log that belongs to the ledger in ${topic}, or write to another topic`,
  )
}

function conflict({ output, batchTime, partition }: BatchPartitionId, entry: LedgerEntry) {
  const what =
    entry.batchTime === batchTime ? 'with another plan or partition count' : `and now ${String(batchTime)} comes`
  return sinkError(
    'IDENTITY_CONFLICT',
    `output ${output} has written batch ${String(entry.batchTime)}, ${what} (partition ${String(partition)}); was the clock set back, or a backup restored?`,
  )
}
