/** A checkpoint that is open: the durable log of batches with the state that belongs to it. */
import type { StreamGraph } from '../dstream/graph.js'
import { isSluiceError, SluiceError, toError } from '../errors.js'
import type { Logger } from '../observe/logger.js'
import type { Chunks } from '../rdd/pipeline.js'
import type { Clock } from '../time/clock.js'
import type { BatchTime } from '../time/duration.js'
import type { BatchLog } from './batch-log.js'
import { sliceKey, type DataLog } from './data-log.js'
import { encodeEntry, type BatchEntry, type GraphRecord, type PlanEntry, type StartRecord } from './entries.js'
import type { EntryLog } from './entry-log.js'
import { requireSameOutput, statesOf } from './graph-check.js'
import type { LoggedBatch, LogImage } from './log-image.js'
import { causeOf, type Ownership } from './ownership.js'
import { removeOtherSnapshots, writeSnapshot, type SnapshotPlace } from './snapshots.js'

export interface CheckpointParts {
  readonly graph: StreamGraph
  readonly image: LogImage
  readonly log: EntryLog
  readonly data: DataLog
  readonly ownership: Ownership
  readonly snapshots: SnapshotPlace
  /** The last snapshot, if there is one. */
  readonly snapshotSequence: number | undefined
  /** Its bytes. */
  readonly snapshotBytes: number
  /** Bytes of the log that have to be read besides. */
  readonly loggedBytes: number
  readonly clock: Clock
  readonly logger: Logger
}

/** A snapshot is due when the log since the last one is as large as it was, and at least this. */
const LEAST_LOG_BYTES = 16 * 2 ** 20
/** After each piece of a snapshot it rests for so many times as long as the piece took. */
const REST = 15

export class Checkpoint implements BatchLog {
  readonly isDurable = true
  readonly lastPlanned: BatchTime | undefined
  readonly #parts: CheckpointParts
  /** Slices that were kept for each batch. */
  readonly #slices = new Map<BatchTime, string[]>()
  readonly #closing = new AbortController()
  /** The log up to here is in the state as it is in memory. */
  #committedSequence: number
  #snapshotAt: number
  #snapshotBytes: number
  #snapshotSequence: number | undefined
  #snapshot: Promise<void> | undefined

  constructor(parts: CheckpointParts) {
    this.#parts = parts
    this.lastPlanned = parts.image.lastPlanned
    this.#committedSequence = parts.log.nextSequence - 1
    this.#snapshotAt = -parts.loggedBytes
    this.#snapshotBytes = parts.snapshotBytes
    this.#snapshotSequence = parts.snapshotSequence
  }

  get app(): string {
    return this.#parts.ownership.app
  }

  get epoch(): number {
    return this.#parts.ownership.epoch
  }

  get replaced(): Ownership['replaced'] {
    return this.#parts.ownership.replaced
  }

  get image(): LogImage {
    return this.#parts.image
  }

  /**
   * The program that goes on from here. Where its states are not those of the log, a snapshot is written first: what stands in
   * the log before it is under other ids, of other versions, or given up.
   */
  async begin(record: GraphRecord, changed: boolean): Promise<void> {
    const { clock } = this.#parts
    if (changed) await this.#takeSnapshot(() => clock.yield())
    await this.#append({ type: 'graph', ...record, snapshot: this.#snapshotSequence })
  }

  batch(time: BatchTime): LoggedBatch | undefined {
    const batch = this.#parts.image.batch(time)
    return batch?.isCommitted === true ? undefined : batch
  }

  async plan(record: PlanEntry, startsAtOnce: boolean): Promise<void> {
    const entry: BatchEntry = { type: 'plan', ...record }
    if (startsAtOnce) this.#note(entry)
    else await this.#append(entry)
  }

  async start(record: StartRecord): Promise<void> {
    const before = this.batch(record.time)?.start
    const merged = { ...record, ...mergedStarts(before, record) }
    // What was durable before the restart is so still; but the plan may be no more than noted.
    if (before !== undefined && !hasMore(merged, before)) return
    await this.#append({ type: 'start', ...merged })
    // A next owner that is there already has read the log without this entry: what the batch would write is not its batch.
    await this.#parts.ownership.confirm()
  }

  async startOutput(time: BatchTime, output: string, partitions: number): Promise<void> {
    const batch = this.batch(time)
    if (batch !== undefined) requireSameOutput(batch, output, partitions)
    if (batch?.outputs[output] === partitions) return
    await this.#append({ type: 'output', time, output, partitions })
  }

  done(time: BatchTime, output: string): void {
    this.#note({ type: 'done', time, output })
  }

  async keep(stream: string, time: BatchTime, partition: number, chunks: Chunks): Promise<void> {
    const { data } = this.#parts
    let chunk = 0
    for await (const records of chunks) data.keep({ stream, time, partition, chunk: chunk++ }, records)
    if (chunk === 0) data.keep({ stream, time, partition, chunk }, [])
  }

  async kept(stream: string, time: BatchTime, partitions: number): Promise<void> {
    await this.#parts.data.kept({ stream, time, partitions })
    this.holdSlice(stream, time)
  }

