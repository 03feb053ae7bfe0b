/**
 * Files of records, one per partition, in one folder per batch: temporary name, sync, then the final name if and only if it is
 * free; where files cannot grow, they are created whole. A part is there whole or not at all, and a batch that is run again
 * changes nothing (E1, E9, E23).
 */
import { isSluiceError, SluiceError } from '../errors.js'
import type { FileSystem } from '../storage/file-system.js'
import { nodeFileSystem } from '../storage/node-file-system.js'
import { basenameOf, dirnameOf, joinPath, placeOf } from '../storage/paths.js'
import type { BatchId, BatchPartitionId, Sink, SinkContext } from './sink.js'

const COMPONENT = 'folder-sink'
const IDENTITY = '_identity'
const SUCCESS = '_SUCCESS'

export interface FolderSinkOptions {
  /** Start of the folder's path: batch T goes to `PREFIX-T` or `PREFIX-T.SUFFIX`, T in ms since the epoch. */
  readonly prefix: string
  readonly suffix?: string | undefined
  /** Leaves out parts without records, and batches without parts. Default: true. */
  readonly skipEmpty?: boolean | undefined
  /** Default: the local disk. */
  readonly fileSystem?: FileSystem | undefined
}

/** The form of a sink's parts. */
export interface PartFormat<T> {
  /** Name of the sink, for messages. */
  readonly name: string
  /** The bytes of a chunk, in pieces. */
  encode(chunk: readonly T[]): Iterable<Uint8Array>
}

/** A sink that writes one folder per batch. */
export function batchFoldersSink<T>(format: PartFormat<T>, options: FolderSinkOptions): Sink<T> {
  const { prefix, suffix } = options
  const target = suffix === undefined || suffix === '' ? prefix : `${prefix}.${suffix}`
  const folderOf = (time: number | string): string => batchFolder(prefix, time, suffix)
  return folderSink(format, target, dirnameOf(prefix), ({ batchTime }) => folderOf(batchTime), options, folderOf)
}

/** A sink for one batch only: `folder` is where its parts go. */
export function oneFolderSink<T>(
  format: PartFormat<T>,
  folder: string,
  options: Pick<FolderSinkOptions, 'fileSystem' | 'skipEmpty'>,
): Sink<T> {
  return folderSink(format, folder, dirnameOf(folder), () => folder, options)
}

function folderSink<T>(
  format: PartFormat<T>,
  target: string,
  parent: string,
  folderOf: (id: BatchId) => string,
  options: Pick<FolderSinkOptions, 'fileSystem' | 'skipEmpty'>,
  /** Of a sink with many folders: the folder of a time. */
  folderOfTime?: (time: number | string) => string,
): Sink<T> {
  const fileSystem = options.fileSystem ?? nodeFileSystem()
  const skipEmpty = options.skipEmpty !== false
  const folders = new ClaimedFolders(fileSystem)
  return {
    '~sluice': 'sink/1',
    name: format.name,
    target: placeOf(target),
    guarantee: {
      level: 'effectively-once',
      condition:
        'each part appears whole, once, under a name made of its batch and partition; readers wait for _SUCCESS; ' +
        'files cannot shut out an older process, whose parts are the same',
    },
    async open(context) {
      await makeDurableFolder(fileSystem, parent)
      if (folderOfTime !== undefined) await requireLogAhead(fileSystem, parent, folderOfTime, context)
    },
    async writePartition(id, chunks, { signal }) {
      await writePart(folders, folderOf(id), id, piecesOf(chunks, format), skipEmpty, signal)
    },
    async commitBatch(id) {
      await markSuccess(folders, folderOf(id), id, skipEmpty)
    },
  }
}

/** Spark's name of a batch's folder: `prefix-TIME.suffix`, without what is empty. */
function batchFolder(prefix: string, batchTime: number | string, suffix?: string): string {
  const start = prefix === '' ? String(batchTime) : `${prefix}-${String(batchTime)}`
  return suffix === undefined || suffix === '' ? start : `${start}.${suffix}`
}

async function* piecesOf<T>(chunks: AsyncIterable<readonly T[]>, format: PartFormat<T>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) for (const piece of format.encode(chunk)) if (piece.byteLength > 0) yield piece
}

