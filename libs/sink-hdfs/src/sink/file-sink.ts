/**
 * The sink for files on HDFS, S3 and disks: a file per batch, partition and folder, under a name made of these, put if that is free;
 * and a manifest per batch (E23).
 */
import {
  isSluiceError,
  type BatchId,
  type BatchPartitionId,
  type Sink,
  type SinkContext,
  type SinkGuarantee,
  type SluiceError,
  type WriteContext,
} from '@sluice/core'
import { failureOf, messageOf, toError } from '../errors.js'
import { hasLeftovers } from '../files/leftovers.js'
import { below } from '../files/paths.js'
import { Compaction } from './compaction.js'
import { planOf, type FileSinkOptions, type FileSinkPlan } from './file-sink.config.js'
import { COMPONENT } from './format.js'
import { identityOf, Ledger, outputKey, type ListedFile } from './ledger.js'
import { PartFile } from './part-file.js'

const fail = failureOf(COMPONENT)

/** More batches than one are never under way (E2); that of a run before may be asked for again. */
interface Written {
  readonly identity: string
  readonly files: Map<number, readonly ListedFile[]>
}

/**
 * A sink that writes files. However often a batch is run, each of its files is there once, whole, and its manifest lists it. Read
 * what is listed by `committedFiles`. Throws `ARGUMENT_INVALID` for options that make no sense; what is wrong with the place rejects
 * `start()`.
 */
export function fileSink<T>(options: FileSinkOptions<T>): Sink<T> {
  return new FileSink(planOf(options))
}

class FileSink implements Sink<unknown> {
  readonly '~sluice' = 'sink/1'
  readonly name = COMPONENT
  readonly target: string
  readonly guarantee: SinkGuarantee = {
    level: 'effectively-once',
    condition:
      'each file appears whole, once, under a name made of batch and partition, and counts when the manifest lists it; ' +
      'files cannot shut out an older process, whose files are the same',
  }
  readonly #plan: FileSinkPlan
  /** By the key of the output: a sink may belong to several. */
  readonly #ledgers = new Map<string, Ledger>()
  readonly #written = new Map<string, Written>()
  readonly #compactions = new Map<string, Compaction>()

  constructor(plan: FileSinkPlan) {
    this.#plan = plan
    this.target = plan.target
  }

