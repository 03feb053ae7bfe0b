/**
 * Who owns a checkpoint folder (E7). Each owner has an epoch, one above the last. It is taken before anything is read, so
 * that whoever owned the folder before learns of it, by `confirm`, before it claims anything more.
 */
import { isSluiceError, messageOf, requireArgument, SluiceError, toError } from '../errors.js'
import type { Logger } from '../observe/logger.js'
import type { FileSystem } from '../storage/file-system.js'
import { systemHost, type Host } from '../storage/host.js'
import { joinPath } from '../storage/paths.js'
import { fateOf, systemProcesses, type ProcessIdentity, type ProcessTable } from '../storage/process-table.js'
import type { Clock } from '../time/clock.js'
import { EpochFiles, OWNERSHIP_COMPONENT, type OwnerRecord } from './epoch-files.js'

const DEFAULT_LEASE_MS = 30_000
// An owner may miss two renewals before others may think it dead.
const RENEWALS_PER_LEASE = 3
const LOOKS_PER_LEASE = 10
const DATA_FOLDER = /^data-(\d{10})$/

export interface OwnershipOptions {
  readonly fileSystem: FileSystem
  /** Made where it is missing. */
  readonly folder: string
  /** A label, for people. */
  readonly appName: string
  readonly clock: Clock
  readonly logger: Logger
  /** How long this owner may show no sign of life before a process of another machine may think it dead. Default: 30 s. */
  readonly leaseMs?: number | undefined
  /** Takes the folder also from an owner that lives, because it hangs. Default: false. */
  readonly takeOver?: boolean | undefined
  /** Default: the processes of this machine. */
  readonly processes?: ProcessTable | undefined
  /** Default: random. */
  readonly newIdentity?: Host['newIdentity'] | undefined
}

type OwnerState = 'released' | 'dead' | 'alive' | 'unknown'

/** How the owner before this one ended: `alive` and `unknown` only with `takeOver`. */
type PreviousState = OwnerState | 'lease ran out'

interface PreviousOwner {
  readonly epoch: number
  readonly identity: ProcessIdentity
  readonly state: PreviousState
}

export interface Ownership {
  /** Identity of the application, as random as it was when the checkpoint was made (E1). */
  readonly app: string
  readonly epoch: number
  /** Where this owner's logs stand. On a local disk it has another name for each owner. */
  readonly folder: string
  readonly previous: PreviousOwner | undefined
  /** Processes of this machine that still live and were replaced because they hang: they have locks, perhaps (E8). */
  readonly replaced: readonly ProcessIdentity[]
  /**
   * Resolves while this is the owner, rejects with `FENCED` when somebody took over. To be called after a commit is durable
   * and before anything is acknowledged or trimmed: the next owner reads the log only after this would reject.
   */
  confirm(): Promise<void>
  /** Ends the ownership, so that the next owner need not wait. Idempotent. */
  release(): Promise<void>
}

/**
 * Takes the folder for this process. Rejects with `CHECKPOINT_OWNED` while its owner lives. Whether one on another machine
 * lives is seen by its lease: the call then takes until there is a sign of life, or for one lease.
 */
export async function takeOwnership(options: OwnershipOptions): Promise<Ownership> {
  const { fileSystem, folder, appName, clock, logger, leaseMs = DEFAULT_LEASE_MS } = options
  const host = systemHost()
  const { processes = host.processes, newIdentity = host.newIdentity } = options
  requirePlatform(processes, folder)
  requireArgument(leaseMs > 0, OWNERSHIP_COMPONENT, `leaseMs must be above 0, not ${String(leaseMs)}; raise it`)
  const files = new EpochFiles(fileSystem, folder)
  const { app, appName: storedName } = await files.openApp(appName, newIdentity)
  if (storedName !== appName) logger.warn(`${folder} holds the checkpoint of ${storedName}, now used by ${appName}`)
  const identity = await processes.self()
  const { previous, record } = await new Taking(files, {
    clock,
    logger,
    processes,
    newIdentity,
    identity,
    leaseMs,
  }).take(options.takeOver ?? false)
  const dataFolder = await claimDataFolder(fileSystem, files, record.epoch)
  return new HeldOwnership(
    fileSystem,
    files,
    { app, epoch: record.epoch, folder: dataFolder, previous, replaced: record.replaced ?? [] },
    options,
  )
}

/** Why something failed in the folder: that somebody has taken it over, where that is so; the paths are gone then (E7). */
export async function causeOf(error: unknown, ownership: Ownership): Promise<Error> {
  try {
    await ownership.confirm()
  } catch (fenced) {
    if (isSluiceError(fenced, 'FENCED')) return fenced
  }
  return toError(error)
}

function requirePlatform({ platform }: ProcessTable, folder: string): void {
  if (platform !== 'win32') return
  const message = `checkpoints (${folder}) are not supported on Windows; use Linux or macOS, or leave checkpoint out`
  throw new SluiceError({ code: 'CHECKPOINT_UNAVAILABLE', component: OWNERSHIP_COMPONENT, message })
}

