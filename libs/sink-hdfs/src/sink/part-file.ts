/** A file on its way: held in memory while it is small, else sent while it is made. It gets its name when it is told to. */
import { isSluiceError, type FileSystem, type WriteContext } from '@sluice/core'
import { toError } from '../errors.js'
import { folderOf } from '../files/paths.js'
import type { FileEncoder, FileFormat } from './format.js'

export interface FilePlace {
  readonly fileSystem: FileSystem
  readonly path: string
  /** Says what the file is, to those who find it (E23). */
  readonly identity: string
  readonly signal: AbortSignal
}

export class PartFile {
  readonly path: string
  records = 0
  sizeBytes = 0
  readonly #place: FilePlace
  readonly #encoder: FileEncoder<unknown>
  readonly #bufferBytes: number
  readonly #pieces: Uint8Array[] = []
  #heldBytes = 0
  #sending: Sending | undefined

  constructor(place: FilePlace, format: FileFormat<unknown>, bufferBytes: number) {
    this.path = place.path
    this.#place = place
    this.#encoder = format.begin()
    this.#bufferBytes = bufferBytes
  }

  /** Takes records; those that the format refuses are given to `reject` by their index in the partition. */
  add(records: readonly unknown[], first: number, reject: WriteContext['reject']): void {
    const encoder = this.#encoder
    let refused = 0
    for (let i = 0; i < records.length; i++) {
      try {
        encoder.add(records[i])
      } catch (error) {
        reject(first + i, toError(error))
        refused++
      }
    }
    this.records += records.length - refused
  }

  /** Hands on what there is, where that is much. Resolves when there is room again. */
  async flow(): Promise<void> {
    const piece = this.#encoder.take()
    if (piece === undefined) return
    this.#hold(piece)
    if (this.#heldBytes < this.#bufferBytes && this.#sending === undefined) return
    // The whole file has its name at once: where it cannot be sent in pieces, it is held.
    if (this.#place.fileSystem.createFrom === undefined) return
    if (this.#sending === undefined) {
      await this.#makeFolder()
      this.#sending = new Sending(this.#place)
    }
    for (const held of this.#pieces.splice(0)) await this.#sending.send(held)
    this.#heldBytes = 0
  }

  #hold(piece: Uint8Array): void {
    if (piece.byteLength === 0) return
    this.#pieces.push(piece)
    this.#heldBytes += piece.byteLength
    this.sizeBytes += piece.byteLength
  }

  /** Ends the file and gives it its name. That the name is taken is no error: it is this very part (E1), as its ledger says. */
  async finish(): Promise<void> {
    this.#hold(this.#encoder.end())
    try {
      if (this.#sending === undefined) await this.#createWhole()
      else {
        for (const held of this.#pieces.splice(0)) await this.#sending.send(held)
        await this.#sending.end()
      }
    } catch (error) {
      if (!isSluiceError(error, 'FILE_EXISTS')) throw error
    }
  }

  #makeFolder(): Promise<void> {
    return this.#place.fileSystem.makeDirectory(folderOf(this.path))
  }

  async #createWhole(): Promise<void> {
    await this.#makeFolder()
    const { fileSystem, path, identity, signal } = this.#place
    const pieces = this.#pieces
    async function* all(): AsyncGenerator<Uint8Array, void, undefined> {
      await Promise.resolve()
      yield* pieces
    }
    if (fileSystem.createFrom !== undefined) await fileSystem.createFrom(path, all(), { identity, signal })
    else await fileSystem.create(path, Buffer.concat(pieces))
  }

  /** Leaves nothing. Never rejects. */
  async abandon(reason: unknown): Promise<void> {
    await this.#sending?.abandon(reason)
  }
}

/** A `createFrom` that is given one piece after the other. */
class Sending {
  readonly #done: Promise<void>
  #isDone = false
  #failure: { readonly error: unknown } | undefined
  /** The piece that waits to be taken, and who waits for that. */
  #offered: { readonly piece: Uint8Array | undefined; readonly taken: () => void } | undefined
  #wanted: (() => void) | undefined

  constructor({ fileSystem, path, identity, signal }: FilePlace) {
    const created = fileSystem.createFrom?.(path, this.#pieces(), { identity, signal }) ?? Promise.resolve()
    this.#done = created.finally(() => {
      this.#isDone = true
      this.#offered?.taken()
    })
    // It is awaited at the end, or when a piece is offered.
    this.#done.catch(() => undefined)
  }

  async *#pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error
      if (this.#offered === undefined) {
        await new Promise<void>((resolve) => (this.#wanted = resolve))
        continue
      }
      const { piece, taken } = this.#offered
      this.#offered = undefined
      taken()
      if (piece === undefined) return
      yield piece
    }
  }

  async send(piece: Uint8Array | undefined): Promise<void> {
    // It ends early only where it fails, or where another one has the name already.
    if (this.#isDone) return this.#done
    await new Promise<void>((resolve) => {
      this.#offered = { piece, taken: resolve }
      this.#wanted?.()
    })
    if (this.#isDone) await this.#done
  }

  async end(): Promise<void> {
    await this.send(undefined)
    await this.#done
  }

  async abandon(reason: unknown): Promise<void> {
    this.#failure = { error: reason }
    this.#wanted?.()
    await this.#done.catch(() => undefined)
  }
}
