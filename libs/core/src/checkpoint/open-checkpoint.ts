/** Opens a checkpoint: takes it over, reads what is there, and brings graph and inputs to where the last run ended. */
import type { StreamGraph } from '../dstream/graph.js'
import type { StreamAtTimes } from '../dstream/output.js'
import { SluiceError } from '../errors.js'
import type { InputStream, LoggedPlan } from '../input/input-stream.js'
import type { Logger } from '../observe/logger.js'
import { SourceNode } from '../rdd/lineage.js'
import type { Source } from '../rdd/pipeline.js'
import type { StateOperator } from '../state/state-operator.js'
import type { BlockStore } from '../storage/block-store.js'
import type { FileSystem } from '../storage/file-system.js'
import type { Host } from '../storage/host.js'
import { joinPath } from '../storage/paths.js'
import type { Clock } from '../time/clock.js'
import type { BatchTime } from '../time/duration.js'
import { Checkpoint } from './checkpoint.js'
import { DataLog, DataLogReader, sliceKey, type LoggedSlice } from './data-log.js'
import { decodeEntry, type BatchEntry, type GraphRecord } from './entries.js'
import type { EntryLog, LogEntry, LogOptions } from './entry-log.js'
import { checkGraph, graphRecordOf, heirOf, statesOf, type Concessions, type Program } from './graph-check.js'
import { LogImage, requireBeginning, type LoggedBatch } from './log-image.js'
import { openEntryLog } from './open-log.js'
import { causeOf, takeOwnership, type Ownership } from './ownership.js'
import { readSnapshotBase, readSnapshotParts, removeOtherSnapshots, type SnapshotPlace } from './snapshots.js'

export interface OpenCheckpointOptions extends Program, Concessions {
  readonly fileSystem: FileSystem
  readonly folder: string
  readonly appName: string
  readonly takeOver: boolean
  readonly blocks: BlockStore
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  /** Zero time of a new application. */
  readonly zeroTime: BatchTime
}

/** What an earlier run has left. */
export interface Resumed {
  readonly zeroTime: BatchTime
  readonly lastPlanned: BatchTime | undefined
  readonly lastCommitted: BatchTime | undefined
  /** Planned batches that are not committed, in order: they run again. */
  readonly batches: readonly LoggedBatch[]
  /** Keys in all states. */
  readonly keys: number
  /** What nobody can give again of the batches that run again (E15). */
  readonly lost: readonly { readonly input: InputStream; readonly records: number }[]
}

export interface OpenedCheckpoint {
  readonly checkpoint: Checkpoint
  /** Undefined for a new one. */
  readonly resumed: Resumed | undefined
  readonly data: DataLog
  /** What inputs stored, and how far they were read. */
  readonly received: DataLogReader
  readonly zeroTime: BatchTime
}

export async function openCheckpoint(options: OpenCheckpointOptions): Promise<OpenedCheckpoint> {
  const { fileSystem, folder, appName, clock, logger, host, takeOver } = options
  const ownership = await takeOwnership({ ...host, fileSystem, folder, appName, clock, logger, takeOver })
  const opener = new Opener(options, ownership)
  try {
    return await opener.open()
  } catch (error) {
    const cause = await causeOf(error, ownership)
    await opener.abandon()
    throw cause
  }
}

class Opener {
  readonly #options: OpenCheckpointOptions
  readonly #ownership: Ownership
  #log: EntryLog | undefined
  #dataLog: EntryLog | undefined

  constructor(options: OpenCheckpointOptions, ownership: Ownership) {
    this.#options = options
    this.#ownership = ownership
  }

