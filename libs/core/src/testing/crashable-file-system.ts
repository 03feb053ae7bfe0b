/**
 * A disk in memory that forgets, on `crash`, what was not synced: how tests and simulations cut the power.
 *
 * Durable are a file's bytes up to its last sync (`create` syncs, unless told not to), and the names that a folder had at its
 * last `syncDirectory`. Everything else may or may not survive; `survives` decides, piece by piece. After a failed sync the
 * bytes that it should have saved are never saved, though they can still be read and later syncs succeed: as Linux does it.
 */
import { SluiceError } from '../errors.js'
import { errnoError, fileError } from '../storage/file-errors.js'
import type { AppendFile, FileSystem } from '../storage/file-system.js'
import { memoryFileSystemOf } from '../storage/memory-file-system.js'
import {
  fileAt,
  folderAt,
  namesOf,
  newFile,
  newFolder,
  type MemoryFile,
  type MemoryFolder,
  type MemoryNode,
} from '../storage/memory-tree.js'
import type { Clock } from '../time/clock.js'
import { systemClock } from '../time/system-clock.js'

const COMPONENT = 'crashable-disk'

/** A call that the disk is about to serve. */
export interface DiskCall {
  readonly kind: Exclude<keyof FileSystem, '~sluice' | 'name' | 'supports'> | 'append' | 'sync' | 'close'
  readonly path: string
}

export interface CrashableOptions {
  /** What the disk can do. Default: append, rename and link. */
  readonly supports?: Partial<FileSystem['supports']> | undefined
  /** Fails a call: gives the name of an error, e.g. `ENOSPC`. A failed append has written the first half of its bytes. */
  readonly fail?: ((call: DiskCall) => string | undefined) | undefined
  /** Default: the system's, for the times of changes. */
  readonly clock?: Clock | undefined
}

/** What a crash does to what was not synced. */
export interface Survival {
  /** How many of a file's unsynced bytes are there after the crash. Default: none. */
  bytes?(path: string, unsynced: number): number
  /**
   * What stands after the crash where the unsynced bytes stood, instead of the first `bytes`: a disk writes them in any order, so
   * that there may be holes, or anything else. No longer than they were.
   */
  tail?(path: string, unsynced: Uint8Array): Uint8Array
  /** Whether a folder has, under this name, what it had at the crash instead of at its last sync. Default: false. */
  name?(path: string): boolean
}

export interface CrashableFileSystem extends FileSystem {
  /** Cuts the power. This disk fails from now on, open files included; the result is what is found after a restart. */
  crash(survival?: Survival): CrashableFileSystem
  /** Changes bytes that may be durable, as a disk does that rots. Throws `FILE_NOT_FOUND`. */
  rot(path: string, change: (bytes: Uint8Array) => void): void
}

/** An empty disk of this kind. */
export function crashableFileSystem(options: CrashableOptions = {}): CrashableFileSystem {
  return crashableDisk(newFolder(0), options)
}

function crashableDisk(root: MemoryFolder, options: CrashableOptions): CrashableFileSystem {
  return new Power(root, options).disk
}

/** What a file's last sync has saved. */
interface Saved {
  bytes: number
  /** Bytes behind this were lost by a failed sync, and are never saved. */
  limit: number
}

class Power {
  readonly disk: CrashableFileSystem
  readonly #root: MemoryFolder
  readonly #inner: FileSystem
  readonly #options: CrashableOptions
  readonly #saved = new WeakMap<MemoryFile, Saved>()
  readonly #names = new WeakMap<MemoryFolder, ReadonlyMap<string, MemoryNode>>()
  #off = false

  constructor(root: MemoryFolder, options: CrashableOptions) {
    this.#root = root
    this.#options = options
    this.#inner = memoryFileSystemOf(root, options.clock ?? systemClock)
    // What a restart finds is durable.
    this.#saveAll(root)
    this.disk = this.#makeDisk()
  }

