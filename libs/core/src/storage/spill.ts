/** Spills: record chunks that are written once, in order, and streamed back, for sorting and combining beyond memory. */
import { SluiceError, toError } from '../errors.js'
import type { AppendFile, FileSystem } from './file-system.js'
import { discardFile, framesOf, FrameWriter } from './frames.js'

/** Writes one spill. Calls may overlap: they take effect in the order in which they were made. */
export interface SpillWriter {
  /**
   * Adds records; they are encoded before this returns, so the array can be used again at once. Best in chunks of hundreds.
   * After a rejection the spill is of no use: every later call rejects with the same error.
   */
  append(records: readonly unknown[]): Promise<void>
  /** Ends the spill. Rejects if any append did. */
  close(): Promise<SpillHandle>
}

/** A finished spill, for `readSpill`. */
export interface SpillHandle {
  readonly id: string
  readonly records: number
  /** Bytes on disk. */
  readonly sizeBytes: number
}

/** What a spill needs from its store. */
export interface SpillHost {
  readonly fileSystem: FileSystem
  readonly chunkRecords: number
  newPath(): Promise<string>
  /** Told when the file has grown or, with a negative number, is gone. */
  onDiskBytes(change: number): void
}

/** One spill from its first append to its removal. */
export class Spill implements SpillWriter {
  readonly id: string
  readonly #host: SpillHost
  #file: AppendFile | undefined
  #writer: FrameWriter | undefined
  #path: string | undefined
  #records = 0
  #countedBytes = 0
  #failure: Error | undefined
  #handle: SpillHandle | undefined
  #tail: Promise<unknown> = Promise.resolve()

  constructor(id: string, host: SpillHost) {
    this.id = id
    this.#host = host
  }

  /** Where it is; undefined for a spill without records. */
  get path(): string | undefined {
    return this.#path
  }

  /** Whether `handle` was given by this spill. */
  gave(handle: SpillHandle): boolean {
    return this.#handle === handle
  }

  append(records: readonly unknown[]): Promise<void> {
    let frames: Uint8Array[]
    try {
      this.#checkOpen()
      frames = [...framesOf(records, this.#host.chunkRecords)]
    } catch (error) {
      return Promise.reject((this.#failure ??= toError(error)))
    }
    this.#records += records.length
    return this.#inTurn(() => this.#write(frames))
  }

  close(): Promise<SpillHandle> {
    return this.#inTurn(async () => {
      this.#checkOpen()
      await this.#writer?.flush()
      await this.#file?.close()
      this.#count()
      this.#handle = { id: this.id, records: this.#records, sizeBytes: this.#countedBytes }
      return this.#handle
    })
  }

  /** Takes its file away, after what is being written; never rejects. */
  discard(): Promise<void> {
    this.#failure ??= removed(this.id)
    const done = this.#tail.then(async () => {
      if (this.#path !== undefined) await discardFile(this.#host.fileSystem, this.#path, this.#file)
      this.#host.onDiskBytes(-this.#countedBytes)
      this.#countedBytes = 0
    })
    this.#tail = done
    return done
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#handle !== undefined) throw closed(this.id)
  }

  async #write(frames: readonly Uint8Array[]): Promise<void> {
    if (frames.length === 0) return
    const writer = this.#writer ?? (await this.#open())
    await writer.write(frames)
    this.#count()
  }

  async #open(): Promise<FrameWriter> {
    this.#path = await this.#host.newPath()
    this.#file = await this.#host.fileSystem.openAppend(this.#path)
    this.#writer = new FrameWriter(this.#file)
    return this.#writer
  }

  #count(): void {
    const sizeBytes = this.#writer?.writtenBytes ?? 0
    this.#host.onDiskBytes(sizeBytes - this.#countedBytes)
    this.#countedBytes = sizeBytes
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(async () => {
      if (this.#failure !== undefined) throw this.#failure
      try {
        return await work()
      } catch (error) {
        this.#failure ??= toError(error)
        throw this.#failure
      }
    })
    this.#tail = done.catch(() => undefined)
    return done
  }
}

function closed(id: string): SluiceError {
  const message = `the spill ${id} is closed; open another for further records`
  return new SluiceError({ code: 'ARGUMENT_INVALID', component: 'block-store', message })
}

/** For the use of a spill that was removed. */
export function removed(id: string): SluiceError {
  const message = `the spill ${id} was removed; read and write spills before their batch ends`
  return new SluiceError({ code: 'FILE_NOT_FOUND', component: 'block-store', message })
}
