/** A stream of what receivers push. Each block of a block interval becomes one partition of the batch. */
import { SluiceError } from '../errors.js'
import type { StreamGraph } from '../dstream/graph.js'
import type { ListenerBus } from '../observe/listener.js'
import type { Source } from '../rdd/pipeline.js'
import type { BlockStore } from '../storage/block-store.js'
import type { StorageLevel } from '../storage/storage-level.js'
import type { Duration } from '../time/duration.js'
import { BlockBuffer, type ReceivedBlock } from './block-buffer.js'
import { InputStream } from './input-stream.js'
import type { InputContext, InputPlan } from './input.js'
import type { Receiver } from './receiver.js'
import { Room } from './room.js'
import { ReceiverSupervisor } from './supervisor.js'

export interface ReceiverStreamOptions {
  readonly name?: string | undefined
  /** Where blocks wait for their batch. Default: `memory-and-disk`. */
  readonly storageLevel?: StorageLevel | undefined
  /** How often a block is cut; one task each. Default: 200 ms. */
  readonly blockInterval?: Duration | undefined
  /** Estimated bytes of records that are not yet committed, beyond which `store` waits. Default: 128 MiB. */
  readonly maxHeldBytes?: number | undefined
  /** Pause before a receiver that failed is started again. Default: 2 s. */
  readonly restartDelay?: Duration | undefined
}

/** What a stream of receivers needs of its context. */
export interface ReceiverEnvironment {
  readonly blocks: BlockStore
  readonly bus: ListenerBus
  readonly stopTimeoutMs: number
}

const DEFAULT_HELD_BYTES = 128 * 2 ** 20

interface ReceiverPlan {
  readonly blocks: readonly ReceivedBlock[]
}

export class ReceiverStream extends InputStream {
  readonly name: string
  readonly #receivers: readonly Receiver<unknown>[]
  readonly #options: ReceiverStreamOptions
  readonly #environment: ReceiverEnvironment
  readonly #room: Room
  readonly #buffers: BlockBuffer[] = []
  readonly #supervisors: ReceiverSupervisor[] = []
  readonly #positions = new Map<string, bigint>()

  constructor(
    graph: StreamGraph,
    id: string,
    streamId: number,
    receivers: readonly Receiver<unknown>[],
    options: ReceiverStreamOptions,
    environment: ReceiverEnvironment,
  ) {
    super(graph, id, streamId)
    receivers.forEach(requireReceiver)
    this.name = options.name ?? receivers[0]?.name ?? `receiver stream [${String(streamId)}]`
    this.#receivers = receivers
    this.#options = options
    this.#environment = environment
    this.#room = new Room(options.maxHeldBytes ?? DEFAULT_HELD_BYTES)
  }

  async start(context: InputContext): Promise<void> {
    for (const [index, receiver] of this.#receivers.entries()) this.#startReceiver(receiver, index, context)
    await Promise.resolve()
  }

  #startReceiver(receiver: Receiver<unknown>, index: number, { clock, logger }: InputContext): void {
    const { blocks, bus, stopTimeoutMs } = this.#environment
    const level = this.#options.storageLevel ?? 'memory-and-disk'
    const buffer = new BlockBuffer(`input-${String(this.streamId)}-${String(index)}`, blocks, this.#room, level)
    const supervisor = new ReceiverSupervisor(receiver, buffer, {
      streamId: this.streamId,
      name: receiver.name ?? this.name,
      receiver: index,
      clock,
      logger,
      blockIntervalMs: this.#options.blockInterval ?? 200,
      restartDelayMs: this.#options.restartDelay ?? 2_000,
      stopTimeoutMs,
      positions: this.#positions,
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
    const blocks: ReceivedBlock[] = []
    for (const buffer of this.#buffers) blocks.push(...(await buffer.take()))
    return { data: { blocks }, records: blocks.reduce((sum, block) => sum + block.records, 0) }
  }

  protected sources(data: unknown): readonly Source[] {
    return (data as ReceiverPlan).blocks.map(({ id }) => ({ kind: 'block', id }))
  }

  protected async committed(data: unknown): Promise<void> {
    for (const { bytes } of (data as ReceiverPlan).blocks) this.#room.give(bytes)
    await Promise.resolve()
  }

  protected forget(data: unknown): void {
    for (const { id } of (data as ReceiverPlan).blocks) void this.#environment.blocks.remove(id)
  }
}

function requireReceiver(receiver: Receiver<unknown>): void {
  const version: unknown = (receiver as Partial<Receiver<unknown>> | undefined)?.['~sluice']
  if (version === 'receiver/1') return
  throw new SluiceError({
    code: 'CONTRACT_VERSION',
    component: 'receiverStream',
    message: `the receiver says it is '${String(version)}', and this core knows 'receiver/1'; give an object with '~sluice': 'receiver/1', onStart and onStop`,
  })
}
