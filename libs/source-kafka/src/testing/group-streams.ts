/** The receivers of a stream without a context, as tests drive them. */
import {
  systemClock,
  type DStream,
  type Logger,
  type PackedOptions,
  type Receiver,
  type ReceiverContext,
  type SourcePosition,
} from '@sluice/core'
import { kafkaReceiverStream, type GroupStreams } from '../kafka-receiver-stream.js'
import type { KafkaReceiverStreamOptions } from '../kafka-receiver.config.js'
import type { KafkaRecord } from '../record.js'

/** The receivers that a stream with these options has, and what its listener is told of batches. */
export function receiversOf<K = Buffer, V = Buffer, T = KafkaRecord<K | null, V | null>>(
  options: KafkaReceiverStreamOptions<K, V, T>,
): { readonly receivers: readonly Receiver<T>[]; batchDone(batchTime: number): void } {
  const found: Receiver<T>[] = []
  const listeners: Parameters<GroupStreams['addListener']>[0][] = []
  kafkaReceiverStream(
    {
      receiverStream: <U>(receivers: readonly Receiver<U>[]) => {
        found.push(...(receivers as unknown as readonly Receiver<T>[]))
        return { filter: () => undefined } as unknown as DStream<U>
      },
      addListener: (listener) => listeners.push(listener),
    },
    options,
  )
  return {
    receivers: found,
    batchDone(batchTime) {
      for (const listener of listeners) listener.onBatchCompleted?.({ batchTime } as never)
    },
  }
}

const ignore = (): void => undefined

/** A run of a receiver in the test's hands: what it stores waits while it is held. */
export class HandRun<T> implements ReceiverContext<T> {
  readonly streamId = 0
  readonly clock = systemClock
  readonly logger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
  readonly signal: AbortSignal
  readonly records: T[] = []
  readonly told: string[] = []
  /** Resolved when what is held may be stored. */
  gate: Promise<void> = Promise.resolve()
  /** How many calls wait. */
  waiting = 0
  readonly #controller = new AbortController()
  readonly #receiver: Receiver<T>
  readonly #positions: Map<string, bigint>

  /** `positions` are shared by the receivers of a stream. */
  constructor(receiver: Receiver<T>, positions = new Map<string, bigint>()) {
    this.#receiver = receiver
    this.#positions = positions
    this.signal = this.#controller.signal
  }

  get position(): SourcePosition {
    return Object.fromEntries(this.#positions)
  }

  async start(): Promise<void> {
    await this.#receiver.onStart(this)
  }

  /** As the engine ends a run. */
  async end(): Promise<void> {
    this.#controller.abort(new Error('stopped'))
    await this.#receiver.onStop()
  }

  stop(message = ''): void {
    this.restart(message)
  }

  async storePacked(bytes: Uint8Array, { position = {} }: PackedOptions): Promise<void> {
    this.signal.throwIfAborted()
    this.waiting++
    await this.gate
    this.waiting--
    // The engine, too, tells only the position of what is safe.
    for (const [partition, last] of Object.entries(position)) this.#positions.set(partition, last)
    this.records.push(...(this.#receiver.unpack?.(bytes) ?? []))
  }

  store(): Promise<void> {
    throw new Error('it stores packed bytes')
  }

  storeAll(): Promise<void> {
    throw new Error('it stores packed bytes')
  }

  report(message: string): void {
    this.told.push(message)
  }

  restart(message: string): void {
    this.told.push(`restart: ${message}`)
    this.#controller.abort(new Error('restarts'))
  }
}