/** Writes one part. Nothing at all for an empty one that is to be left out. */
async function writePart(
  folders: ClaimedFolders,
  folder: string,
  id: BatchPartitionId,
  pieces: AsyncIterable<Uint8Array>,
  skipEmpty: boolean,
  signal: AbortSignal,
): Promise<void> {
  const iterator = pieces[Symbol.asyncIterator]()
  try {
    const first = await iterator.next()
    if (first.done === true && skipEmpty) return
    await folders.claim(folder, id)
    const part = joinPath(folder, `part-${String(id.partition).padStart(5, '0')}`)
    await writeAndName(folders.fileSystem, part, id, withFirst(first, iterator, signal), signal)
  } finally {
    await iterator.return?.()
  }
}

async function* withFirst(
  first: IteratorResult<Uint8Array, unknown>,
  rest: AsyncIterator<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (let next = first; next.done !== true; next = await rest.next()) {
    signal.throwIfAborted()
    yield next.value
  }
}

async function writeAndName(
  fileSystem: FileSystem,
  part: string,
  id: BatchPartitionId,
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const { append, link } = fileSystem.supports
  const source = new Source(pieces)
  try {
    if (append && link) await writeAndLink(fileSystem, part, id, source)
    else await createWhole(fileSystem, part, source, { identity: identityText(id), signal })
  } catch (error) {
    // The folder's identity says that it is this batch's part: written by an attempt before, or by a late one.
    if (source.hasFailed || !isSluiceError(error, 'FILE_EXISTS')) throw error
  }
  await fileSystem.syncDirectory(dirnameOf(part))
}

/** Pieces that remember whether it was they who failed. */
class Source {
  hasFailed = false
  readonly #pieces: AsyncIterable<Uint8Array>

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    this.hasFailed = true
    for await (const piece of this.#pieces) {
      this.hasFailed = false
      yield piece
      this.hasFailed = true
    }
    this.hasFailed = false
  }
}

async function writeAndLink(
  fileSystem: FileSystem,
  part: string,
  id: BatchPartitionId,
  pieces: AsyncIterable<Uint8Array>,
): Promise<void> {
  // Hidden from readers of the folder; never one that another attempt may still write to.
  const name = `_temporary-${String(id.partition)}-${String(id.epoch)}-${String(id.attempt)}`
  const temporary = joinPath(dirnameOf(part), name)
  await fileSystem.remove(temporary)
  try {
    await writePieces(fileSystem, temporary, pieces)
    await fileSystem.link(temporary, part)
  } finally {
    await fileSystem.remove(temporary)
  }
}

async function createWhole(
  fileSystem: FileSystem,
  part: string,
  pieces: AsyncIterable<Uint8Array>,
  options: { readonly identity: string; readonly signal: AbortSignal },
): Promise<void> {
  if (fileSystem.createFrom !== undefined) return fileSystem.createFrom(part, pieces, options)
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  options.signal.throwIfAborted()
  await fileSystem.create(part, Buffer.concat(all))
}