  #saveAll(folder: MemoryFolder): void {
    this.#names.set(folder, new Map(folder.entries))
    for (const node of folder.entries.values()) {
      if (node.kind === 'directory') this.#saveAll(node)
      else this.#saved.set(node, { bytes: node.sizeBytes, limit: Infinity })
    }
  }

  #makeDisk(): CrashableFileSystem {
    const inner = this.#inner
    const supports = { append: true, rename: true, link: true, ...this.#options.supports }
    const run = <T>(kind: DiskCall['kind'], path: string, work: () => Promise<T>): Promise<T> =>
      this.#run({ kind, path }, work)
    const only = <T>(what: keyof typeof supports, path: string, work: () => Promise<T>): Promise<T> =>
      supports[what] ? work() : Promise.reject(unsupported(what, path))
    const list = (path: string): ReturnType<FileSystem['list']> => this.#list(path)
    return {
      '~sluice': 'file-system/1',
      name: 'crashable disk',
      supports,
      create: (path, data, options) => run('create', path, () => this.#create(path, data, options?.sync ?? true)),
      openAppend: (path) => only('append', path, () => run('openAppend', path, () => this.#openAppend(path))),
      read: (path, range) => run('read', path, () => inner.read(path, range)),
      stat: (path) => run('stat', path, () => inner.stat(path)),
      list,
      makeDirectory: (path) => run('makeDirectory', path, () => inner.makeDirectory(path)),
      rename: (from, to) => only('rename', to, () => run('rename', to, () => inner.rename(from, to))),
      link: (from, to) => only('link', to, () => run('link', to, () => inner.link(from, to))),
      remove: (path) => run('remove', path, () => inner.remove(path)),
      removeTree: (path) => run('removeTree', path, () => inner.removeTree(path)),
      syncDirectory: (path) => run('syncDirectory', path, () => this.#syncDirectory(path)),
      crash: (survival = {}) => this.#crash(survival),
      rot: (path, change) => {
        const file = fileAt(this.#root, namesOf(path))
        change(file.buffer.subarray(0, file.sizeBytes))
      },
    }
  }

  async #run<T>(call: DiskCall, work: () => Promise<T>): Promise<T> {
    this.#check(call)
    const result = await work()
    // The power went while it ran: nobody hears of it.
    this.#requirePower(call)
    return result
  }

  #check(call: DiskCall): void {
    this.#requirePower(call)
    const errno = this.#options.fail?.(call)
    if (errno !== undefined) throw diskError(call, errno)
  }

  #requirePower(call: DiskCall): void {
    if (this.#off) throw diskError(call, 'ENODEV')
  }

  async *#list(path: string): ReturnType<FileSystem['list']> {
    this.#check({ kind: 'list', path })
    yield* this.#inner.list(path)
  }

  async #create(path: string, data: Uint8Array, sync: boolean): Promise<void> {
    await this.#inner.create(path, data)
    const saved = { bytes: sync ? data.byteLength : 0, limit: Infinity }
    this.#saved.set(fileAt(this.#root, namesOf(path)), saved)
  }

  async #syncDirectory(path: string): Promise<void> {
    await this.#inner.syncDirectory(path)
    const folder = folderAt(this.#root, namesOf(path))
    this.#names.set(folder, new Map(folder.entries))
  }

  async #openAppend(path: string): Promise<AppendFile> {
    const inner = await this.#inner.openAppend(path)
    const file = fileAt(this.#root, namesOf(path))
    const saved = this.#saved.get(file) ?? { bytes: 0, limit: Infinity }
    this.#saved.set(file, saved)
    const half = (data: Uint8Array): Uint8Array => data.subarray(0, Math.floor(data.byteLength / 2))
    return {
      get sizeBytes() {
        return inner.sizeBytes
      },
      append: async (data) => {
        try {
          await this.#run({ kind: 'append', path }, () => inner.append(data))
        } catch (error) {
          if (!this.#off) await inner.append(half(data))
          throw error
        }
      },
      sync: async () => {
        try {
          await this.#run({ kind: 'sync', path }, async () => {
            await inner.sync()
            saved.bytes = Math.min(file.sizeBytes, saved.limit)
          })
        } catch (error) {
          saved.limit = Math.min(saved.limit, saved.bytes)
          throw error
        }
      },
      close: () => inner.close(),
    }
  }

  #crash(survival: Survival): CrashableFileSystem {
    this.#off = true
    const copies = new Map<MemoryFile, MemoryFile>()
    return crashableDisk(this.#survivorsOf(this.#root, '', survival, copies), this.#options)
  }

  #survivorsOf(
    folder: MemoryFolder,
    path: string,
    survival: Survival,
    copies: Map<MemoryFile, MemoryFile>,
  ): MemoryFolder {
    const copy = newFolder(folder.modifiedMs)
    const durable = this.#names.get(folder) ?? new Map<string, MemoryNode>()
    const newNames = new Map([...folder.entries].map(([name, node]) => [node, name]))
    const keptNames = new Map<string, boolean>()
    for (const name of new Set([...folder.entries.keys(), ...durable.keys()])) {
      const at = `${path}/${name}`
      const old = durable.get(name)
      // A rename within a folder is one change: what had the one name durably has it again, or it has the other.
      const renamed =
        old !== undefined && !folder.entries.has(name) ? keptNames.get(newNames.get(old) ?? '') : undefined
      const isNewKept = old !== folder.entries.get(name) && (renamed ?? survival.name?.(at) === true)
      keptNames.set(name, isNewKept)
      const node = (isNewKept ? folder.entries : durable).get(name)
      if (node === undefined) continue
      const kept =
        node.kind === 'file'
          ? this.#survivor(node, at, survival, copies)
          : this.#survivorsOf(node, at, survival, copies)
      copy.entries.set(name, kept)
    }
    return copy
  }

  #survivor(file: MemoryFile, path: string, survival: Survival, copies: Map<MemoryFile, MemoryFile>): MemoryFile {
    const known = copies.get(file)
    if (known !== undefined) return known
    const { bytes, limit } = this.#saved.get(file) ?? { bytes: 0, limit: Infinity }
    const unsynced = Math.max(0, Math.min(file.sizeBytes, limit) - bytes)
    const tail = tailOf(file.buffer.subarray(bytes, bytes + unsynced), path, survival)
    const copy = newFile(Buffer.concat([file.buffer.subarray(0, bytes), tail]), file.modifiedMs)
    copies.set(file, copy)
    return copy
  }
}

function tailOf(unsynced: Uint8Array, path: string, { bytes, tail }: Survival): Uint8Array {
  const all = unsynced.byteLength
  return tail === undefined
    ? unsynced.subarray(0, bytes?.(path, all) ?? 0)
    : tail(path, unsynced.slice()).subarray(0, all)
}

function diskError({ kind, path }: DiskCall, errno: string): Error {
  return fileError({ component: COMPONENT, doing: kind, path }, errnoError(errno))
}

function unsupported(what: string, path: string): SluiceError {
  const message = `cannot ${what} ${path}: this disk was made without; make it with supports: { ${what}: true }`
  return new SluiceError({ code: 'FILE_SYSTEM_UNSUPPORTED', component: COMPONENT, message })
}
