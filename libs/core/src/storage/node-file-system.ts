/** The local disk as a {@link FileSystem}, over `node:fs`. */
import { constants, type Dirent, type Stats } from 'node:fs'
import { link, mkdir, open, opendir, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SluiceError } from '../errors.js'
import { newIdentity } from '../time/random.js'
import { clipRange } from './byte-range.js'
import { closedError, errnoOf, fileError, withFileErrors, type FileOperation } from './file-errors.js'
import type { AppendFile, ByteRange, DirectoryEntry, FileStat, FileSystem } from './file-system.js'

const COMPONENT = 'local-disk'
// Names of files that `create` has not finished. They are no files yet, so `list` does not show them.
const UNFINISHED = /^\.sluice-\d+-[0-9a-f-]{36}\.tmp$/
// One read call of Node cannot fill more than 2 GiB.
const LONGEST_READ_BYTES = 2 ** 30

/**
 * The disk of this machine. Relative paths start at the working directory.
 *
 * A new file is written under a temporary name (`.sluice-<pid>-<random>.tmp`, not shown by `list`) and linked to its own:
 * a crash leaves the whole file or none, and at most that temporary file. The folder must be on a disk with hard links.
 */
export function nodeFileSystem(): FileSystem {
  const disk: FileSystem = {
    '~sluice': 'file-system/1',
    name: 'local disk',
    supports: { append: true, rename: true, link: true },
    create: (path, data, options) => run('create', path, () => createFile(path, data, options?.sync ?? true)),
    openAppend: (path) => run('open', path, () => openAppendFile(path)),
    read: (path, range) => run('read', path, () => readRange(path, range)),
    stat: (path) => run('stat', path, () => statPath(path)),
    list: listFolder,
    makeDirectory: (path) => run('make folder', path, async () => void (await mkdir(path, { recursive: true }))),
    rename: (from, to) => run(`rename ${from} to`, to, () => rename(from, to)),
    link: (from, to) => run(`link ${from} to`, to, () => link(from, to)),
    remove: (path) => run('remove', path, () => ignoreMissing(unlink(path))),
    removeTree: (path) => run('remove', path, () => ignoreMissing(rm(path, { recursive: true, force: true }))),
    syncDirectory: (path) => run('sync folder', path, () => syncFolder(path)),
  }
  disks.add(disk)
  return disk
}

const disks = new WeakSet<FileSystem>()

/** Whether a file system is the disk of this machine, which every thread can open by itself. */
export function isNodeFileSystem(fileSystem: FileSystem): boolean {
  return disks.has(fileSystem)
}

function operation(doing: string, path: string): FileOperation {
  return { component: COMPONENT, doing, path }
}

function run<T>(doing: string, path: string, work: () => Promise<T>): Promise<T> {
  return withFileErrors(operation(doing, path), work)
}

function isMissing(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOENT' || errno === 'ENOTDIR'
}

async function ignoreMissing(removal: Promise<void>): Promise<void> {
  try {
    await removal
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

async function createFile(path: string, data: Uint8Array, sync: boolean): Promise<void> {
  const temporary = join(dirname(path), `.sluice-${String(process.pid)}-${newIdentity()}.tmp`)
  try {
    await writeNew(temporary, data, sync)
    await linkNew(temporary, path)
  } finally {
    // When the link stands the file is created: a temporary name that stays does no harm, an error here would mislead.
    await unlink(temporary).catch(() => undefined)
  }
}

async function writeNew(path: string, data: Uint8Array, sync: boolean): Promise<void> {
  const handle = await open(path, 'wx')
  try {
    await writeAll(handle, data)
    if (sync) await handle.sync()
  } finally {
    await handle.close()
  }
}

async function linkNew(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path)
  } catch (error) {
    // NFS may repeat a request whose answer was lost and then report the name that we have just given as taken.
    if (errnoOf(error) === 'EEXIST' && (await stat(temporary)).nlink === 2) return
    throw error
  }
}

