/** A stream of what receivers push. Each block of a block interval becomes one partition of the batch. */
import { requireArgument, SluiceError } from '../errors.js'
import type { StreamGraph } from '../dstream/graph.js'
import type { ListenerBus } from '../observe/listener.js'
import type { Source } from '../rdd/pipeline.js'
import type { BlockStore } from '../storage/block-store.js'
import { estimateBytes } from '../storage/size-estimate.js'
import type { StorageLevel } from '../storage/storage-level.js'
import type { BatchTime, Duration } from '../time/duration.js'
import { Backoff, requireDelays, type RestartDelays } from './backoff.js'
import { BlockBuffer, type ReceivedBlock } from './block-buffer.js'
import { InputStream, type LoggedPlan, type StreamStart } from './input-stream.js'
import type { InputPlan } from './input.js'
import type { ReceivedJournal } from './journal.js'
import { ReceivedWriter } from './received-writer.js'
import type { Receiver, SourcePosition } from './receiver.js'
import { Positions } from './positions.js'
import { RateLimiter } from './rate-limiter.js'
import { Room } from './room.js'
import { ReceiverSupervisor } from './supervisor.js'

export interface ReceiverStreamOptions {
  readonly name?: string | undefined
  /** Where blocks wait for their batch. Default: `memory-and-disk`. */
  readonly storageLevel?: StorageLevel | undefined
  /**
   * Whether `store` resolves only when the record is in the write-ahead log, so that it survives a crash; with positions, records
   * that come again are cut (E14). Needs a checkpoint. Default: false.
   */
  readonly reliable?: boolean | undefined
  /** How often a block is cut; one task each. Default: 200 ms. */
  readonly blockInterval?: Duration | undefined
  /** Estimated bytes of records that are not yet committed, beyond which `store` waits. Default: 128 MiB. */
  readonly maxHeldBytes?: number | undefined
  /** Records per second of all receivers together, at most. Default: no limit. */
  readonly maxRate?: number | undefined
  /** Pause before a receiver that failed is started again; it doubles with each failure in a row. Default: 2 s. */
  readonly restartDelay?: Duration | undefined
  /** Longest pause. Default: 1 min, or `restartDelay` where that is longer. */
  readonly maxRestartDelay?: Duration | undefined
}

/** What a stream of receivers needs of its context. */
export interface ReceiverEnvironment {
  readonly blocks: BlockStore
  readonly bus: ListenerBus
  readonly stopTimeoutMs: number
}

const DEFAULT_HELD_BYTES = 128 * 2 ** 20

interface PlannedBlock extends ReceivedBlock {
  /** Index of the receiver in its stream. */
  readonly receiver: number
}

interface ReceiverPlan {
  readonly blocks: readonly PlannedBlock[]
}

/** What a restart must know. */
interface ReceiverHead {
  /** Entries of the write-ahead log up to here are planned, or of no use. */
  readonly through: number
  readonly positions: SourcePosition
}

export class ReceiverStream extends InputStream {
  readonly name: string
  readonly #receivers: readonly Receiver<unknown>[]
  readonly #options: ReceiverStreamOptions
  readonly #delays: RestartDelays
  readonly #environment: ReceiverEnvironment
  readonly #room: Room
  readonly #buffers: BlockBuffer[] = []
  readonly #supervisors: ReceiverSupervisor[] = []
  /** Blocks of earlier runs that no batch has planned. */
  #left: PlannedBlock[] = []
  /** Blocks that ended with the process that had received them: they count as empty (E15). */
  readonly #lost = new Set<string>()
  #journal: ReceivedJournal | undefined
  #through = -1
  readonly #positions = new Positions()
  #limiter: RateLimiter | undefined
  #initialRate = Infinity

  constructor(
    graph: StreamGraph,
    id: string,
    streamId: number,
    receivers: readonly Receiver<unknown>[],
    options: ReceiverStreamOptions,
    environment: ReceiverEnvironment,
  ) {
    super(graph, id, streamId)
    requireArgument(
      !(options.maxRate !== undefined && !(options.maxRate > 0)),
      id,
      `maxRate must be above 0, not ${String(options.maxRate)}; leave it out for no limit`,
    )
    this.name = options.name ?? receivers[0]?.name ?? `receiver stream [${String(streamId)}]`
    this.#delays = requireDelays(id, options.restartDelay, options.maxRestartDelay)
    this.#receivers = receivers
    this.#options = options
    this.#environment = environment
    this.#room = new Room(options.maxHeldBytes ?? DEFAULT_HELD_BYTES)
  }