  async open(context: SinkContext): Promise<void> {
    const key = outputKey(context)
    const ledger = this.#ledgerOf(key)
    await ledger.prepare()
    await requireLogAhead(ledger, context)
    const { compact, fileSystem, path } = this.#plan
    // Of runs before this one: it has begun nothing yet.
    if (hasLeftovers(fileSystem)) await fileSystem.removeUnfinished(path, (name) => name.includes(`-${key}.`))
    if (compact === undefined) return
    const compaction = new Compaction({ ...this.#plan, compact }, ledger, key, context)
    await compaction.resume()
    this.#compactions.set(key, compaction)
  }

  #ledgerOf(key: string): Ledger {
    let ledger = this.#ledgers.get(key)
    if (ledger === undefined) {
      ledger = new Ledger(this.#plan.fileSystem, this.#plan.path, key)
      this.#ledgers.set(key, ledger)
    }
    return ledger
  }

  async writePartition(
    id: BatchPartitionId,
    chunks: AsyncIterable<readonly unknown[]>,
    context: WriteContext,
  ): Promise<void> {
    const { signal } = context
    const files = new PartFiles(this.#plan, id, signal)
    try {
      await encode(files, chunks, context)
      await context.settleRejects()
      signal.throwIfAborted()
      const key = outputKey(id)
      if (files.list().length > 0) await this.#ledgerOf(key).claim(id)
      for (const file of files.list()) {
        signal.throwIfAborted()
        await file.finish()
      }
      const listed = files.list().map((file) => files.listed(file))
      this.#writtenOf(key, id).files.set(id.partition, listed)
    } catch (error) {
      await files.abandon(error)
      throw asSluiceError(error)
    }
  }

  #writtenOf(key: string, id: BatchId): Written {
    const identity = identityOf(id)
    const standing = this.#written.get(key)
    if (standing?.identity === identity) return standing
    const written = { identity, files: new Map<number, readonly ListedFile[]>() }
    this.#written.set(key, written)
    return written
  }

  async commitBatch(id: BatchId, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    signal.throwIfAborted()
    const key = outputKey(id)
    const ledger = this.#ledgerOf(key)
    const { files } = this.#writtenOf(key, id)
    const all = Array.from({ length: id.partitions }, (_, partition) => files.get(partition))
    if (all.includes(undefined)) {
      // Committed by a run before, or asked for too early.
      if (await ledger.isCommitted(id)) return
      throw fail('OUTPUT_FAILED', `partitions of batch ${String(id.batchTime)} are not written here; write them first`)
    }
    const listed = all.flatMap((each) => each ?? [])
    if (listed.length === 0) return
    await ledger.commit(id, listed)
    await this.#compactions.get(key)?.afterCommit(id.batchTime, signal)
  }
}

async function encode(
  files: PartFiles,
  chunks: AsyncIterable<readonly unknown[]>,
  { signal, reject }: WriteContext,
): Promise<void> {
  let index = 0
  for await (const chunk of chunks) {
    signal.throwIfAborted()
    files.add(chunk, index, reject)
    index += chunk.length
    for (const file of files.list()) await file.flow()
  }
  signal.throwIfAborted()
}

/** The files of one partition, by folder. */
class PartFiles {
  readonly #plan: FileSinkPlan
  readonly #id: BatchPartitionId
  readonly #signal: AbortSignal
  readonly #name: string
  readonly #byFolder = new Map<string, PartFile>()

  constructor(plan: FileSinkPlan, id: BatchPartitionId, signal: AbortSignal) {
    this.#plan = plan
    this.#id = id
    this.#signal = signal
    const { batchTime, partition } = id
    const numbers = `${String(batchTime)}-${String(partition).padStart(5, '0')}`
    this.#name = `part-${numbers}-${outputKey(id)}${plan.format.extension}`
  }

  /** Takes records, of which the first has this index in the partition. */
  add(records: readonly unknown[], first: number, reject: WriteContext['reject']): void {
    const { folderOf } = this.#plan
    const { batchTime } = this.#id
    if (folderOf === undefined) {
      this.#fileIn('').add(records, first, reject)
      return
    }
    for (const [i, record] of records.entries()) {
      try {
        this.#fileIn(folderOf(record, batchTime)).add([record], first + i, reject)
      } catch (error) {
        reject(first + i, toError(error))
      }
    }
  }

  #fileIn(folder: string): PartFile {
    return this.#byFolder.get(folder) ?? this.#begin(folder)
  }

  #begin(folder: string): PartFile {
    const { path, fileSystem, format, bufferBytes } = this.#plan
    const place = {
      fileSystem,
      path: below(path, ...(folder === '' ? [] : [folder]), this.#name),
      identity: identityOf(this.#id, this.#id.partition),
      signal: this.#signal,
    }
    const file = new PartFile(place, format, bufferBytes)
    this.#byFolder.set(folder, file)
    return file
  }

  list(): PartFile[] {
    return [...this.#byFolder.values()].filter(({ records }) => records > 0)
  }

  listed({ path, sizeBytes, records }: PartFile): ListedFile {
    return { path: path.slice(this.#plan.path.length + 1), sizeBytes, records }
  }

  async abandon(reason: unknown): Promise<void> {
    for (const file of this.#byFolder.values()) await file.abandon(reason)
  }
}

/** Throws `LOG_BEHIND_SINK` when this output has a batch here that is newer than the log's last one (E1). */
async function requireLogAhead(ledger: Ledger, { lastPlanned = -Infinity }: SinkContext): Promise<void> {
  const { identity, manifest, plan } = await ledger.times()
  const merged = plan.length === 0 ? undefined : await ledger.readPlan(plan.at(-1) ?? 0)
  const newest = Math.max(-Infinity, ...identity.slice(-1), ...manifest.slice(-1), ...(merged?.times.slice(-1) ?? []))
  if (newest <= lastPlanned) return
  throw fail(
    'LOG_BEHIND_SINK',
    `${ledger.folder} has batch ${String(newest)}, newer than the last batch of the log; restore the log that belongs to it, or write to a new place`,
  )
}

function asSluiceError(error: unknown): SluiceError {
  if (isSluiceError(error)) return error
  return fail('OUTPUT_FAILED', `the files could not be written (${messageOf(error)}); see the cause`, {
    cause: error,
    retryable: true,
  })
}