interface Taker {
  readonly clock: Clock
  readonly logger: Logger
  readonly processes: ProcessTable
  readonly newIdentity: Host['newIdentity']
  readonly identity: ProcessIdentity
  readonly leaseMs: number
}

interface Taken {
  readonly record: OwnerRecord
  readonly previous: PreviousOwner | undefined
}

/** The way to the next epoch. */
class Taking {
  readonly #files: EpochFiles
  readonly #taker: Taker

  constructor(files: EpochFiles, taker: Taker) {
    this.#files = files
    this.#taker = taker
  }

  /** Of those who try for the same epoch one gets it; the others find a living owner, whom they do not replace. */
  async take(takeOver: boolean): Promise<Taken> {
    const { epoch } = await this.#files.newest()
    const previous = epoch === 0 ? undefined : await this.#leave(epoch, takeOver)
    const { identity, leaseMs, newIdentity } = this.#taker
    const replaced = previous === undefined ? [] : await this.#livingBefore(previous)
    const record = { epoch: epoch + 1, nonce: newIdentity(), leaseMs, identity, replaced }
    if (await this.#files.take(record)) return { record, previous }
    return this.take(false)
  }

  /** How the owner of `epoch` is to be left. Rejects where it is not. */
  async #leave(epoch: number, takeOver: boolean): Promise<PreviousOwner> {
    const owner = await this.#files.read(epoch)
    const seen = await this.#stateOf(owner)
    const state = seen === 'unknown' && !takeOver ? await this.#watch(owner) : seen
    if (state === 'alive' && !takeOver) throw ownedError(this.#files.folder, owner)
    return { epoch, identity: owner.identity, state }
  }

  /** The owner before where it is taken over from, and those whom it took over from and perhaps did not end. */
  async #livingBefore({ epoch, identity, state }: PreviousOwner): Promise<ProcessIdentity[]> {
    const { replaced = [] } = await this.#files.read(epoch)
    const living: ProcessIdentity[] = []
    for (const each of state === 'alive' ? [...replaced, identity] : replaced) {
      const isSelf = each.pid === this.#taker.identity.pid
      if (!isSelf && (await fateOf(each, this.#taker.processes)) === 'alive') living.push(each)
    }
    return living
  }

  #stateOf(owner: OwnerRecord): Promise<OwnerState> {
    return stateOf(owner, this.#files, this.#taker.processes)
  }

  /** Looks for one lease whether the owner gives a sign of life. Only this process's own monotonic clock counts. */
  async #watch({ epoch, identity, leaseMs }: OwnerRecord): Promise<PreviousState> {
    const { clock, logger } = this.#taker
    const owner = `process ${String(identity.pid)} on ${identity.host}`
    logger.info(`${this.#files.folder} was owned by ${owner}; waiting up to ${String(leaseMs)} ms for a sign of life`)
    const { traces } = await this.#files.newest()
    const end = clock.monotonic() + leaseMs
    for (let left = leaseMs; left > 0; left = end - clock.monotonic()) {
      await clock.sleep(Math.min(left, leaseMs / LOOKS_PER_LEASE))
      const now = await this.#files.newest()
      if (now.epoch === epoch && now.released) return 'released'
      if (now.epoch !== epoch || now.traces !== traces) return 'alive'
    }
    return 'lease ran out'
  }
}

async function stateOf(
  { epoch, identity }: OwnerRecord,
  files: EpochFiles,
  processes: ProcessTable,
): Promise<OwnerState> {
  const newest = await files.newest()
  if (newest.epoch === epoch && newest.released) return 'released'
  return fateOf(identity, processes)
}

/** Whose a folder is, for those who only look. */
export interface OwnershipReport {
  readonly app: string
  readonly appName: string
  /** The last one; undefined where there was none. `unknown`: of another machine, which only its lease tells of. */
  readonly owner: { readonly epoch: number; readonly identity: ProcessIdentity; readonly state: OwnerState } | undefined
  /** Where the logs stand; undefined where no owner has made that folder. */
  readonly dataFolder: string | undefined
}

/** Looks and changes nothing. Rejects with `FILE_NOT_FOUND` where the folder holds no checkpoint. */
export async function inspectOwnership(
  fileSystem: FileSystem,
  folder: string,
  processes: ProcessTable = systemProcesses(),
): Promise<OwnershipReport> {
  const files = new EpochFiles(fileSystem, folder)
  const { app, appName } = await files.readApp()
  const { epoch } = await files.newest()
  const record = epoch === 0 ? undefined : await files.read(epoch)
  const owner = record && {
    epoch,
    identity: record.identity,
    state: await stateOf(record, files, processes),
  }
  const newest = fileSystem.supports.rename ? await newestDataFolder(fileSystem, folder) : undefined
  const path = joinPath(folder, newest === undefined ? 'data' : dataName(newest))
  return { app, appName, owner, dataFolder: (await fileSystem.stat(path)) === undefined ? undefined : path }
}

function ownedError(folder: string, { epoch, identity: { pid, host } }: OwnerRecord): SluiceError {
  const owner = `process ${String(pid)} on ${host} (epoch ${String(epoch)})`
  const message = `${folder} is owned by ${owner}, which lives; stop it, or start with takeOver: true if it hangs`
  return new SluiceError({ code: 'CHECKPOINT_OWNED', component: OWNERSHIP_COMPONENT, message })
}

/** The folder for the logs of `epoch`: where folders can be renamed it was the last owner's, whose paths are gone now. */
async function claimDataFolder(fileSystem: FileSystem, files: EpochFiles, epoch: number): Promise<string> {
  const claimed = await (fileSystem.supports.rename
    ? renameDataFolder(fileSystem, files.folder, epoch)
    : makeDataFolder(fileSystem, files.folder, 'data'))
  // Somebody who came meanwhile may have looked before this folder was there.
  if (await files.exists(epoch + 1)) throw fencedError(files.folder, epoch)
  return claimed
}

async function renameDataFolder(fileSystem: FileSystem, folder: string, epoch: number): Promise<string> {
  const newest = await newestDataFolder(fileSystem, folder)
  if (newest === undefined) return makeDataFolder(fileSystem, folder, dataName(epoch))
  if (newest > epoch) throw fencedError(folder, epoch)
  const path = joinPath(folder, dataName(epoch))
  try {
    if (newest !== epoch) await fileSystem.rename(joinPath(folder, dataName(newest)), path)
  } catch (error) {
    if (!isSluiceError(error, 'FILE_NOT_FOUND')) throw error
    // An owner between, who was slow, has just renamed it.
    return renameDataFolder(fileSystem, folder, epoch)
  }
  await fileSystem.syncDirectory(folder)
  return path
}

async function makeDataFolder(fileSystem: FileSystem, folder: string, name: string): Promise<string> {
  const path = joinPath(folder, name)
  await fileSystem.makeDirectory(path)
  await fileSystem.syncDirectory(folder)
  return path
}

function dataName(epoch: number): string {
  return `data-${String(epoch).padStart(10, '0')}`
}

/** The epoch in the name of the newest data folder: not always that of the last owner, who may have died before it renamed. */
async function newestDataFolder(fileSystem: FileSystem, folder: string): Promise<number | undefined> {
  let newest: number | undefined
  for await (const { name, kind } of fileSystem.list(folder)) {
    const [, epoch] = DATA_FOLDER.exec(name) ?? []
    if (epoch !== undefined && kind === 'directory') newest = Math.max(newest ?? 0, Number(epoch))
  }
  return newest
}

function fencedError(folder: string, epoch: number): SluiceError {
  const message = `another process has taken over ${folder} from this one (epoch ${String(epoch)}); it must end, the new owner goes on`
  return new SluiceError({ code: 'FENCED', component: OWNERSHIP_COMPONENT, message })
}

type Held = Pick<Ownership, 'app' | 'epoch' | 'folder' | 'previous' | 'replaced'>

class HeldOwnership implements Ownership {
  readonly app: string
  readonly epoch: number
  readonly folder: string
  readonly previous: PreviousOwner | undefined
  readonly replaced: readonly ProcessIdentity[]
  readonly #fileSystem: FileSystem
  readonly #files: EpochFiles
  readonly #ended = new AbortController()
  readonly #renewing: Promise<void>
  #released: Promise<void> | undefined

  constructor(fileSystem: FileSystem, files: EpochFiles, held: Held, options: OwnershipOptions) {
    this.#fileSystem = fileSystem
    this.#files = files
    this.app = held.app
    this.epoch = held.epoch
    this.folder = held.folder
    this.previous = held.previous
    this.replaced = held.replaced
    this.#renewing = this.#renew(options)
  }

  async confirm(): Promise<void> {
    if (!(await this.#isOwner())) throw fencedError(this.#files.folder, this.epoch)
  }

  async #isOwner(): Promise<boolean> {
    if (await this.#files.exists(this.epoch + 1)) return false
    // Also after many owners, when the next one's record may have been put away.
    return !this.#fileSystem.supports.rename || (await this.#fileSystem.stat(this.folder)) !== undefined
  }

  release(): Promise<void> {
    return (this.#released ??= this.#release())
  }

  async #release(): Promise<void> {
    this.#ended.abort()
    await this.#renewing
    if (await this.#isOwner()) await this.#files.markReleased(this.epoch)
  }

  /** Gives signs of life. One that fails is no reason to stop: at worst somebody takes over, and `confirm` tells. */
  async #renew({ clock, logger, leaseMs = DEFAULT_LEASE_MS }: OwnershipOptions): Promise<void> {
    const { signal } = this.#ended
    for (let count = 1; !signal.aborted; count++) {
      await clock.sleep(leaseMs / RENEWALS_PER_LEASE, signal).catch(() => undefined)
      if (signal.aborted) return
      await this.#files.renew(this.epoch, count).catch((error: unknown) => {
        logger.warn(`the lease of ${this.#files.folder} could not be renewed: ${messageOf(error)}`)
      })
    }
  }
}
