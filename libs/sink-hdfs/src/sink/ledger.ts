/**
 * What a file sink writes down about its files, in a folder of its own for each application and output (E1, E23):
 * `TIME.identity`, put before any file of a batch, `TIME.manifest`, put after all of them, and of compactions `TIME.plan` and
 * `TIME.merged`. All are put if their name is free, and none is ever changed.
 */
import { createHash } from 'node:crypto'
import { isSluiceError, type BatchId, type FileSystem, type SluiceError } from '@sluice/core'
import { failureOf } from '../errors.js'
import { below } from '../files/paths.js'
import { COMPONENT } from './format.js'

const fail = failureOf(COMPONENT)

/** A file as a manifest lists it. */
export interface ListedFile {
  /** Below the sink's folder. */
  readonly path: string
  readonly sizeBytes: number
  readonly records: number
}

interface Manifest {
  readonly identity: string
  readonly files: readonly ListedFile[]
}

/** What a compaction does: written down before it begins. */
export interface MergePlan {
  /** Times of the batches whose manifests it replaces. */
  readonly times: readonly number[]
  readonly merges: readonly { readonly to: ListedFile; readonly from: readonly ListedFile[] }[]
  /** Files that stay as they are. */
  readonly kept: readonly ListedFile[]
}

export type EntryKind = 'identity' | 'manifest' | 'plan' | 'merged'

/** Whose a ledger is: that it has a place of its own. */
export const LEDGERS = '_sluice'
const DIGITS = 16
const NAME = /^(\d{16})\.(identity|manifest|plan|merged)$/

/** A short name of an application's output, in the names of its files. */
export function outputKey({ app, output }: Pick<BatchId, 'app' | 'output'>): string {
  return createHash('sha256')
    .update(JSON.stringify([app, output]))
    .digest('hex')
    .slice(0, 16)
}

/** What a batch is, or one partition of it. */
export function identityOf({ app, output, batchTime, partitions, planDigest }: BatchId, partition?: number): string {
  return JSON.stringify({ app, output, batchTime, partitions, planDigest, partition })
}

export class Ledger {
  readonly folder: string
  readonly #fileSystem: FileSystem
  /** The batch that runs: its other partitions need not ask again. */
  #claimed = ''

  constructor(fileSystem: FileSystem, path: string, key: string) {
    this.#fileSystem = fileSystem
    this.folder = below(path, LEDGERS, key)
  }

  prepare(): Promise<void> {
    return this.#fileSystem.makeDirectory(this.folder)
  }

  /** Puts the batch's identity before any of its files. Another one there is an error, never success. */
  async claim(id: BatchId): Promise<void> {
    const identity = identityOf(id)
    if (this.#claimed === identity) return
    const standing = await this.#putOrRead(id.batchTime, 'identity', identity)
    if (standing !== identity) throw conflict(standing)
    this.#claimed = identity
  }

  /** Lists the files of a batch; those that a run before has listed count. */
  async commit(id: BatchId, files: readonly ListedFile[]): Promise<void> {
    const manifest: Manifest = { identity: identityOf(id), files }
    const text = JSON.stringify(manifest)
    const standing = await this.#putOrRead(id.batchTime, 'manifest', text)
    const { identity } = JSON.parse(standing) as Manifest
    if (identity !== manifest.identity) throw conflict(identity)
  }

  /** Whether the batch is committed already. */
  async isCommitted(id: BatchId): Promise<boolean> {
    const standing = await this.read(id.batchTime, 'manifest')
    if (standing === undefined) return false
    const { identity } = JSON.parse(standing) as Manifest
    if (identity !== identityOf(id)) throw conflict(identity)
    return true
  }

  async filesOf(time: number): Promise<readonly ListedFile[]> {
    const standing = await this.read(time, 'manifest')
    return standing === undefined ? [] : (JSON.parse(standing) as Manifest).files
  }

  /** What stands there afterwards: this, or what somebody has put before. */
  async putPlan(time: number, plan: MergePlan): Promise<MergePlan> {
    return JSON.parse(await this.#putOrRead(time, 'plan', JSON.stringify(plan))) as MergePlan
  }

  async readPlan(time: number): Promise<MergePlan | undefined> {
    const standing = await this.read(time, 'plan')
    return standing === undefined ? undefined : (JSON.parse(standing) as MergePlan)
  }

  async markMerged(time: number): Promise<void> {
    await this.#putOrRead(time, 'merged', '{}')
  }

  /** Times for which there is such an entry, the oldest first. */
  async times(): Promise<Readonly<Record<EntryKind, number[]>>> {
    const times: Record<EntryKind, number[]> = { identity: [], manifest: [], plan: [], merged: [] }
    try {
      for await (const { name } of this.#fileSystem.list(this.folder)) {
        const [, time, kind] = NAME.exec(name) ?? []
        if (kind !== undefined) times[kind as EntryKind].push(Number(time))
      }
    } catch (error) {
      if (!isSluiceError(error, 'FILE_NOT_FOUND')) throw error
    }
    for (const each of Object.values(times)) each.sort((a, b) => a - b)
    return times
  }

  async read(time: number, kind: EntryKind): Promise<string | undefined> {
    try {
      return Buffer.from(await this.#fileSystem.read(this.#pathOf(time, kind))).toString()
    } catch (error) {
      if (isSluiceError(error, 'FILE_NOT_FOUND')) return undefined
      throw error
    }
  }

  remove(time: number, kind: EntryKind): Promise<void> {
    return this.#fileSystem.remove(this.#pathOf(time, kind))
  }

  async #putOrRead(time: number, kind: EntryKind, text: string): Promise<string> {
    try {
      await this.#fileSystem.create(this.#pathOf(time, kind), Buffer.from(text))
      return text
    } catch (error) {
      if (!isSluiceError(error, 'FILE_EXISTS')) throw error
      return (await this.read(time, kind)) ?? text
    }
  }

  #pathOf(time: number, kind: EntryKind): string {
    return below(this.folder, `${String(time).padStart(DIGITS, '0')}.${kind}`)
  }
}

function conflict(found: string): SluiceError {
  const message = `the files of this batch belong to another run or batch (${found}); write to a new place, or remove them`
  return fail('IDENTITY_CONFLICT', message)
}
