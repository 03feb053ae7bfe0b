/**
 * S3 as a file system: objects are put if their key is free, and never changed. Folders are empty objects whose key ends in a slash,
 * as the consoles of S3 make them; where files are there is a folder, too.
 */
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3'
import {
  newIdentity,
  type AppendFile,
  type ByteRange,
  type DirectoryEntry,
  type FileStat,
  type FileSystem,
  type SchemeFileSystem,
} from '@sluice/core'
import { requireThat } from '../errors.js'
import type { Leftovers } from '../files/leftovers.js'
import { folderOf, parsePath } from '../files/paths.js'
import { checkRange } from '../files/ranges.js'
import { ObjectWriter, type ObjectPlace, type PutOutcome } from './put-object.js'
import { COMPONENT, DEFAULT_TIMEOUT_MS, settingsOf, type S3Options, type S3Settings } from './s3.config.js'
import { foreign, missing, s3Error, statusOf, taken, unfit, unsupported } from './s3-errors.js'

/**
 * S3 for the option `fileSystems`: `new StreamingContext({ fileSystems: [s3({ config: { region: 'eu-central-1' } })] })`. Then paths
 * such as `s3://bucket/folder` work everywhere. The server must know `If-None-Match: *`, as AWS does since 2024. Throws
 * `ARGUMENT_INVALID`.
 */
export function s3(options: S3Options = {}): SchemeFileSystem {
  const settings = settingsOf(options)
  const client = options.client ?? newClient(options)
  return { scheme: options.scheme ?? 's3', fileSystem: new S3FileSystem(client, settings) }
}

function newClient({ config, timeoutMs = DEFAULT_TIMEOUT_MS }: S3Options): S3Client {
  const requestHandler = { requestTimeout: timeoutMs, connectionTimeout: timeoutMs, throwOnRequestTimeout: true }
  return new S3Client({ requestHandler, ...config })
}

/** Folders that are known to be there are not asked for again; more than these are forgotten. */
const KNOWN_FOLDERS = 1_000
const DELETE_KEYS = 1_000

class S3FileSystem implements FileSystem, Leftovers {
  readonly '~sluice' = 'file-system/1'
  readonly name = 'S3'
  readonly supports = { append: false, rename: false, link: false }
  readonly #client: Pick<S3Client, 'send'>
  readonly #writer: ObjectWriter
  readonly #folders = new Set<string>()

  constructor(client: Pick<S3Client, 'send'>, { partBytes, clock }: S3Settings) {
    this.#client = client
    this.#writer = new ObjectWriter(client, clock, partBytes)
  }

