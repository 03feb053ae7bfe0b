/** One run of a receiver: a context that takes, holds or refuses what is stored, and notes what the receiver does. */
import assert from 'node:assert/strict'
import {
  SluiceError,
  type Clock,
  type Logger,
  type PackedOptions,
  type ReceiverContext,
  type SourcePosition,
} from '@sluice/core'
import { silentLogger } from '../suite/checks.js'

/** What the receiver told of itself. */
export interface Told {
  readonly kind: 'report' | 'restart' | 'stop'
  readonly message: string
  readonly error: unknown
}

export interface ReceiverRunParts<T> {
  readonly clock: Clock
  readonly position: SourcePosition
  /** The receiver's, where it has one. */
  readonly unpack: ((bytes: Uint8Array) => readonly T[]) | undefined
  /** Records that are safe, with their position. */
  take(records: readonly T[], position: SourcePosition): void
}

interface Held<T> {
  readonly records: readonly T[]
  readonly position: SourcePosition
  resolve(): void
  reject(error: Error): void
}

export class ReceiverRun<T> implements ReceiverContext<T> {
  readonly streamId = 0
  readonly clock: Clock
  readonly logger: Logger = silentLogger
  readonly signal: AbortSignal
  readonly told: Told[] = []
  /** Calls of `store` and `storeAll` that came after `onStop` had returned. */
  lateStores = 0
  /** The most calls that were pending at the same time. */
  mostPending = 0
  readonly #parts: ReceiverRunParts<T>
  readonly #controller = new AbortController()
  readonly #held: Held<T>[] = []
  #position: SourcePosition
  #mode: 'take' | 'hold' = 'take'
  #refusal: Error | undefined
  #closed = false

  constructor(parts: ReceiverRunParts<T>) {
    this.#parts = parts
    this.#position = parts.position
    this.clock = parts.clock
    this.signal = this.#controller.signal
  }

  get position(): SourcePosition {
    return this.#position
  }

  /** Calls that wait. */
  get pending(): number {
    return this.#held.length
  }

  /** What the receiver ended the run with, if it did. */
  get ends(): readonly Told[] {
    return this.told.filter(({ kind }) => kind !== 'report')
  }

  readonly store = (record: T): Promise<void> => this.#store([record], {})

  readonly storeAll = (
    records: readonly T[],
    { position = {} }: { readonly position?: SourcePosition | undefined } = {},
  ): Promise<void> => this.#store(records, position)

  readonly storePacked = async (bytes: Uint8Array, { records, position = {} }: PackedOptions): Promise<void> => {
    const { unpack } = this.#parts
    assert.ok(unpack !== undefined, 'storePacked needs a receiver that has unpack')
    const unpacked = unpack(bytes)
    assert.equal(unpacked.length, records, 'records is how many records unpack makes of the bytes')
    await this.#store(unpacked, position)
  }

  readonly report = (message: string, error?: unknown): void => {
    this.told.push({ kind: 'report', message, error })
  }

  readonly restart = (message: string, error?: unknown): void => {
    this.#end({ kind: 'restart', message, error })
  }

  readonly stop = (message = '', error?: unknown): void => {
    this.#end({ kind: 'stop', message, error })
  }

  /** From now on stores wait. */
  hold(): void {
    this.#mode = 'hold'
  }

  /** What waits is taken, and from now on all at once. */
  release(): void {
    this.#mode = 'take'
    for (const held of this.#held.splice(0)) {
      this.#take(held.records, held.position)
      held.resolve()
    }
  }

  /** From now on stores are refused, as when the disk is full. */
  refuse(error: Error): void {
    this.#refusal = error
  }

  /** The engine ends the run. What waits was not taken. */
  abort(): void {
    if (this.signal.aborted) return
    this.#controller.abort(stopped())
    for (const held of this.#held.splice(0)) held.reject(stopped())
  }

  /** `onStop` has returned. */
  close(): void {
    this.#closed = true
  }

  async #store(records: readonly T[], position: SourcePosition): Promise<void> {
    if (this.#closed) this.lateStores++
    if (this.signal.aborted) throw stopped()
    if (this.#refusal !== undefined) throw this.#refusal
    const copy = [...records]
    this.mostPending = Math.max(this.mostPending, this.#held.length + 1)
    if (this.#mode === 'take') {
      this.#take(copy, position)
      return
    }
    await new Promise<void>((resolve, reject) => {
      this.#held.push({ records: copy, position, resolve, reject })
    })
  }

  #take(records: readonly T[], position: SourcePosition): void {
    this.#position = { ...this.#position, ...position }
    this.#parts.take(records, position)
  }

  #end(told: Told): void {
    if (this.signal.aborted) return
    this.told.push(told)
    this.abort()
  }
}

function stopped(): SluiceError {
  return new SluiceError({
    code: 'STOPPED',
    component: 'conformance',
    message: 'the receiver has been stopped; the record was not taken',
  })
}
