/** The small files that say whose a checkpoint folder is: `app.json` and, for each owner, `epochs/N.json` and its traces. */
import { crc32 } from 'node:zlib'
import { isSluiceError, SluiceError } from '../errors.js'
import type { FileSystem } from '../storage/file-system.js'
import { dirnameOf, joinPath } from '../storage/paths.js'
import type { ProcessIdentity } from '../storage/process-table.js'

const FORMAT = 'sluice-checkpoint/1'
// `0000000007.json`, `0000000007.lease-3`, `0000000007.released`
const EPOCH_FILE = /^(\d{10})\.(json|lease-\d+|released)$/

export const OWNERSHIP_COMPONENT = 'checkpoint'

/** What an owner says of itself when it takes an epoch. Never changed. */
export interface OwnerRecord {
  readonly epoch: number
  /** Tells who has made this file where the answer of `create` was lost. */
  readonly nonce: string
  readonly leaseMs: number
  readonly identity: ProcessIdentity
  /** Processes of this machine that lived when they were replaced, by this owner or one before. */
  readonly replaced?: readonly ProcessIdentity[] | undefined
}

/** The newest epoch and the files that its owner left. */
export interface NewestEpoch {
  /** 0 where nobody was here before. */
  readonly epoch: number
  readonly released: boolean
  /** Changes whenever the owner renews its lease. */
  readonly traces: string
}

/** Access to these files of one checkpoint folder. */
export class EpochFiles {
  readonly #fileSystem: FileSystem
  readonly folder: string
  readonly #epochs: string

  constructor(fileSystem: FileSystem, folder: string) {
    this.#fileSystem = fileSystem
    this.folder = folder
    this.#epochs = joinPath(folder, 'epochs')
  }

  /** Makes the folders and the application's identity, or reads it. */
  async openApp(
    appName: string,
    newIdentity: () => string,
  ): Promise<{ readonly app: string; readonly appName: string }> {
    await this.#makeFolders()
    const path = joinPath(this.folder, 'app.json')
    await this.#createUnlessThere(path, { format: FORMAT, app: newIdentity(), appName })
    await this.#fileSystem.syncDirectory(this.folder)
    return this.readApp()
  }

  /** The application's identity. Rejects with `FILE_NOT_FOUND` where no application has made one. */
  async readApp(): Promise<{ readonly app: string; readonly appName: string }> {
    const path = joinPath(this.folder, 'app.json')
    const found = await this.#readJson<AppRecord>(path)
    if (found.format === FORMAT) return found
    const message = `${this.folder} holds a checkpoint of format ${found.format}, not ${FORMAT}; use the version of Sluice that wrote it`
    throw new SluiceError({ code: 'CONTRACT_VERSION', component: OWNERSHIP_COMPONENT, message })
  }

  async #makeFolders(): Promise<void> {
    await this.#fileSystem.makeDirectory(this.#epochs)
    // Also where it was there: whoever made it may have died, or failed, before its name was durable.
    await this.#fileSystem.syncDirectory(dirnameOf(this.folder))
  }

  async newest(): Promise<NewestEpoch> {
    const files: { readonly epoch: number; readonly kind: string }[] = []
    for await (const { name } of this.#fileSystem.list(this.#epochs)) {
      const [, epoch, kind] = EPOCH_FILE.exec(name) ?? []
      if (kind !== undefined) files.push({ epoch: Number(epoch), kind })
    }
    const epoch = files.reduce((highest, file) => (file.kind === 'json' ? Math.max(highest, file.epoch) : highest), 0)
    const kinds = files.filter((file) => file.epoch === epoch).map(({ kind }) => kind)
    return { epoch, released: kinds.includes('released'), traces: kinds.sort().join(' ') }
  }

  read(epoch: number): Promise<OwnerRecord> {
    return this.#readJson(this.#path(epoch, 'json'))
  }

  async exists(epoch: number): Promise<boolean> {
    return (await this.#fileSystem.stat(this.#path(epoch, 'json'))) !== undefined
  }

  /** Takes the record's epoch; false when somebody else has it. Durable when it resolves. */
  async take(record: OwnerRecord): Promise<boolean> {
    const path = this.#path(record.epoch, 'json')
    try {
      await this.#fileSystem.create(path, jsonBytes(record))
    } catch (error) {
      // The answer may have been lost, or a repeated request found what the first had made.
      const found = await this.read(record.epoch).catch(() => undefined)
      if (found === undefined) throw error
      if (found.nonce !== record.nonce) return false
    }
    await this.#fileSystem.syncDirectory(this.#epochs)
    return true
  }

  /** Leaves the `count`-th sign of life. Nothing is synced: a machine that lost its power has no owner. */
  async renew(epoch: number, count: number): Promise<void> {
    await this.#fileSystem.create(this.#path(epoch, `lease-${String(count)}`), new Uint8Array(0), { sync: false })
    if (count > 1) await this.#fileSystem.remove(this.#path(epoch, `lease-${String(count - 1)}`))
  }

  async markReleased(epoch: number): Promise<void> {
    await this.#createUnlessThere(this.#path(epoch, 'released'), {})
    await this.#fileSystem.syncDirectory(this.#epochs)
  }

  #path(epoch: number, kind: string): string {
    return joinPath(this.#epochs, `${String(epoch).padStart(10, '0')}.${kind}`)
  }

  async #createUnlessThere(path: string, content: object): Promise<void> {
    try {
      await this.#fileSystem.create(path, jsonBytes(content))
    } catch (error) {
      if (!isSluiceError(error, 'FILE_EXISTS')) throw error
    }
  }

  async #readJson<T>(path: string): Promise<T> {
    const text = Buffer.from(await this.#fileSystem.read(path)).toString()
    const { check, ...content } = parsed<T & { readonly check?: number }>(text, path)
    // A bit that flips must not make another owner of one, or another application (E1).
    if (check !== undefined && check !== checkOf(content)) throw damaged(path, undefined)
    return content as T
  }
}

interface AppRecord {
  readonly format: string
  readonly app: string
  readonly appName: string
}

function damaged(path: string, cause: unknown): SluiceError {
  const message = `${path} is damaged; restore a copy of the checkpoint folder`
  return new SluiceError({ code: 'DATA_CORRUPT', component: OWNERSHIP_COMPONENT, message, cause })
}

function parsed<T>(text: string, path: string): T {
  try {
    return JSON.parse(text) as T
  } catch (cause) {
    throw damaged(path, cause)
  }
}

function checkOf(content: object): number {
  return crc32(JSON.stringify(content))
}

function jsonBytes(content: object): Uint8Array {
  return Buffer.from(`${JSON.stringify({ ...content, check: checkOf(content) })}\n`)
}