async function writePieces(fileSystem: FileSystem, path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await fileSystem.openAppend(path)
  try {
    for await (const piece of pieces) await file.append(piece)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** The folders that belong to this run. */
class ClaimedFolders {
  readonly fileSystem: FileSystem
  /** The folder of the batch that runs, with its identity: its other partitions need not ask again. */
  #last = ''

  constructor(fileSystem: FileSystem) {
    this.fileSystem = fileSystem
  }

  /** Makes the batch's folder and puts its identity there before any part; another identity is an error, never success. */
  async claim(folder: string, id: BatchId): Promise<void> {
    // Callers have identities of partitions, too.
    const own = identityText({ ...id, partition: undefined })
    if (this.#last === folder + own) return
    const { fileSystem } = this
    await fileSystem.makeDirectory(folder)
    try {
      await fileSystem.create(joinPath(folder, IDENTITY), Buffer.from(`${own}\n`))
    } catch (error) {
      if (!isSluiceError(error, 'FILE_EXISTS')) throw error
      const found = (await identityIn(fileSystem, folder)) ?? ''
      if (found !== own) throw identityConflict(folder, found)
    }
    // Also where it was there: who made it may have ended before this.
    await fileSystem.syncDirectory(folder)
    await fileSystem.syncDirectory(dirnameOf(folder))
    this.#last = folder + own
  }
}

/** What a batch is, or one partition of it, as it is written down. */
function identityText({
  app,
  output,
  batchTime,
  partitions,
  planDigest,
  partition,
}: BatchId & { partition?: number | undefined }): string {
  return JSON.stringify({ app, output, batchTime, partitions, planDigest, partition })
}

/** The identity in a folder; undefined where there is none. */
async function identityIn(fileSystem: FileSystem, folder: string): Promise<string | undefined> {
  try {
    const bytes = await fileSystem.read(joinPath(folder, IDENTITY))
    return Buffer.from(bytes).toString('utf8').trim()
  } catch (error) {
    if (isSluiceError(error, 'FILE_NOT_FOUND')) return undefined
    throw error
  }
}

/** Makes a folder, and what is missing above it, so that a power cut takes none of them away. */
async function makeDurableFolder(fileSystem: FileSystem, folder: string): Promise<void> {
  if ((await fileSystem.stat(folder)) !== undefined) return
  const above = dirnameOf(folder)
  if (above !== folder) await makeDurableFolder(fileSystem, above)
  await fileSystem.makeDirectory(folder)
  await fileSystem.syncDirectory(above)
}

/** Looking into more would take long where another application has written here before. */
const NEWEST_FOLDERS = 16

/** Throws `LOG_BEHIND_SINK` when this output has a batch here that is newer than the log's last one (E1). */
async function requireLogAhead(
  fileSystem: FileSystem,
  parent: string,
  folderOf: (time: number | string) => string,
  { app, output, lastPlanned = -Infinity }: SinkContext,
): Promise<void> {
  const [start = '', end = ''] = basenameOf(folderOf('*')).split('*')
  const times: number[] = []
  for await (const { name } of fileSystem.list(parent)) {
    if (!name.startsWith(start) || !name.endsWith(end) || name.length <= start.length + end.length) continue
    const text = name.slice(start.length, name.length - end.length)
    if (/^\d+$/.test(text) && Number(text) > lastPlanned) times.push(Number(text))
  }
  for (const time of times.sort((a, b) => b - a).slice(0, NEWEST_FOLDERS)) {
    const identity = await identityIn(fileSystem, folderOf(time))
    if (identity?.startsWith(JSON.stringify({ app, output }).slice(0, -1)) === true) throw logBehind(folderOf(time))
  }
}

function logBehind(folder: string): SluiceError {
  return new SluiceError({
    code: 'LOG_BEHIND_SINK',
    component: COMPONENT,
    message: `${folder} is newer than the last batch of the log; restore the log that belongs to it, or write to a new place`,
  })
}

function identityConflict(folder: string, found: string): SluiceError {
  return new SluiceError({
    code: 'IDENTITY_CONFLICT',
    component: COMPONENT,
    message: `${basenameOf(folder)} belongs to another run or batch (${found}); write to a new place, or remove the folder`,
  })
}

async function markSuccess(folders: ClaimedFolders, folder: string, id: BatchId, skipEmpty: boolean): Promise<void> {
  const { fileSystem } = folders
  // A batch without partitions has written nothing that could have made the folder.
  if (!skipEmpty) await folders.claim(folder, id)
  else if ((await fileSystem.stat(folder)) === undefined) return
  await removeLeftovers(fileSystem, folder, id.epoch)
  try {
    await fileSystem.create(joinPath(folder, SUCCESS), new Uint8Array())
  } catch (error) {
    if (!isSluiceError(error, 'FILE_EXISTS')) throw error
  }
  await fileSystem.syncDirectory(folder)
}

/** What processes of lower epochs have left unfinished. Those of this one remove their own. */
async function removeLeftovers(fileSystem: FileSystem, folder: string, epoch: number): Promise<void> {
  if (epoch === 0) return
  const names: string[] = []
  for await (const { name } of fileSystem.list(folder)) {
    const match = /^_temporary-\d+-(\d+)-\d+$/.exec(name)
    if (match !== null && Number(match[1]) < epoch) names.push(name)
  }
  for (const name of names) await fileSystem.remove(joinPath(folder, name))
}
