/** HDFS as a file system, by WebHDFS: temporary name, length check, RENAME to a name that is free (E23). */
import {
  isSluiceError,
  newIdentity,
  type AppendFile,
  type ByteRange,
  type DirectoryEntry,
  type FileStat,
  type FileSystem,
  type SchemeFileSystem,
  type SluiceError,
} from '@sluice/core'
import { failureOf, messageOf } from '../errors.js'
import { below, folderOf, parsePath } from '../files/paths.js'
import { checkRange } from '../files/ranges.js'
import { COMPONENT, settingsOf, type HdfsOptions, type HdfsSettings } from './hdfs.config.js'
import { isPassing, RemoteFailure, WebHdfs, type Operation } from './web-hdfs.js'

const fail = failureOf(COMPONENT)

// Names of files that are not finished, or whose writer died. They are no files, so `list` does not show them.
const UNFINISHED = /^\.sluice-[0-9a-f-]{36}\.tmp$/

/**
 * HDFS for the option `fileSystems`: `new StreamingContext({ fileSystems: [hdfs({ nameNodes: 'http://namenode:9870' })] })`. Then
 * paths such as `hdfs://cluster/folder` work everywhere; what stands in the place of `cluster` is not looked at.
 *
 * A file is written under a temporary name (`.sluice-<random>.tmp`, not shown by `list`), its length is checked, and it is renamed. A
 * crash leaves the whole file or none, and at most that temporary file. Throws `ARGUMENT_INVALID`.
 */
export function hdfs(options: HdfsOptions): SchemeFileSystem {
  const settings = settingsOf(options)
  return { scheme: options.scheme ?? 'hdfs', fileSystem: new HdfsFileSystem(settings) }
}

interface Status {
  readonly pathSuffix: string
  readonly type: 'FILE' | 'DIRECTORY' | 'SYMLINK'
  readonly length: number
  readonly modificationTime: number
}

interface Listing {
  readonly DirectoryListing: {
    readonly partialListing: { readonly FileStatuses: { readonly FileStatus: readonly Status[] } }
    readonly remainingEntries: number
  }
}

class HdfsFileSystem implements FileSystem {
  readonly '~sluice' = 'file-system/1'
  readonly name = 'HDFS'
  readonly supports = { append: false, rename: true, link: false }
  readonly #web: WebHdfs
  readonly #replication: number | undefined

  constructor(settings: HdfsSettings) {
    this.#web = new WebHdfs(settings)
    this.#replication = settings.replication
  }

