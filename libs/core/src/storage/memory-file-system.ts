/** A file system in memory, for tests and simulations: the same answers and errors as the local disk. */
import type { Clock } from '../time/clock.js'
import { systemClock } from '../time/system-clock.js'
import { clipRange } from './byte-range.js'
import { closedError, errnoError, errnoOf, withFileErrors, type FileOperation } from './file-errors.js'
import type { AppendFile, ByteRange, DirectoryEntry, FileStat, FileSystem } from './file-system.js'
import {
  deleteEntry,
  fileAt,
  folderAt,
  growFile,
  makeFolders,
  namesOf,
  newFile,
  newFolder,
  nodeAt,
  placeAt,
  renameEntry,
  setEntry,
  type MemoryFile,
  type MemoryFolder,
} from './memory-tree.js'

const COMPONENT = 'memory-disk'

export interface MemoryFileSystemOptions {
  /** Where `modifiedMs` comes from. Default: the system clock. */
  readonly clock?: Clock | undefined
}

/**
 * An empty disk in memory. Relative paths start at its root, `/`. Nothing is ever lost, synced or not, until the object
 * itself is gone.
 */
export function memoryFileSystem(options: MemoryFileSystemOptions = {}): FileSystem {
  const clock = options.clock ?? systemClock
  return memoryFileSystemOf(newFolder(clock.now()), clock)
}

/** A disk in memory whose tree somebody else holds, too. */
export function memoryFileSystemOf(root: MemoryFolder, clock: Clock): FileSystem {
  return new MemoryFileSystem(root, clock)
}

function operation(doing: string, path: string): FileOperation {
  return { component: COMPONENT, doing, path }
}

function run<T>(doing: string, path: string, work: () => T): Promise<T> {
  return withFileErrors(operation(doing, path), work)
}

class MemoryFileSystem implements FileSystem {
  readonly '~sluice' = 'file-system/1'
  readonly name = 'memory disk'
  readonly supports = { append: true, rename: true, link: true }
  readonly #clock: Clock
  readonly #root: MemoryFolder

  constructor(root: MemoryFolder, clock: Clock) {
    this.#clock = clock
    this.#root = root
  }

  create(path: string, data: Uint8Array): Promise<void> {
    return run('create', path, () => {
      const place = placeAt(this.#root, path)
      if (place.node !== undefined) throw errnoError('EEXIST')
      setEntry(place, newFile(data, this.#clock.now()), this.#clock.now())
    })
  }

  openAppend(path: string): Promise<AppendFile> {
    return run('open', path, () => new MemoryAppendFile(path, this.#fileToAppend(path), this.#clock))
  }

  #fileToAppend(path: string): MemoryFile {
    const place = placeAt(this.#root, path)
    if (place.node?.kind === 'directory') throw errnoError('EISDIR')
    if (place.node !== undefined) return place.node
    const file = newFile(new Uint8Array(0), this.#clock.now())
    setEntry(place, file, this.#clock.now())
    return file
  }

  read(path: string, range?: ByteRange): Promise<Uint8Array> {
    return run('read', path, () => {
      const file = fileAt(this.#root, namesOf(path))
      const { start, length } = clipRange(range, file.sizeBytes, COMPONENT)
      // A copy in a Buffer of its own, as from the local disk.
      const copy = Buffer.allocUnsafeSlow(length)
      copy.set(file.buffer.subarray(start, start + length))
      return copy
    })
  }

  stat(path: string): Promise<FileStat | undefined> {
    return run('stat', path, () => {
      const node = missingAsUndefined(() => nodeAt(this.#root, namesOf(path)))
      if (node === undefined) return undefined
      return { kind: node.kind, sizeBytes: node.kind === 'file' ? node.sizeBytes : 0, modifiedMs: node.modifiedMs }
    })
  }

  async *list(path: string): AsyncGenerator<DirectoryEntry, void, undefined> {
    const folder = await run('list', path, () => folderAt(this.#root, namesOf(path)))
    for (const [name, node] of folder.entries) yield { name, kind: node.kind }
  }

  makeDirectory(path: string): Promise<void> {
    return run('make folder', path, () => {
      makeFolders(this.#root, namesOf(path), this.#clock.now())
    })
  }

  rename(from: string, to: string): Promise<void> {
    return run(`rename ${from} to`, to, () => {
      renameEntry(placeAt(this.#root, from), placeAt(this.#root, to), this.#clock.now())
    })
  }

  link(from: string, to: string): Promise<void> {
    return run(`link ${from} to`, to, () => {
      const node = nodeAt(this.#root, namesOf(from))
      const place = placeAt(this.#root, to)
      if (place.node !== undefined) throw errnoError('EEXIST')
      if (node.kind === 'directory') throw errnoError('EPERM')
      setEntry(place, node, this.#clock.now())
    })
  }

  remove(path: string): Promise<void> {
    return run('remove', path, () => {
      const place = missingAsUndefined(() => placeAt(this.#root, path))
      if (place?.node?.kind === 'directory') throw errnoError('EISDIR')
      if (place?.node !== undefined) deleteEntry(place, this.#clock.now())
    })
  }

  removeTree(path: string): Promise<void> {
    return run('remove', path, () => {
      const place = missingAsUndefined(() => placeAt(this.#root, path))
      if (place?.node !== undefined) deleteEntry(place, this.#clock.now())
    })
  }

  syncDirectory(path: string): Promise<void> {
    return run('sync folder', path, () => void folderAt(this.#root, namesOf(path)))
  }
}

function missingAsUndefined<T>(find: () => T): T | undefined {
  try {
    return find()
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined
    throw error
  }
}

/** Keeps hold of the file itself: it may be renamed or removed while it is written. */
class MemoryAppendFile implements AppendFile {
  readonly #path: string
  readonly #file: MemoryFile
  readonly #clock: Clock
  #closed = false

  constructor(path: string, file: MemoryFile, clock: Clock) {
    this.#path = path
    this.#file = file
    this.#clock = clock
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes
  }

  append(data: Uint8Array): Promise<void> {
    return this.#guarded('append to', () => {
      growFile(this.#file, data)
      this.#file.modifiedMs = this.#clock.now()
    })
  }

  sync(): Promise<void> {
    return this.#guarded('sync', () => undefined)
  }

  close(): Promise<void> {
    this.#closed = true
    return Promise.resolve()
  }

  #guarded(doing: string, work: () => void): Promise<void> {
    return run(doing, this.#path, () => {
      if (this.#closed) throw closedError(COMPONENT, doing, this.#path)
      work()
    })
  }
}
