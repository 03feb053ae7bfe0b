/**
 * Group commit: entries that arrive while others are being made durable wait together, and one write and one sync serve them
 * all. Both layouts of the log are stores of groups below this.
 */
import { requireArgument, SluiceError, toError } from '../errors.js'
import type { EntryLog } from './entry-log.js'
import { LARGEST_PAYLOAD_BYTES, LARGEST_TYPE } from './frame.js'
import { LOG_COMPONENT } from './log-folder.js'

// Whoever waited for the last group shall be in the next one, also if some promises lie between this log and its caller.
const GATHERING_TURNS = 8

/** Entries that become durable together, in order. */
export interface Group {
  /** Sequence of the first. */
  readonly first: number
  readonly types: readonly number[]
  readonly payloads: readonly Uint8Array[]
}

/** What a layout of the log does. Calls of `write` come one at a time; after a rejection no more come. */
export interface GroupStore {
  /** Writes so far, for measuring. */
  readonly written: { readonly syncs: number; readonly bytes: number }
  /** Resolves when the group is durable. */
  write(group: Group): Promise<void>
  trim(sequence: number): Promise<void>
  close(): Promise<void>
}

interface Waiter {
  readonly sequence: number
  resolve(sequence: number): void
  reject(error: Error): void
}

/** An {@link EntryLog} over a store of groups. */
export class GroupLog implements EntryLog {
  readonly #store: GroupStore
  #first: number
  #types: number[] = []
  #payloads: Uint8Array[] = []
  #waiters: Waiter[] = []
  #entries = 0
  #running: Promise<void> | undefined
  #trimming: Promise<void> = Promise.resolve()
  #failure: Error | undefined
  #closing: Promise<void> | undefined

  /** `first` is the sequence of the next entry. */
  constructor(store: GroupStore, first: number) {
    this.#store = store
    this.#first = first
  }

  get nextSequence(): number {
    return this.#first + this.#types.length
  }

  get statistics(): EntryLog['statistics'] {
    return { ...this.#store.written, entries: this.#entries }
  }

  append(type: number, payload: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      // What is thrown here rejects.
      const sequence = this.note(type, payload)
      this.#waiters.push({ sequence, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  note(type: number, payload: Uint8Array): number {
    this.#guard()
    checkEntry(type, payload)
    const sequence = this.nextSequence
    this.#types.push(type)
    this.#payloads.push(payload)
    return sequence
  }

  async trim(sequence: number): Promise<void> {
    this.#guard()
    const trimmed = this.#trimming.then(() => this.#store.trim(sequence))
    this.#trimming = trimmed.catch(() => undefined)
    return trimmed
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    await this.#trimming
    await this.#running
    // What is left was only noted.
    if (this.#failure === undefined && this.#types.length > 0) await this.#commit()
    await this.#store.close()
    if (this.#failure !== undefined) throw this.#failure
  }

  #guard(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#closing === undefined) return
    const message = 'the log is closed; nothing can be added after the stop'
    throw new SluiceError({ code: 'STOPPED', component: LOG_COMPONENT, message })
  }

  async #run(): Promise<void> {
    while (this.#waiters.length > 0) {
      for (let turn = 0; turn < GATHERING_TURNS; turn++) await Promise.resolve()
      await this.#commit()
    }
    this.#running = undefined
  }

  /** Makes all that waits durable. Never rejects: a failure goes to those who wait. */
  async #commit(): Promise<void> {
    const group = { first: this.#first, types: this.#types, payloads: this.#payloads }
    const waiters = this.#waiters
    this.#first = this.nextSequence
    this.#types = []
    this.#payloads = []
    this.#waiters = []
    try {
      await this.#store.write(group)
    } catch (error) {
      this.#fail(toError(error), waiters)
      return
    }
    this.#entries += group.types.length
    for (const waiter of waiters) waiter.resolve(waiter.sequence)
  }

  /** After a failed write nobody knows what is on the disk: nothing may be claimed any more (E17). */
  #fail(error: Error, waiters: readonly Waiter[]): void {
    this.#failure = error
    for (const waiter of [...waiters, ...this.#waiters]) waiter.reject(error)
    this.#waiters = []
    this.#types = []
    this.#payloads = []
  }
}

function checkEntry(type: number, payload: Uint8Array): void {
  const isType = Number.isInteger(type) && type >= 1 && type <= LARGEST_TYPE
  requireArgument(isType, LOG_COMPONENT, `an entry's type is 1 to 255, not ${String(type)}; check the caller`)
  const fits = payload.byteLength <= LARGEST_PAYLOAD_BYTES
  requireArgument(fits, LOG_COMPONENT, `an entry of ${String(payload.byteLength)} bytes is too large; cut it`)
}
