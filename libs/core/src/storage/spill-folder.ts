/** The folder of one block store: made when first needed, with names that are used once. */
import { newIdentity } from '../time/random.js'
import type { FileSystem } from './file-system.js'
import { discardFile } from './frames.js'
import { joinPath } from './paths.js'

/** Never two stores in one folder: its name has an identity of its own below the folder given. */
export class SpillFolder {
  readonly #fileSystem: FileSystem
  readonly #path: string
  #made: Promise<void> | undefined
  #files = 0

  constructor(fileSystem: FileSystem, directory: string, instance: string = newIdentity()) {
    this.#fileSystem = fileSystem
    this.#path = joinPath(directory, `sluice-blocks-${instance}`)
  }

  /** A path that was never given before: what happens late to an old file cannot hit a new one. */
  async newPath(): Promise<string> {
    const name = String(this.#files++)
    await this.#make()
    return joinPath(this.#path, name)
  }

  /** Removes a file; a failure is told by {@link close}, which removes all of them. */
  remove(path: string): Promise<void> {
    return discardFile(this.#fileSystem, path, undefined)
  }

  /** Removes the folder with all in it. */
  async close(): Promise<void> {
    if (this.#made === undefined) return
    await this.#made.catch(() => undefined)
    await this.#fileSystem.removeTree(this.#path)
  }

  #make(): Promise<void> {
    this.#made ??= this.#fileSystem.makeDirectory(this.#path).catch((error: unknown) => {
      // The disk may have room again the next time.
      this.#made = undefined
      throw error
    })
    return this.#made
  }
}