  async open(): Promise<OpenedCheckpoint> {
    const { fileSystem, graph, logger, clock, host } = this.#options
    const { folder, epoch } = this.#ownership
    const snapshots = { fileSystem, folder: joinPath(folder, 'snapshots') }
    await fileSystem.makeDirectory(snapshots.folder)
    const reader = new BatchLogReader(this.#options, snapshots)
    await reader.readSnapshot()
    const location = (name: string): LogOptions => {
      return { fileSystem, folder: joinPath(folder, name), epoch, logger, writer: host.newIdentity() }
    }
    const log = await openEntryLog(location('batches'), (entry) => {
      reader.add(entry)
    })
    this.#log = log
    const image = reader.end()
    forgetOld(image, this.#options)
    await removeOtherSnapshots(snapshots, reader.snapshotSequence)
    const record = this.#checked(image)
    const before = image.graph
    const isNew = before === undefined
    const changed = before !== undefined && isOther(before, record)
    image.apply({ type: 'graph', ...record })
    const received = new DataLogReader()
    const isNeeded = neededBlocks(image)
    const dataLog = await openEntryLog(location('records'), (entry) => {
      received.add(entry, isNeeded)
    })
    this.#dataLog = dataLog
    const data = new DataLog(dataLog, received.first, () => this.#ownership.confirm())
    const { snapshotSequence, snapshotBytes, loggedBytes } = reader
    const parts = { graph, image, log, data, ownership: this.#ownership, snapshots, clock, logger }
    const checkpoint = new Checkpoint({ ...parts, snapshotSequence, snapshotBytes, loggedBytes })
    const resumed = isNew ? undefined : await this.#resume(image, record.zeroTime, received)
    if (!isNew) await this.#restore(checkpoint, image, received, data)
    await checkpoint.begin(record, changed)
    // Where a next owner has come meanwhile its folder is another one, and what was read and made here was nothing (E7).
    await this.#ownership.confirm()
    return { checkpoint, resumed, data, received, zeroTime: record.zeroTime }
  }

  async abandon(): Promise<void> {
    // The error that led here is the one to be told.
    await this.#log?.close().catch(() => undefined)
    await this.#dataLog?.close().catch(() => undefined)
    await this.#ownership.release().catch(() => undefined)
  }

  #checked(image: LogImage): GraphRecord {
    const { logger, graph } = this.#options
    for (const warning of checkGraph(this.#options, image, this.#options)) logger.warn(`[checkpoint] ${warning}`)
    const before = image.graph
    // With another interval, times are counted anew from the last batch.
    const zeroTime =
      before === undefined
        ? this.#options.zeroTime
        : before.batchIntervalMs === graph.batchInterval
          ? before.zeroTime
          : Math.max(this.#options.zeroTime, image.lastPlanned ?? -Infinity)
    return graphRecordOf(this.#options, zeroTime, this.#options.dropState)
  }

  async #resume(image: LogImage, zeroTime: BatchTime, received: DataLogReader): Promise<Resumed> {
    const { graph, inputs, blocks, logger } = this.#options
    for (const { id, records } of received.blocks()) await blocks.put(id, records, 'memory-and-disk')
    const committed = image.committed.map(({ plan }) => plan.time)
    graph.resume(zeroTime, committed)
    if (image.lastCommitted !== undefined) {
      const known = committed.length > 0 ? committed : [image.lastCommitted]
      for (const stream of graph.streams) stream.resumeAfter(image.lastCommitted)
      for (const stream of graph.states) stream.resume(known, image.isNewState(stream.id))
    }
    const lost: { input: InputStream; records: number }[] = []
    for (const input of inputs) {
      // Of those that cannot be read again the slices are kept that somebody may ask for.
      if (input.isReplayable) input.resumePlans(plansOf(image.committed, input))
      const records = input.resumePlans(plansOf(image.uncommitted, input))
      const unknown = image.batches.filter(({ plan }) => !(input.id in plan.inputs))
      input.resumeWithout(unknown.map(({ plan }) => plan.time).filter((time) => image.isNewInput(input.id, time)))
      if (records > 0) lost.push({ input, records })
    }
    for (const { plan, dropped } of image.uncommitted) {
      if (dropped.length > 0)
        logger.warn(`[checkpoint] batch ${String(plan.time)} runs without ${dropped.join(', ')}: it was amended`)
    }
    const keys = statesOf(graph).reduce((sum, { state }) => sum + state.size, 0)
    const { lastPlanned, lastCommitted, uncommitted: batches } = image
    return { zeroTime, lastPlanned, lastCommitted, batches, keys, lost }
  }

  /** Puts slices back into their streams, and forgets those that nobody can ask for. */
  async #restore(checkpoint: Checkpoint, image: LogImage, received: DataLogReader, data: DataLog): Promise<void> {
    const { graph } = this.#options
    const useless = new Set(received.sliceKeys())
    const streams = new Map(graph.streams.map((stream) => [stream.id, stream]))
    for (const slice of received.slices()) {
      const stream = streams.get(slice.stream) ?? heirOf(graph, slice.stream)
      const batch = image.batch(slice.time)
      // What a batch kept that was not committed it keeps again; but for records that were made durable for just that.
      const isOwn = stream?.isCheckpointed === true && graph.states.every(({ id }) => id !== stream.id)
      const isUseful = batch !== undefined && (batch.isCommitted || isOwn)
      if (!isUseful || stream === undefined) continue
      if (slice.time <= (image.lastCommitted ?? -Infinity) - stream.rememberMs) continue
      await this.#restoreSlice(stream, slice)
      checkpoint.holdSlice(slice.stream, slice.time)
      useless.delete(sliceKey(slice.stream, slice.time))
    }
    data.release(useless)
  }

  async #restoreSlice(stream: StreamAtTimes, { time, partitions }: LoggedSlice): Promise<void> {
    const { blocks } = this.#options
    const sources: Source[] = []
    for (const [index, records] of partitions.entries()) {
      const id = `${sliceKey(stream.id, time)}/${String(index)}`
      await blocks.put(id, records, 'memory-and-disk')
      sources.push({ kind: 'block', id })
    }
    stream.resumeAt(time, new SourceNode(sources))
  }
}

/** What had been forgotten when the last run ended: that is not in the log. */
function forgetOld(image: LogImage, { inputs }: Program): void {
  const keptMs = Math.max(0, ...inputs.map(({ keepPlansMs }) => keepPlansMs))
  if (image.lastCommitted !== undefined) image.forget(image.lastCommitted - keptMs)
}

/** Whether the states in the log are under other ids, of other versions, or given up. */
function isOther({ states: before }: GraphRecord, { states: now, dropped }: GraphRecord): boolean {
  const keysOf = (states: GraphRecord['states']): string =>
    JSON.stringify(states.map(({ id, version }) => [id, version]).sort())
  return keysOf(before) !== keysOf(now) || before.some(({ id }) => dropped.includes(id))
}

function plansOf(batches: readonly LoggedBatch[], { id }: InputStream): LoggedPlan[] {
  return batches
    .filter(({ plan }) => id in plan.inputs)
    .map(({ plan, records, dropped, isCommitted }) => {
      const isDropped = dropped.includes(id)
      return { time: plan.time, data: plan.inputs[id], records: records[id], isDropped, isCommitted }
    })
}

/** Blocks that a batch has planned which may still be asked for, and those that none has planned. */
function neededBlocks(image: LogImage): (block: string, input: string, sequence: number) => boolean {
  const planned = new Set<string>()
  for (const { plan } of image.batches) {
    for (const data of Object.values(plan.inputs)) {
      const { blocks = [] } = (data ?? {}) as { readonly blocks?: readonly { readonly id: string }[] }
      for (const { id } of blocks) planned.add(id)
    }
  }
  return (block, input, sequence) => {
    const { through = -1 } = (image.head(input) ?? {}) as { readonly through?: number }
    return sequence > through || planned.has(block)
  }
}

/** Brings image and states up to the end of the log. */
class BatchLogReader {
  readonly #graph: StreamGraph
  readonly #dropState: readonly string[]
  readonly #place: SnapshotPlace
  #image = new LogImage()
  #pending: { readonly entry: BatchEntry & { readonly type: 'state' }; readonly epoch: number }[] = []
  #settled = false
  /** Versions of the states in what is being read. */
  #versions = new Map<string, number>()
  snapshotSequence: number | undefined
  snapshotBytes = 0
  loggedBytes = 0

  constructor({ graph, dropState }: OpenCheckpointOptions, place: SnapshotPlace) {
    this.#graph = graph
    this.#dropState = dropState
    this.#place = place
  }

  async readSnapshot(): Promise<void> {
    const base = await readSnapshotBase(this.#place)
    if (base === undefined) return
    this.snapshotSequence = base.sequence
    this.snapshotBytes = base.bytes
    this.#image = new LogImage(base.image)
    this.#learn(base.image.graph)
    await readSnapshotParts(this.#place, base, (id) => this.#find(id))
  }

  add({ type, payload, sequence, epoch }: LogEntry): void {
    if (this.snapshotSequence !== undefined && sequence < this.snapshotSequence) return
    this.#settle()
    this.loggedBytes += payload.byteLength
    const entry = decodeEntry(type, payload)
    if (entry === undefined) throw unknownEntry(type)
    requireBeginning(this.#image, entry)
    if (entry.type === 'state') this.#pending.push({ entry, epoch })
    else if (entry.type === 'commit') this.#commit(entry.time, epoch)
    else if (entry.type === 'graph') this.#learn(entry)
    this.#image.apply(entry)
  }

  end(): LogImage {
    this.#settle()
    return this.#image
  }

  #settle(): void {
    if (this.#settled) return
    this.#settled = true
    for (const { state } of statesOf(this.#graph)) state.settle()
  }

  /** Changes count with their commit, and only those of the owner who wrote it: an earlier one may have died before his. */
  #commit(time: BatchTime, epoch: number): void {
    const pending = this.#pending
    this.#pending = []
    for (const { entry, epoch: writer } of pending) {
      if (writer !== epoch || entry.time !== time) continue
      this.#find(entry.id)?.restoreChanges(entry, time, this.#versions.get(entry.id) ?? 0)
    }
  }

  #learn(graph: GraphRecord | undefined): void {
    this.#versions = new Map(graph?.states.map(({ id, version }) => [id, version]))
  }

  #find(id: string): StateOperator | undefined {
    if (this.#dropState.includes(id)) return undefined
    return heirOf(this.#graph, id)?.state
  }
}

function unknownEntry(type: number): SluiceError {
  return new SluiceError({
    code: 'CONTRACT_VERSION',
    component: 'checkpoint',
    message: `the log holds an entry of type ${String(type)}, which this version does not know; start it with the version that wrote it`,
  })
}
