/** Brings what a receiver stores into the write-ahead log; what is stored while the disk is busy goes together. */
import { toError } from '../errors.js'
import type { ReceivedJournal, ReceivedPiece } from './journal.js'
import type { SourcePosition } from './receiver.js'

interface Piece extends ReceivedPiece {
  /** May be added to, unless it has a position or is packed. */
  readonly records: unknown[]
}

interface Group {
  readonly pieces: Piece[]
  readonly done: Promise<void>
  resolve(): void
  reject(error: Error): void
}

export class ReceivedWriter {
  readonly #input: string
  readonly #journal: ReceivedJournal
  #waiting: Group | undefined
  #draining: Promise<void> | undefined
  /** Of the last entry of each block that is not told yet. */
  readonly #sequences = new Map<string, number>()
  #failure: Error | undefined

  constructor(input: string, journal: ReceivedJournal) {
    this.#input = input
    this.#journal = journal
  }

  /** Resolves when the record is durable. */
  store(block: string, record: unknown): Promise<void> {
    const group = this.#group()
    const last = group.pieces.at(-1)
    // A position is that of the last record of its piece.
    if (last?.block === block && last.position === undefined && last.packed === undefined) last.records.push(record)
    else group.pieces.push({ block, records: [record], position: undefined, packed: undefined })
    return group.done
  }

  /** Resolves when the records are durable, together with their position. */
  storeAll(block: string, records: readonly unknown[], position: SourcePosition | undefined): Promise<void> {
    const group = this.#group()
    group.pieces.push({ block, records: [...records], position, packed: undefined })
    return group.done
  }

  /** Records as bytes, and how many there are. */
  storePacked(block: string, bytes: Uint8Array, packed: number, position: SourcePosition | undefined): Promise<void> {
    const group = this.#group()
    group.pieces.push({ block, records: [bytes], position, packed })
    return group.done
  }

  /** Resolves when all that was stored is durable; rejects when anything ever failed. */
  async flushed(): Promise<void> {
    while (this.#waiting !== undefined || this.#draining !== undefined) {
      await this.#waiting?.done
      await this.#draining
    }
    // Also what failed while this waited: a batch must not plan what is not safe.
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Sequence of the last entry of a block; only once. */
  takeSequence(block: string): number | undefined {
    const sequence = this.#sequences.get(block)
    this.#sequences.delete(block)
    return sequence
  }

  #group(): Group {
    if (this.#waiting !== undefined) return this.#waiting
    let resolve: () => void = () => undefined
    let reject: (error: Error) => void = () => undefined
    const done = new Promise<void>((onResolve, onReject) => {
      resolve = onResolve
      reject = onReject
    })
    // Whoever waits for it is told; nobody need.
    done.catch(() => undefined)
    const group: Group = { pieces: [], done, resolve, reject }
    this.#waiting = group
    this.#draining ??= this.#drain()
    return group
  }

  async #drain(): Promise<void> {
    // All of this turn go together.
    await Promise.resolve()
    for (let group = this.#waiting; group !== undefined; group = this.#waiting) {
      this.#waiting = undefined
      await this.#write(group)
    }
    this.#draining = undefined
  }

  async #write({ pieces, resolve, reject }: Group): Promise<void> {
    try {
      const sequences = await Promise.all(pieces.map((piece) => this.#journal.received(this.#input, piece)))
      // Whoever is told that a record is safe may tell its source to forget it.
      await this.#journal.confirm()
      for (const [i, { block }] of pieces.entries()) this.#sequences.set(block, sequences[i] as number)
      resolve()
    } catch (error) {
      this.#failure = toError(error)
      reject(this.#failure)
    }
  }
}