async function writeAll(handle: FileHandle, data: Uint8Array): Promise<void> {
  for (let written = 0; written < data.byteLength;) {
    const { bytesWritten } = await handle.write(data, written, Math.min(data.byteLength - written, LONGEST_READ_BYTES))
    written += bytesWritten
  }
}

async function readRange(path: string, range: ByteRange | undefined): Promise<Uint8Array> {
  const handle = await open(path, 'r')
  try {
    const { start, length } = clipRange(range, (await handle.stat()).size, COMPONENT)
    return await readFully(handle, start, length)
  } finally {
    await handle.close()
  }
}

async function readFully(handle: FileHandle, start: number, length: number): Promise<Uint8Array> {
  // Not from Node's shared pool: who keeps a slice must not keep other people's bytes.
  const buffer = Buffer.allocUnsafeSlow(length)
  let filled = 0
  while (filled < length) {
    const wanted = Math.min(length - filled, LONGEST_READ_BYTES)
    const { bytesRead } = await handle.read(buffer, filled, wanted, start + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled === length ? buffer : buffer.subarray(0, filled)
}

async function statPath(path: string): Promise<FileStat | undefined> {
  try {
    return toFileStat(await stat(path))
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function toFileStat(stats: Stats): FileStat {
  const directory = stats.isDirectory()
  return { kind: directory ? 'directory' : 'file', sizeBytes: directory ? 0 : stats.size, modifiedMs: stats.mtimeMs }
}

async function* listFolder(path: string): AsyncGenerator<DirectoryEntry, void, undefined> {
  try {
    for await (const entry of await opendir(path)) {
      const kind = UNFINISHED.test(entry.name) ? undefined : await kindOf(path, entry)
      if (kind !== undefined) yield { name: entry.name, kind }
    }
  } catch (error) {
    throw fileError(operation('list', path), error)
  }
}

/** Follows symbolic links. Undefined for what is neither file nor folder: sockets, pipes, links to nothing. */
async function kindOf(folder: string, entry: Dirent): Promise<DirectoryEntry['kind'] | undefined> {
  if (entry.isFile()) return 'file'
  if (entry.isDirectory()) return 'directory'
  if (!entry.isSymbolicLink()) return undefined
  const target = await stat(join(folder, entry.name)).catch(() => undefined)
  if (target?.isDirectory() === true) return 'directory'
  return target?.isFile() === true ? 'file' : undefined
}

async function syncFolder(path: string): Promise<void> {
  // Windows cannot open folders; NTFS journals names by itself.
  if (process.platform === 'win32') return
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function openAppendFile(path: string): Promise<AppendFile> {
  const handle = await open(path, 'a')
  try {
    return new NodeAppendFile(path, handle, (await handle.stat()).size)
  } catch (error) {
    await handle.close()
    throw error
  }
}

/**
 * After a failed write or sync nobody knows what is on the disk, and Linux reports the failure of a sync only once: the
 * next one would succeed without having written anything. So the first error is repeated forever (E17).
 */
class NodeAppendFile implements AppendFile {
  readonly #path: string
  readonly #handle: FileHandle
  #sizeBytes: number
  #failure: SluiceError | undefined
  #closed = false

  constructor(path: string, handle: FileHandle, sizeBytes: number) {
    this.#path = path
    this.#handle = handle
    this.#sizeBytes = sizeBytes
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  append(data: Uint8Array): Promise<void> {
    return this.#guarded('append to', async () => {
      await writeAll(this.#handle, data)
      this.#sizeBytes += data.byteLength
    })
  }

  sync(): Promise<void> {
    return this.#guarded('sync', () => this.#handle.datasync())
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await run('close', this.#path, () => this.#handle.close())
  }

  async #guarded(doing: string, work: () => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#closed) throw closedError(COMPONENT, doing, this.#path)
    try {
      await work()
    } catch (error) {
      this.#failure ??= poisoned(fileError(operation(doing, this.#path), error))
      throw this.#failure
    }
  }
}

function poisoned(error: SluiceError): SluiceError {
  const message = error.message.replace(`[${COMPONENT}] `, '')
  return new SluiceError({ code: error.code, component: COMPONENT, message, cause: error.cause })
}