  create(path: string, data: Uint8Array): Promise<void> {
    // Callers may change it when they like; what is sent again must be the same.
    const bytes = Uint8Array.from(data)
    return this.#run('create', path, async () => {
      const temporary = await this.#web.persist(`create ${path}`, async () => {
        // Another name for each try: one that lands late must not change what a later try has written.
        const name = temporaryFor(path)
        await this.#write(name, bytes, bytes.byteLength)
        return name
      })
      await this.#giveName(temporary, path)
    })
  }

  createFrom(
    path: string,
    pieces: AsyncIterable<Uint8Array>,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    return this.#run('create', path, async () => {
      const temporary = temporaryFor(path)
      const counted = { sizeBytes: 0 }
      try {
        await this.#write(temporary, counting(pieces, counted), () => counted.sizeBytes, signal)
        signal?.throwIfAborted()
      } catch (error) {
        // What came of it stands there as a file like any other, only shorter.
        await this.remove(temporary).catch(() => undefined)
        throw error
      }
      await this.#giveName(temporary, path)
    })
  }

  async #write(
    temporary: string,
    data: Uint8Array | AsyncIterable<Uint8Array>,
    sizeBytes: number | (() => number),
    signal?: AbortSignal,
  ): Promise<void> {
    const query = {
      createparent: 'false',
      overwrite: 'false',
      ...(this.#replication === undefined ? {} : { replication: String(this.#replication) }),
    }
    const url = await this.#web.redirect({ method: 'PUT', op: 'CREATE', path: temporary, query }, signal)
    await this.#web.atDataNode(url, 'PUT', data, signal)
    // A connection that ended early leaves a short file that looks complete.
    const status = await this.#status(temporary)
    const wanted = typeof sizeBytes === 'number' ? sizeBytes : sizeBytes()
    if (status?.length === wanted) return
    const found = status === undefined ? 'is not there' : `has ${String(status.length)} bytes`
    throw fail('FILE_SYSTEM_FAILED', `${temporary} ${found}, not ${String(wanted)}; try again`, { retryable: true })
  }

  /** Gives the temporary file its name if that is free. Of a RENAME whose answer is lost both names tell whether it was done. */
  async #giveName(temporary: string, path: string): Promise<void> {
    try {
      await this.#ask('PUT', 'RENAME', temporary, { destination: plainPath(path), renameoptions: 'NONE' })
    } catch (error) {
      const isLeft = (await this.#status(temporary)) !== undefined
      const isThere = (await this.#status(path)) !== undefined
      // Nobody else knows the temporary name: if it is gone it has become the other one.
      if (!isLeft && isThere) return
      if (isLeft) await this.remove(temporary).catch(() => undefined)
      throw isThere ? taken(path, error) : error
    }
  }

  openAppend(path: string): Promise<AppendFile> {
    return Promise.reject(unsupported('append', path))
  }

  read(path: string, range?: ByteRange): Promise<Uint8Array> {
    return this.#run('read', path, async () => {
      checkRange(range, COMPONENT)
      const { start = 0, length = Infinity } = range ?? {}
      // HDFS refuses offsets at the end and beyond; and of empty files there is nothing to be read.
      const status = await this.#status(path)
      if (status === undefined) throw missing(path)
      if (status.type === 'DIRECTORY')
        throw fail('FILE_SYSTEM_FAILED', `cannot read ${path}: it is a folder; give a file`)
      const wanted = Math.max(0, Math.min(length, status.length - start))
      if (wanted === 0) return Buffer.alloc(0)
      const query = { offset: String(start), length: String(wanted) }
      return this.#web.persist(`read ${path}`, async () => {
        const url = await this.#web.redirect({ method: 'GET', op: 'OPEN', path, query })
        const bytes = await this.#web.atDataNode(url, 'GET')
        if (bytes.byteLength !== wanted) throw new CutShort(path)
        return bytes
      })
    })
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#run('stat', path, async () => {
      const status = await this.#status(path)
      if (status === undefined) return undefined
      const { type, length, modificationTime } = status
      return { kind: type === 'DIRECTORY' ? 'directory' : 'file', sizeBytes: length, modifiedMs: modificationTime }
    })
  }

  async #status(path: string): Promise<Status | undefined> {
    try {
      const { FileStatus } = (await this.#ask('GET', 'GETFILESTATUS', path)) as { readonly FileStatus: Status }
      return FileStatus
    } catch (error) {
      if (isRemote(error, 'FileNotFoundException') || isRemote(error, 'ParentNotDirectoryException')) return undefined
      throw error
    }
  }

  async *list(path: string): AsyncGenerator<DirectoryEntry, void, undefined> {
    for (let after: string | undefined = ''; after !== undefined;) {
      const listing: Listing = await this.#run('list', path, async () => this.#listingAfter(path, after ?? ''))
      const { partialListing, remainingEntries } = listing.DirectoryListing
      const entries: readonly Status[] = partialListing.FileStatuses.FileStatus
      for (const { pathSuffix, type } of entries) {
        if (pathSuffix === '') throw fail('FILE_SYSTEM_FAILED', `cannot list ${path}: it is a file; give a folder`)
        if (!UNFINISHED.test(pathSuffix)) yield { name: pathSuffix, kind: type === 'DIRECTORY' ? 'directory' : 'file' }
      }
      after = remainingEntries > 0 ? entries.at(-1)?.pathSuffix : undefined
    }
  }

  async #listingAfter(path: string, after: string): Promise<Listing> {
    const query: Record<string, string> = after === '' ? {} : { startAfter: after }
    return (await this.#ask('GET', 'LISTSTATUS_BATCH', path, query)) as Listing
  }

  makeDirectory(path: string): Promise<void> {
    return this.#run('make folder', path, async () => {
      try {
        await this.#ask('PUT', 'MKDIRS', path)
      } catch (error) {
        throw isRemote(error, 'FileAlreadyExistsException') ? taken(path, error) : error
      }
    })
  }

  rename(from: string, to: string): Promise<void> {
    return this.#run(`rename ${from} to`, to, async () => {
      const source = await this.#status(from)
      if (source === undefined) throw missing(from)
      if (plainPath(from) === plainPath(to)) return
      await this.#ask('PUT', 'RENAME', from, { destination: plainPath(to), renameoptions: 'OVERWRITE' })
    })
  }

  link(_from: string, to: string): Promise<void> {
    return Promise.reject(unsupported('link', to))
  }

  remove(path: string): Promise<void> {
    return this.#run('remove', path, async () => {
      const status = await this.#status(path)
      if (status?.type === 'DIRECTORY')
        throw fail('FILE_SYSTEM_FAILED', `cannot remove ${path}: it is a folder; use removeTree`)
      if (status !== undefined) await this.#ask('DELETE', 'DELETE', path)
    })
  }

  removeTree(path: string): Promise<void> {
    return this.#run('remove', path, async () => {
      if ((await this.#status(path)) !== undefined) await this.#ask('DELETE', 'DELETE', path, { recursive: 'true' })
    })
  }

  /** The NameNode has written down every name before it answers. */
  syncDirectory(path: string): Promise<void> {
    return this.#run('sync folder', path, async () => {
      const status = await this.#status(path)
      if (status === undefined) throw missing(path)
      if (status.type !== 'DIRECTORY')
        throw fail('FILE_SYSTEM_FAILED', `cannot sync ${path}: it is no folder; give one`)
    })
  }

  #ask(method: Operation['method'], op: string, path: string, query: Operation['query'] = {}): Promise<unknown> {
    return this.#web.ask({ method, op, path, query })
  }

  async #run<T>(doing: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw fileError(doing, path, error)
    }
  }
}

