/** A file that grows by one batch at a time. */
import { open, type FileHandle } from 'node:fs/promises'

/**
 * Batches come in the order of their times. One that comes again, because it was run again, replaces what it wrote the
 * first time: the file is cut back to where the batch began.
 */
export class BatchFile {
  readonly #file: FileHandle
  #batchTime = -Infinity
  /** Where the last batch begins, in bytes. */
  #begin = 0
  #end = 0

  private constructor(file: FileHandle) {
    this.#file = file
  }

  /** Makes an empty file. Rejects when there is one. */
  static async create(path: string): Promise<BatchFile> {
    return new BatchFile(await open(path, 'ax'))
  }

  /** Writes a batch; resolves when it is on the disk. */
  async write(batchTime: number, text: string): Promise<void> {
    if (batchTime < this.#batchTime) throw new Error(`batch ${String(batchTime)} came after ${String(this.#batchTime)}`)
    if (batchTime > this.#batchTime) this.#begin = this.#end
    this.#batchTime = batchTime
    if (text === '' && this.#begin === this.#end) return
    await this.#file.truncate(this.#begin)
    await this.#file.appendFile(text)
    await this.#file.datasync()
    this.#end = this.#begin + Buffer.byteLength(text)
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}