  /** A slice stays until its batch is forgotten. */
  holdSlice(stream: string, time: BatchTime): void {
    const keys = this.#slices.get(time)
    if (keys === undefined) this.#slices.set(time, [sliceKey(stream, time)])
    else keys.push(sliceKey(stream, time))
  }

  async commit(time: BatchTime): Promise<void> {
    const { graph, clock, ownership } = this.#parts
    for (const { id, state } of statesOf(graph)) {
      for (const partition of state.partitions) {
        for (const changes of partition.changes()) {
          this.#noteState({ type: 'state', time, id, ...changes })
          await clock.yield()
        }
      }
    }
    this.#committedSequence = await this.#append({ type: 'commit', time })
    await ownership.confirm()
  }

  causeOf(error: unknown): Promise<Error> {
    return causeOf(error, this.#parts.ownership)
  }

  skip(after: BatchTime, before: BatchTime): void {
    this.#note({ type: 'skip', after, before })
  }

  forget(upTo: BatchTime, plansUpTo: BatchTime): void {
    const { image, data } = this.#parts
    image.forget(plansUpTo)
    for (const [time, keys] of this.#slices) {
      if (time > upTo) continue
      this.#slices.delete(time)
      data.release(keys)
    }
    this.#background()
  }

  #noteState(entry: BatchEntry & { readonly type: 'state' }): void {
    try {
      this.#note(entry)
    } catch (error) {
      if (!isSluiceError(error, 'UNSERIALIZABLE')) throw error
      const message = `the state cannot be kept: ${error.message}; return plain data, dates, Maps and Sets`
      throw new SluiceError({ code: 'UNSERIALIZABLE', component: entry.id, message, cause: error })
    }
  }

  #note(entry: BatchEntry): void {
    const { type, payload } = encodeEntry(entry)
    this.#parts.log.note(type, payload)
    this.#parts.image.apply(entry)
  }

  /** In the image when it is durable. */
  async #append(entry: BatchEntry): Promise<number> {
    const { type, payload } = encodeEntry(entry)
    const { log, image } = this.#parts
    const sequence = await log.append(type, payload)
    image.apply(entry)
    return sequence
  }

  /** Trims what is not needed, and takes a snapshot when it is due. One at a time; the next batch looks again. */
  #background(): void {
    this.#snapshot ??= this.#tidy().then(
      () => {
        this.#snapshot = undefined
      },
      (error: unknown) => {
        // The state is in the log all the same. Where the disk fails, the next append will say so.
        if (!this.#closing.signal.aborted)
          this.#parts.logger.warn(`[checkpoint] no snapshot was made: ${toError(error).message}`)
        this.#snapshot = undefined
      },
    )
  }

  async #tidy(): Promise<void> {
    const { data, log } = this.#parts
    await data.trim()
    // What an object store could not drop before the next entry was there.
    if (this.#snapshotSequence !== undefined) await log.trim(this.#snapshotSequence)
    const logged = log.statistics.bytes - this.#snapshotAt
    if (logged >= Math.max(LEAST_LOG_BYTES, this.#snapshotBytes)) await this.snapshot()
  }

  /** Writes all state down, piece by piece while batches go on, then drops the log before it. */
  async snapshot(): Promise<void> {
    const { clock } = this.#parts
    let worked = clock.monotonic()
    const rest = async (): Promise<void> => {
      const tookMs = clock.monotonic() - worked
      if (tookMs > 0) await clock.sleep(tookMs * REST, this.#closing.signal)
      else await clock.yield()
      this.#closing.signal.throwIfAborted()
      worked = clock.monotonic()
    }
    await this.#takeSnapshot(rest)
  }

  async #takeSnapshot(rest: () => Promise<void>): Promise<void> {
    const { graph, image, log, snapshots, ownership } = this.#parts
    const sequence = this.#committedSequence + 1
    const bytesBefore = log.statistics.bytes
    const states = statesOf(graph).map(({ state }) => state)
    const base = await writeSnapshot(snapshots, sequence, states, () => image.toData(), rest)
    this.#snapshotAt = bytesBefore
    this.#snapshotBytes = base.bytes
    this.#snapshotSequence = sequence
    // Only the owner may drop what the next one would read (E7).
    await ownership.confirm()
    await removeOtherSnapshots(snapshots, sequence)
    await log.trim(sequence)
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the checkpoint is closed'))
    await this.#snapshot
    const { log, data, ownership } = this.#parts
    // Each is closed whatever becomes of the others; the first failure is told.
    const ends = await Promise.allSettled([log.close(), data.close()])
    await ownership.release()
    for (const end of ends) if (end.status === 'rejected') throw toError(end.reason)
  }
}

/** What was fixed before stays; a program that has changed since may add to it. */
function mergedStarts(
  before: StartRecord | undefined,
  { partitions, sideData }: StartRecord,
): Omit<StartRecord, 'time'> {
  return {
    partitions: { ...partitions, ...before?.partitions },
    sideData: { ...sideData, ...before?.sideData },
  }
}

function hasMore(now: StartRecord, before: StartRecord): boolean {
  const size = ({ partitions, sideData }: StartRecord): number =>
    Object.keys(partitions).length + Object.keys(sideData).length
  return size(now) > size(before)
}