/** An answer that ended too early, as a connection that was cut. */
class CutShort extends Error {
  readonly code = 'ECONNRESET'

  constructor(path: string) {
    super(`${path} came only in part`)
  }
}

async function* counting(
  pieces: AsyncIterable<Uint8Array>,
  counted: { sizeBytes: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of pieces) {
    counted.sizeBytes += piece.byteLength
    yield piece
  }
}

function temporaryFor(path: string): string {
  return below(folderOf(path), `.sluice-${newIdentity()}.tmp`)
}

/** As HDFS names it: without scheme and cluster. */
function plainPath(path: string): string {
  return `/${parsePath(path).names.join('/')}`
}

function isRemote(error: unknown, exception: string): boolean {
  return error instanceof RemoteFailure && error.exception === exception
}

const REMEDIES: Readonly<Record<string, string>> = {
  AccessControlException: 'check the permissions, and the option user',
  SecurityException: 'check user or delegationToken: this cluster asks who you are',
  InvalidToken: 'get a new delegation token',
  NSQuotaExceededException: 'raise the quota of the folder, or remove files',
  DSQuotaExceededException: 'raise the quota of the folder, or remove files',
  ParentNotDirectoryException: 'a part of the path that must be a folder is a file',
}

/** What was thrown as an error of Sluice that names the path. */
function fileError(doing: string, path: string, cause: unknown): SluiceError {
  if (isSluiceError(cause)) return cause
  if (!(cause instanceof RemoteFailure)) {
    const message = `cannot ${doing} ${path} (${messageOf(cause)}); see the cause`
    return fail('FILE_SYSTEM_FAILED', message, { cause, retryable: true })
  }
  if (cause.exception === 'FileNotFoundException') return missing(path, cause)
  const remedy = REMEDIES[cause.exception] ?? 'see what HDFS says'
  return fail('FILE_SYSTEM_FAILED', `cannot ${doing} ${path} (${cause.exception}: ${cause.message}); ${remedy}`, {
    cause,
    retryable: isPassing(cause),
  })
}

function missing(path: string, cause?: unknown): SluiceError {
  return fail('FILE_NOT_FOUND', `${path}: there is no such file or folder; check the path`, { cause })
}

function taken(path: string, cause: unknown): SluiceError {
  return fail('FILE_EXISTS', `cannot create ${path}: the name is taken; use another or remove it first`, { cause })
}

function unsupported(what: string, path: string): SluiceError {
  const message = `HDFS cannot ${what} (${path}) as Sluice needs it; ask supports.${what} first`
  return fail('FILE_SYSTEM_UNSUPPORTED', message)
}