  setRate(recordsPerSecond: number): void {
    if (this.#limiter === undefined) this.#initialRate = recordsPerSecond
    else this.#limiter.setRate(recordsPerSecond)
  }

  get isReplayable(): boolean {
    return this.isReliable
  }

  override get isReliable(): boolean {
    return this.#options.reliable ?? false
  }

  override get needsCheckpoint(): boolean {
    return this.isReliable
  }

  async start(context: StreamStart): Promise<void> {
    this.#resume(context)
    this.#limiter = new RateLimiter(context.clock, this.#initialRate, this.#options.maxRate)
    const limiter = this.#limiter
    for (const [index, receiver] of this.#receivers.entries()) this.#startReceiver(receiver, index, limiter, context)
    await Promise.resolve()
  }

  /** Goes on from what is in the write-ahead log. */
  #resume({ resumed, received, journal }: StreamStart): void {
    const { through = -1, positions = {} } = (resumed?.head ?? {}) as Partial<ReceiverHead>
    this.#through = through
    this.#journal = this.isReliable ? journal : undefined
    this.#positions.resume([...Object.entries(positions), ...(received?.positions ?? [])])
    for (const { id, records, packed, count, sequence } of received?.blocks ?? []) {
      if (sequence <= through) continue
      const bytes = estimateBytes(records)
      void this.#room.take(bytes)
      this.#left.push({ id, records: count, bytes, packed, sequence, receiver: receiverOfBlock(id) })
    }
  }

  #startReceiver(
    receiver: Receiver<unknown>,
    index: number,
    limiter: RateLimiter,
    { clock, logger, epoch }: StreamStart,
  ): void {
    const { blocks, bus, stopTimeoutMs } = this.#environment
    const level = this.#options.storageLevel ?? 'memory-and-disk'
    const journal = this.#journal
    const writer = journal === undefined ? undefined : new ReceivedWriter(this.id, journal)
    const prefix = `${this.id}/${String(index)}/${String(epoch)}`
    const buffer = new BlockBuffer({ prefix, blocks, room: this.#room, level, writer })
    const supervisor = new ReceiverSupervisor(receiver, buffer, {
      streamId: this.streamId,
      name: receiver.name ?? this.name,
      receiver: index,
      clock,
      logger,
      blockIntervalMs: this.#options.blockInterval ?? 200,
      backoff: new Backoff(this.#delays),
      stopTimeoutMs,
      positions: this.#positions,
      flushed: () => Promise.all(this.#buffers.map((each) => each.flushed())),
      isReliable: this.isReliable,
      canUnpack: receiver.unpack !== undefined,
      limiter,
      post: (event, info) => {
        bus.post(event, info)
      },
    })
    this.#buffers.push(buffer)
    this.#supervisors.push(supervisor)
    supervisor.start()
  }

  async stop(): Promise<void> {
    // Stores that wait for room are taken already: they must not wait for batches that will not come.
    this.#room.open()
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.stop()))
  }

  protected async planNext(): Promise<InputPlan<ReceiverPlan>> {
    // What is stored from here on is not durable when the plan is.
    const positions = this.#positions.taken
    const blocks = this.#left
    this.#left = []
    for (const [receiver, buffer] of this.#buffers.entries()) {
      for (const block of await buffer.take()) blocks.push({ ...block, receiver })
    }
    this.#through = blocks.reduce((through, { sequence = -1 }) => Math.max(through, sequence), this.#through)
    const head: ReceiverHead | undefined = this.isReliable ? { through: this.#through, positions } : undefined
    return { data: { blocks }, records: blocks.reduce((sum, block) => sum + block.records, 0), head }
  }

  protected override available({ data, time, isDropped, isCommitted }: LoggedPlan): {
    readonly data: unknown
    readonly lost: number
  } {
    const { blocks } = data as ReceiverPlan
    let lost = 0
    for (const { id, records, bytes } of blocks) {
      // What is committed has given its room back.
      if (!isCommitted) void this.#room.take(bytes)
      if (this.#environment.blocks.has(id)) continue
      // In the write-ahead log it must be: whatever took it away, it does not count as empty by itself (E15).
      if (this.isReliable && !isCommitted && !isDropped) throw missingBlock(this.id, id, time)
      this.#lost.add(id)
      lost += records
    }
    return { data, lost }
  }

  protected sources(data: unknown): readonly Source[] {
    return (data as ReceiverPlan).blocks.map((block) => this.#source(block))
  }

  #source({ id, packed, records, receiver }: PlannedBlock): Source {
    if (this.#lost.has(id)) return { kind: 'records', records: [] }
    if (!packed) return { kind: 'block', id }
    const fn = this.#receivers[receiver]?.unpack ?? noUnpack
    return { kind: 'unpack', operator: this.id, block: id, records, fn }
  }

  protected async committed(data: unknown): Promise<void> {
    for (const { bytes } of (data as ReceiverPlan).blocks) this.#room.give(bytes)
    await Promise.resolve()
  }

  protected forget(data: unknown): void {
    const ids = (data as ReceiverPlan).blocks.map(({ id }) => id)
    for (const id of ids) void this.#environment.blocks.remove(id)
    this.#journal?.release(ids)
  }
}

function missingBlock(id: string, block: string, time: BatchTime): SluiceError {
  return new SluiceError({
    code: 'INPUT_MISSING',
    component: id,
    message:
      `block ${block} of batch ${String(time)} is not in the write-ahead log any more; restore the checkpoint from a copy, ` +
      `or give the records up: sluice-checkpoint amend DIR --batch ${String(time)} --drop ${id}`,
  })
}

/** Ids of blocks are `<stream>/<receiver>/<epoch>/<number>`. */
function receiverOfBlock(id: string): number {
  return Number(id.split('/')[1])
}

/** Stands for the function that a changed program does not have any more. */
function noUnpack(): never {
  throw new SluiceError({
    code: 'ARGUMENT_INVALID',
    component: 'receiverStream',
    message:
      'the block is packed bytes, and its receiver has no unpack to make records of them; give it back its unpack',
  })
}
