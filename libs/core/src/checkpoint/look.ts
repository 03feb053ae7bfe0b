/** A look at a checkpoint from outside, without its program: reads all of it and changes nothing. */
import { isSluiceError, messageOf } from '../errors.js'
import { encodeKey } from '../rdd/keys.js'
import { CAME, CHANGED, type StateChanges } from '../state/state-columns.js'
import type { FileSystem } from '../storage/file-system.js'
import { joinPath } from '../storage/paths.js'
import type { ProcessTable } from '../storage/process-table.js'
import { decodeEntry, type BatchEntry } from './entries.js'
import type { LogEntry, LogReport } from './entry-log.js'
import { LogImage, requireBeginning } from './log-image.js'
import { inspectEntryLog } from './open-log.js'
import { inspectOwnership, type OwnershipReport } from './ownership.js'
import { inspectSnapshots, type SnapshotBase, type SnapshotDamage } from './snapshots.js'

/** What is kept of one operator. */
interface StateSize {
  readonly keys: number
  /** In the newest snapshot; 0 where it is not in it. */
  readonly snapshotBytes: number
}

export interface CheckpointLook extends OwnershipReport {
  readonly image: LogImage
  /** By id of the operator. */
  readonly states: ReadonlyMap<string, StateSize>
  readonly batches: LogReport
  readonly records: LogReport
  readonly snapshot: SnapshotBase | undefined
  /** Of all snapshots that are there. */
  readonly snapshotFiles: { readonly files: number; readonly bytes: number }
  readonly damage: readonly SnapshotDamage[]
}

const EMPTY: LogReport = {
  entries: 0,
  bytes: 0,
  firstSequence: undefined,
  lastSequence: undefined,
  damage: undefined,
  tornBytes: 0,
}
/** While the application runs, what was listed may be gone before it is read, or read while it is half written. */
const LOOKS = 5

/** Rejects with `FILE_NOT_FOUND` where the folder holds no checkpoint. */
export async function lookAtCheckpoint(
  fileSystem: FileSystem,
  folder: string,
  processes?: ProcessTable,
): Promise<CheckpointLook> {
  for (let look = 1; ; look++) {
    const ownership = await inspectOwnership(fileSystem, folder, processes)
    try {
      const looked = await new Looking(fileSystem, ownership).look()
      const isStill =
        looked.damage.length === 0 || ownership.owner?.state === 'dead' || ownership.owner?.state === 'released'
      if (isStill || look === LOOKS) return looked
    } catch (error) {
      if (look === LOOKS || !isSluiceError(error, 'FILE_NOT_FOUND')) throw error
    }
  }
}

class Looking {
  readonly #fileSystem: FileSystem
  readonly #ownership: OwnershipReport
  readonly #keys = new StateKeys()
  readonly #damage: SnapshotDamage[] = []

  constructor(fileSystem: FileSystem, ownership: OwnershipReport) {
    this.#fileSystem = fileSystem
    this.#ownership = ownership
  }

  async look(): Promise<CheckpointLook> {
    const snapshots = await this.#lookAtSnapshots()
    const reader = new ImageReader(snapshots.base, this.#keys)
    const batches = await this.#lookAtLog('batches', (entry) => {
      reader.add(entry)
    })
    const records = await this.#lookAtLog('records')
    return {
      ...this.#ownership,
      image: reader.image,
      states: this.#keys.sizes(),
      batches,
      records,
      snapshot: snapshots.base,
      snapshotFiles: { files: snapshots.files, bytes: snapshots.bytes },
      damage: this.#damage,
    }
  }

  async #lookAtSnapshots(): Promise<{
    readonly base: SnapshotBase | undefined
    readonly files: number
    readonly bytes: number
  }> {
    const folder = await this.#folder('snapshots')
    if (folder === undefined) return { base: undefined, files: 0, bytes: 0 }
    const { damage, ...found } = await inspectSnapshots({ fileSystem: this.#fileSystem, folder }, (piece, bytes) => {
      this.#keys.addRows(piece.id, piece.keys, bytes)
    })
    this.#damage.push(...damage)
    return found
  }

  async #lookAtLog(name: string, onEntry?: (entry: LogEntry) => void): Promise<LogReport> {
    const folder = await this.#folder(name)
    if (folder === undefined) return EMPTY
    let wrong: SnapshotDamage | undefined
    const report = await inspectEntryLog({ fileSystem: this.#fileSystem, folder }, (entry) => {
      try {
        if (wrong === undefined) onEntry?.(entry)
      } catch (error) {
        wrong = { file: folder, offset: 0, reason: `entry ${String(entry.sequence)}: ${messageOf(error)}` }
      }
    })
    for (const damage of [report.damage, wrong]) if (damage !== undefined) this.#damage.push(damage)
    return report
  }

  async #folder(name: string): Promise<string | undefined> {
    if (this.#ownership.dataFolder === undefined) return undefined
    const folder = joinPath(this.#ownership.dataFolder, name)
    return (await this.#fileSystem.stat(folder)) === undefined ? undefined : folder
  }
}

/** Brings an image up to the end of the log, from the snapshot on. */
export class ImageReader {
  readonly image: LogImage
  readonly #from: number
  readonly #keys: StateKeys | undefined
  #pending: { readonly entry: BatchEntry & { readonly type: 'state' }; readonly epoch: number }[] = []

  constructor(base: SnapshotBase | undefined, keys?: StateKeys) {
    this.image = new LogImage(base?.image)
    this.#from = base?.sequence ?? 0
    this.#keys = keys
  }

  add({ type, payload, sequence, epoch }: LogEntry): void {
    if (sequence < this.#from) return
    const entry = decodeEntry(type, payload)
    // Of a newer version: what is known is shown.
    if (entry === undefined) return
    requireBeginning(this.image, entry)
    if (entry.type === 'state' && this.#keys !== undefined) this.#pending.push({ entry, epoch })
    if (entry.type === 'commit') this.#commit(entry.time, epoch)
    this.image.apply(entry)
  }

  /** Changes count as they do for the application: with the commit of the same owner. */
  #commit(time: number, epoch: number): void {
    for (const { entry, epoch: writer } of this.#pending) {
      if (writer === epoch && entry.time === time) this.#keys?.apply(entry.id, entry)
    }
    this.#pending = []
  }
}

/** Which keys each operator holds. */
class StateKeys {
  readonly #states = new Map<string, { readonly keys: Set<string>; bytes: number }>()

  addRows(id: string, keys: readonly unknown[], sizeBytes: number): void {
    const state = this.#state(id)
    state.bytes += sizeBytes
    for (const key of keys) state.keys.add(encodeKey(key, id))
  }

  apply(id: string, { keys, kinds, values, slices }: StateChanges): void {
    const state = this.#state(id)
    for (const [at, key] of keys.entries()) {
      const text = encodeKey(key, id)
      const hasValue = values[at] !== undefined
      if (kinds[at] === CAME || hasValue) state.keys.add(text)
      else if (kinds[at] === CHANGED && (slices?.[at] ?? 0) === 0) state.keys.delete(text)
    }
  }

  #state(id: string): { readonly keys: Set<string>; bytes: number } {
    const known = this.#states.get(id) ?? { keys: new Set<string>(), bytes: 0 }
    this.#states.set(id, known)
    return known
  }

  sizes(): Map<string, StateSize> {
    return new Map(Array.from(this.#states, ([id, { keys, bytes }]) => [id, { keys: keys.size, snapshotBytes: bytes }]))
  }
}
