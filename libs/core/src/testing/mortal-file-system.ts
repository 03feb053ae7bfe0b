/** A file system under a process that dies: from one operation on nothing happens any more, and nothing answers. */
import type { AppendFile, FileSystem } from '../storage/file-system.js'

export interface MortalOptions {
  /** Number of the operation at which the process dies, from 1. Default: never. */
  readonly dieAt?: number | undefined
  /** Whether that operation itself still takes effect. Default: `before`. */
  readonly when?: 'before' | 'after' | undefined
  onDeath?(): void
}

export interface MortalFileSystem {
  readonly fileSystem: FileSystem
  /** How many there were so far. */
  readonly operations: number
  /** The process dies now. */
  kill(): void
}

export function mortalFileSystem(disk: FileSystem, { dieAt, when, onDeath }: MortalOptions = {}): MortalFileSystem {
  let operations = 0
  let isDead = false
  const step = async <T>(work: () => Promise<T>): Promise<T> => {
    operations++
    if (isDead) return new Promise<T>(() => undefined)
    if (dieAt !== undefined && operations >= dieAt) {
      if (operations === dieAt && when === 'after') await work().catch(() => undefined)
      onDeath?.()
      return new Promise<T>(() => undefined)
    }
    return work()
  }
  const mortalFile = (file: AppendFile): AppendFile => ({
    get sizeBytes() {
      return file.sizeBytes
    },
    append: (data) => step(() => file.append(data)),
    sync: () => step(() => file.sync()),
    close: () => step(() => file.close()),
  })
  const fileSystem: FileSystem = {
    '~sluice': 'file-system/1',
    name: disk.name,
    supports: disk.supports,
    create: (path, data, options) => step(() => disk.create(path, data, options)),
    openAppend: (path) => step(async () => mortalFile(await disk.openAppend(path))),
    read: (path, range) => step(() => disk.read(path, range)),
    stat: (path) => step(() => disk.stat(path)),
    async *list(path) {
      await step(() => Promise.resolve())
      yield* disk.list(path)
    },
    makeDirectory: (path) => step(() => disk.makeDirectory(path)),
    rename: (from, to) => step(() => disk.rename(from, to)),
    link: (from, to) => step(() => disk.link(from, to)),
    remove: (path) => step(() => disk.remove(path)),
    removeTree: (path) => step(() => disk.removeTree(path)),
    syncDirectory: (path) => step(() => disk.syncDirectory(path)),
  }
  return {
    fileSystem,
    get operations() {
      return operations
    },
    kill: () => {
      isDead = true
    },
  }
}
