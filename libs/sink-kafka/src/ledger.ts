/**
 * What decides whether a batch partition is applied (E1, E8, E22): a compacted topic with one record for each app, output and
 * partition, written in the transaction of that one's records, and a fence for each app and output. All lies in the topic's first
 * partition: what is read up to its end is the whole of it.
 */
import type { BatchPartitionId, Clock, SinkContext } from '@sluice/core'
import type { KafkaClient, RecordToProduce } from '@sluice/kafka-wire'
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
/** Until a new leader knows where its log is safe. */
const PAUSE_MS = 20
const PARTITION = 0

type LedgerName = number | typeof FENCE | typeof PROBE

/** Of the process. */
let probes = 0

export interface LedgerParts {
  readonly client: KafkaClient
  readonly topic: string
  readonly clock: Clock
  /** How long open transactions of others may keep the ledger's end from being read. */
  readonly deadlineMs: number
}

/** One output's part of the ledger, as far as it has been read. */
export class Ledger {
  readonly entries = new Map<number, LedgerEntry>()
  fence: Fence = { epoch: 0, partitions: 0 }
  readonly #parts: LedgerParts
  readonly #id: Pick<SinkContext, 'app' | 'output' | 'epoch'>
  readonly #prefix: string
  #position: bigint | undefined
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
   * Reads all that was written when this was called, and is committed or will be. Where the topic ends cannot be asked for: a new leader
   * does not know at first how much of its log is safe. So a record of our own is written behind it all, and reading ends there.
   */
  async read(signal: AbortSignal | undefined): Promise<void> {
    const { client, topic, clock, deadlineMs } = this.#parts
    const probe = `${String(this.#id.epoch)} ${String(clock.now())} ${String(++probes)}`
    await client.produce(topic, [this.#record(PROBE, probe)], { signal })
    const late = clock.monotonic() + deadlineMs
    for (this.#seen = undefined; this.#seen !== probe;) {
      if (await this.#readOn(signal)) continue
      if (clock.monotonic() > late) throw this.#unread()
      await clock.sleep(PAUSE_MS, signal)
    }
  }

  /** As far as the topic is known to reach; false where that is no further. */
  async #readOn(signal: AbortSignal | undefined): Promise<boolean> {
    const { client, topic, deadlineMs } = this.#parts
    const partitions = [PARTITION]
    const to = (await client.listOffsets(topic, partitions, 'latest', { signal })).get(PARTITION) ?? 0n
    const from =
      this.#position ?? (await client.listOffsets(topic, partitions, 'earliest', { signal })).get(PARTITION) ?? 0n
    if (to <= from) return false
    for await (const chunk of client.readRange({ topic, partition: PARTITION, from, to, deadlineMs, signal })) {
      const record = chunk.records()
      while (record.next()) this.#take(record.keyText, record.valueText)
    }
    this.#position = to
    return true
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

  #take(key: string | null, value: string | null): void {
    if (key === null || value === null || !key.startsWith(this.#prefix)) return
    const [, , name] = JSON.parse(key) as [string, string, LedgerName]
    if (name === PROBE) this.#seen = JSON.parse(value) as string
    else if (name === FENCE) this.fence = JSON.parse(value) as Fence
    else this.entries.set(name, JSON.parse(value) as LedgerEntry)
  }

  #unread(): Error {
    return sinkError(
      'TIMEOUT',
      `what was written to the ledger topic ${this.topic} cannot be read; was it made anew meanwhile? Then start the application again`,
      { retryable: true },
    )
  }
}

/** Whether to apply a partition. Throws `FENCED` or `IDENTITY_CONFLICT`. */
export function decide(id: BatchPartitionId, { entries, newest, fence }: Ledger): 'apply' | 'applied' {
  if (fence.epoch !== id.epoch) throw fenced(id, fence.epoch)
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
export function checkOpen(context: SinkContext, { fence, newest, topic }: Ledger): void {
  const { output, epoch, lastPlanned } = context
  if (fence.epoch > epoch) throw fenced(context, fence.epoch)
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