  create(path: string, data: Uint8Array): Promise<void> {
    return this.#run('create', path, async () => {
      // Callers may change it when they like.
      const bytes = Uint8Array.from(data)
      await this.#requireFolderOf(path)
      const outcome = await this.#writer.put(placeOf(path), bytes, newIdentity())
      if (!outcome.isOurs) throw taken(path)
    })
  }

  createFrom(
    path: string,
    pieces: AsyncIterable<Uint8Array>,
    options: { readonly identity?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    return this.#run('create', path, async () => {
      const { identity, signal } = options
      await this.#requireFolderOf(path)
      const outcome = await this.#writer.putPieces(placeOf(path), pieces, identity ?? newIdentity(), signal)
      if (!outcome.isOurs) throw refusal(path, outcome, identity)
    })
  }

  /** As on other file systems nothing is created in a folder that is not there. */
  async #requireFolderOf(path: string): Promise<void> {
    const folder = folderOf(path)
    if (await this.#isFolder(path)) throw taken(path)
    if (parsePath(folder).names.length === 0 || (await this.#isFolder(folder, true))) return
    throw missing(path)
  }

  /** `ask: false` asks nobody: then a folder that only others know is none. */
  async #isFolder(path: string, ask = false): Promise<boolean> {
    const { Bucket, Key } = placeOf(path)
    const key = `${Bucket}/${Key}`
    if (this.#folders.has(key)) return true
    if (!ask) return false
    const Prefix = Key === '' ? '' : `${Key}/`
    const { KeyCount = 0 } = await this.#client.send(new ListObjectsV2Command({ Bucket, Prefix, MaxKeys: 1 }))
    // A bucket may be empty.
    const isThere = KeyCount > 0 || Key === ''
    if (isThere) this.#remember(key)
    return isThere
  }

  #remember(folder: string): void {
    if (this.#folders.size >= KNOWN_FOLDERS) this.#folders.clear()
    this.#folders.add(folder)
  }

  openAppend(path: string): Promise<AppendFile> {
    return Promise.reject(unsupported('append', path))
  }

  read(path: string, range?: ByteRange): Promise<Uint8Array> {
    return this.#run('read', path, async () => {
      checkRange(range, COMPONENT)
      if (range?.length === 0) {
        if ((await this.stat(path)) === undefined) throw missing(path)
        return Buffer.alloc(0)
      }
      try {
        const Range = range === undefined ? {} : { Range: rangeText(range) }
        const { Body } = await this.#client.send(new GetObjectCommand({ ...placeOf(path), ...Range }))
        return Buffer.from((await Body?.transformToByteArray()) ?? [])
      } catch (error) {
        if (statusOf(error) === 416) return Buffer.alloc(0)
        if (await this.#isFolder(path, true)) throw unfit('read', path, 'it is a folder; give a file')
        throw error
      }
    })
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#run('stat', path, async () => {
      const place = placeOf(path)
      const file = place.Key === '' ? undefined : await this.#head(place)
      if (file !== undefined) return file
      return (await this.#isFolder(path, true)) ? { kind: 'directory', sizeBytes: 0, modifiedMs: 0 } : undefined
    })
  }

  async #head(place: ObjectPlace): Promise<FileStat | undefined> {
    try {
      const { ContentLength = 0, LastModified } = await this.#client.send(new HeadObjectCommand(place))
      return { kind: 'file', sizeBytes: ContentLength, modifiedMs: LastModified?.getTime() ?? 0 }
    } catch (error) {
      if (statusOf(error) === 404) return undefined
      throw error
    }
  }

  async *list(path: string): AsyncGenerator<DirectoryEntry, void, undefined> {
    const { Bucket, Key } = placeOf(path)
    const Prefix = Key === '' ? '' : `${Key}/`
    let isThere = Prefix === ''
    for await (const page of this.#pages(path, { Bucket, Prefix, Delimiter: '/' })) {
      for (const { Prefix: folder = '' } of page.CommonPrefixes ?? []) {
        isThere = true
        yield { name: folder.slice(Prefix.length, -1), kind: 'directory' }
      }
      for (const { Key: key = '' } of page.Contents ?? []) {
        isThere = true
        // The folder itself.
        if (key.length > Prefix.length) yield { name: key.slice(Prefix.length), kind: 'file' }
      }
    }
    if (isThere) return
    const stat = await this.stat(path)
    throw stat?.kind === 'file' ? unfit('list', path, 'it is a file; give a folder') : missing(path)
  }

  async *#pages(
    path: string,
    what: { readonly Bucket: string; readonly Prefix: string; readonly Delimiter?: string },
  ): AsyncGenerator<ListObjectsV2CommandOutput, void, undefined> {
    for (let token: string | undefined, more = true; more;) {
      const ContinuationToken = token === undefined ? {} : { ContinuationToken: token }
      const page: ListObjectsV2CommandOutput = await this.#run('list', path, () =>
        this.#client.send(new ListObjectsV2Command({ ...what, ...ContinuationToken })),
      )
      yield page
      token = page.NextContinuationToken
      more = token !== undefined
    }
  }

  makeDirectory(path: string): Promise<void> {
    return this.#run('make folder', path, async () => {
      const { Bucket, Key } = placeOf(path)
      const names = Key === '' ? [] : Key.split('/')
      // The parents, too: a server that keeps objects as files needs them, and `stat` of each tells a file in the way.
      for (let count = names.length; count > 0; count--) {
        const key = names.slice(0, count).join('/')
        if (await this.#isFolder(`//${Bucket}/${key}`, true)) break
        if ((await this.#head({ Bucket, Key: key })) !== undefined) {
          throw count === names.length ? taken(path) : unfit('make folder', path, `${key} is a file; use another name`)
        }
      }
      if (names.length === 0 || (await this.#isFolder(path))) return
      await this.#client.send(new PutObjectCommand({ Bucket, Key: `${Key}/`, Body: new Uint8Array(0) }))
      this.#remember(`${Bucket}/${Key}`)
    })
  }

  rename(_from: string, to: string): Promise<void> {
    return Promise.reject(unsupported('rename', to))
  }

  link(_from: string, to: string): Promise<void> {
    return Promise.reject(unsupported('link', to))
  }

  remove(path: string): Promise<void> {
    return this.#run('remove', path, async () => {
      const place = placeOf(path)
      if ((await this.#head(place)) !== undefined) {
        await this.#client.send(new DeleteObjectCommand(place))
        // What the last file of a folder kept there goes with it, where nobody has made the folder.
        this.#folders.delete(`${place.Bucket}/${folderOf(place.Key)}`)
      } else if (await this.#isFolder(path, true)) {
        throw unfit('remove', path, 'it is a folder; use removeTree')
      }
    })
  }

  removeTree(path: string): Promise<void> {
    return this.#run('remove', path, async () => {
      const { Bucket, Key } = placeOf(path)
      requireThat(Key !== '', COMPONENT, `${path} is a whole bucket; name a folder in it`)
      this.#folders.clear()
      const keys: string[] = []
      for await (const { Contents = [] } of this.#pages(path, { Bucket, Prefix: `${Key}/` }))
        for (const { Key: key } of Contents) if (key !== undefined) keys.push(key)
      // Folders after what is in them: a server that keeps them as folders refuses to remove full ones.
      keys.sort((a, b) => (a < b ? 1 : -1))
      for (let at = 0; at < keys.length; at += DELETE_KEYS) {
        const Objects = keys.slice(at, at + DELETE_KEYS).map((key) => ({ Key: key }))
        const { Errors = [] } = await this.#client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }))
        const [first] = Errors
        if (first !== undefined) throw Object.assign(new Error(first.Message), { name: first.Code ?? 'Error' })
      }
      if (keys.length === 0) await this.#client.send(new DeleteObjectCommand({ Bucket, Key }))
    })
  }

  /** S3 answers when an object is durable. */
  syncDirectory(path: string): Promise<void> {
    return this.#run('sync folder', path, async () => {
      if (placeOf(path).Key === '' || (await this.#isFolder(path, true))) return
      throw (await this.stat(path)) === undefined ? missing(path) : unfit('sync', path, 'it is no folder; give one')
    })
  }

  /** Ends uploads below a folder that nobody will complete. Gives their number. */
  removeUnfinished(path: string, isOurs: (name: string) => boolean): Promise<number> {
    return this.#run('remove uploads below', path, async () => {
      const { Bucket, Key } = placeOf(path)
      const { Uploads = [] } = await this.#client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: `${Key}/` }))
      const ours = Uploads.filter(({ Key: key = '' }) => isOurs(key.slice(key.lastIndexOf('/') + 1)))
      for (const { Key: key, UploadId } of ours)
        await this.#client.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId }))
      return ours.length
    })
  }

  async #run<T>(doing: string, path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw s3Error(doing, path, error)
    }
  }
}

function placeOf(path: string): ObjectPlace {
  const { authority, names } = parsePath(path.startsWith('//') ? `s3:${path}` : path)
  requireThat(authority !== '', COMPONENT, `${path} names no bucket; write s3://bucket/folder`)
  return { Bucket: authority, Key: names.join('/') }
}

function rangeText({ start, length }: ByteRange): string {
  const end = length === Infinity ? '' : String(Math.min(start + length, Number.MAX_SAFE_INTEGER) - 1)
  return `bytes=${String(start)}-${end}`
}

function refusal(path: string, outcome: PutOutcome & { isOurs: false }, identity: string | undefined): Error {
  return identity === undefined ? taken(path) : foreign(path, outcome.writer)
}
