/**
 * Snapshots of the state: files that never change once they are written. A snapshot is complete when its last file, the base,
 * is there; it says how many parts there are, and holds the image of the log at that time. Batches go on while a snapshot is
 * written: it may show some of their changes, and the log after its sequence makes them all again.
 */
import { crc32 } from 'node:zlib'
import { SluiceError } from '../errors.js'
import type { StateOperator } from '../state/state-operator.js'
import type { StateRows } from '../state/state-columns.js'
import { decodeRecords, encodeRecords } from '../storage/codec.js'
import type { FileSystem } from '../storage/file-system.js'
import { joinPath } from '../storage/paths.js'
import type { ImageData } from './log-image.js'

export interface SnapshotPlace {
  readonly fileSystem: FileSystem
  readonly folder: string
}

/** The last file of a snapshot. */
export interface SnapshotBase {
  /** The log from here on makes every change that the snapshot may lack. */
  readonly sequence: number
  readonly parts: number
  readonly bytes: number
  readonly image: ImageData
}

/** Where and what is damaged. */
export interface SnapshotDamage {
  readonly file: string
  readonly offset: number
  readonly reason: string
}

/** State of one operator, in part. */
export interface PartPiece extends StateRows {
  readonly id: string
  readonly version: number
}

const DIGITS = 16
const FRAME_BYTES = 8
const PART_BYTES = 4 * 2 ** 20
const NAME = /^(\d{16})(?:-(\d+)[.]part|([.]base))$/

const baseName = (sequence: number): string => `${String(sequence).padStart(DIGITS, '0')}.base`
const partName = (sequence: number, part: number): string =>
  `${String(sequence).padStart(DIGITS, '0')}-${String(part)}.part`

/**
 * Writes all states. `rest` is called after each piece of work, of some milliseconds, and decides when to go on. Resolves
 * with the base when the snapshot is durable.
 */
export async function writeSnapshot(
  place: SnapshotPlace,
  sequence: number,
  states: readonly StateOperator[],
  image: () => ImageData,
  rest: () => Promise<void>,
): Promise<SnapshotBase> {
  const writer = new PartWriter(place, sequence)
  for (const state of states) {
    const { id, format } = state
    for (const partition of state.partitions) {
      for (const rows of partition.rows()) {
        if (rows.keys.length > 0) await writer.add({ id, version: format.version, ...rows })
        await rest()
      }
    }
  }
  await writer.flush()
  await place.fileSystem.syncDirectory(place.folder)
  const base: SnapshotBase = { sequence, parts: writer.parts, bytes: writer.bytes, image: image() }
  await place.fileSystem.create(joinPath(place.folder, baseName(sequence)), framed(base))
  await place.fileSystem.syncDirectory(place.folder)
  return base
}

class PartWriter {
  readonly #place: SnapshotPlace
  readonly #sequence: number
  #pieces: Uint8Array[] = []
  #pending = 0
  parts = 0
  bytes = 0

  constructor(place: SnapshotPlace, sequence: number) {
    this.#place = place
    this.#sequence = sequence
  }

  async add(piece: PartPiece): Promise<void> {
    const frame = framed(piece)
    this.#pieces.push(frame)
    this.#pending += frame.byteLength
    if (this.#pending >= PART_BYTES) await this.flush()
  }

  async flush(): Promise<void> {
    if (this.#pending === 0) return
    const path = joinPath(this.#place.folder, partName(this.#sequence, this.parts))
    const data = Buffer.concat(this.#pieces, this.#pending)
    this.#pieces = []
    this.#pending = 0
    this.parts++
    this.bytes += data.byteLength
    await this.#place.fileSystem.create(path, data)
  }
}

/** Length, checksum, value. */
function framed(value: unknown): Uint8Array {
  const payload = encodeRecords([value])
  const frame = Buffer.allocUnsafeSlow(FRAME_BYTES + payload.byteLength)
  frame.writeUInt32LE(payload.byteLength, 0)
  frame.writeUInt32LE(crc32(payload), 4)
  frame.set(payload, FRAME_BYTES)
  return frame
}

interface Framed {
  readonly payload: Uint8Array
  /** With its frame. */
  readonly bytes: number
}

/** What is framed in a file; ends with the damage, where there is any. */
function* framesOf(bytes: Uint8Array, file: string): Generator<Framed | SnapshotDamage> {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // No file is made without content.
  if (view.byteLength === 0) yield { file, offset: 0, reason: 'the file is empty' }
  for (let at = 0; at < view.byteLength;) {
    const end = at + FRAME_BYTES <= view.byteLength ? at + FRAME_BYTES + view.readUInt32LE(at) : Infinity
    const payload = view.subarray(at + FRAME_BYTES, end)
    if (end > view.byteLength) return yield { file, offset: at, reason: 'the file is cut' }
    if (crc32(payload) !== view.readUInt32LE(at + 4)) return yield { file, offset: at, reason: 'the checksum is wrong' }
    yield { payload, bytes: end - at }
    at = end
  }
}

function* unframed(bytes: Uint8Array, path: string): Generator<unknown> {
  for (const frame of framesOf(bytes, path)) {
    if ('reason' in frame) throw damaged(frame)
    yield decodeRecords(frame.payload)[0]
  }
}

function damaged({ file, offset, reason }: SnapshotDamage): SluiceError {
  return new SluiceError({
    code: 'DATA_CORRUPT',
    component: 'checkpoint',
    message: `the snapshot ${file} is damaged at byte ${String(offset)} (${reason}); restore the folder from a copy`,
  })
}

/** Parts are as long together as the base says: one that was cut between two frames is found by that. */
function sizeDamage({ folder }: SnapshotPlace, base: SnapshotBase, bytes: number): SnapshotDamage | undefined {
  if (bytes === base.bytes) return undefined
  const reason = `its parts hold ${String(bytes)} bytes, and should hold ${String(base.bytes)}`
  return { file: joinPath(folder, baseName(base.sequence)), offset: 0, reason }
}

async function snapshotFiles({ fileSystem, folder }: SnapshotPlace): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of fileSystem.list(folder)) if (NAME.test(name)) names.push(name)
  return names.sort()
}

/** The base of the newest complete snapshot, if there is one. */
export async function readSnapshotBase({ fileSystem, folder }: SnapshotPlace): Promise<SnapshotBase | undefined> {
  const newest = (await snapshotFiles({ fileSystem, folder })).filter((name) => name.endsWith('.base')).at(-1)
  if (newest === undefined) return undefined
  const path = joinPath(folder, newest)
  const [base] = unframed(await fileSystem.read(path), path)
  return base as SnapshotBase
}

/** Hands every piece of a snapshot to the operator that it belongs to; `find` gives undefined for one that is gone. */
export async function readSnapshotParts(
  place: SnapshotPlace,
  base: SnapshotBase,
  find: (id: string) => StateOperator | undefined,
): Promise<void> {
  const { fileSystem, folder } = place
  const { sequence, parts } = base
  let total = 0
  const pathOf = (part: number): string => joinPath(folder, partName(sequence, part))
  // The next part is read while one is decoded.
  let next = parts > 0 ? fileSystem.read(pathOf(0)) : undefined
  for (let part = 0; part < parts; part++) {
    const bytes = await (next as Promise<Uint8Array>)
    next = part + 1 < parts ? fileSystem.read(pathOf(part + 1)) : undefined
    next?.catch(() => undefined)
    total += bytes.byteLength
    for (const piece of unframed(bytes, pathOf(part))) {
      const { id, version, ...rows } = piece as PartPiece
      find(id)?.restoreRows(rows, version)
    }
  }
  const damage = sizeDamage(place, base, total)
  if (damage !== undefined) throw damaged(damage)
}

/** What a look at a folder of snapshots gives. */
export interface SnapshotReport {
  /** The newest complete one. */
  readonly base: SnapshotBase | undefined
  /** Of all files, also of snapshots that are not complete or not the newest. */
  readonly files: number
  readonly bytes: number
  readonly damage: readonly SnapshotDamage[]
}

/** Reads every file and changes nothing; gives each piece of the newest complete snapshot, with its size. */
export async function inspectSnapshots(
  place: SnapshotPlace,
  onPiece: (piece: PartPiece, sizeBytes: number) => void,
): Promise<SnapshotReport> {
  const names = await snapshotFiles(place)
  const newest = names.filter((name) => name.endsWith('.base')).at(-1)
  const damage: SnapshotDamage[] = []
  const sizes = new Map<string, number>()
  let base: SnapshotBase | undefined
  for (const name of names) {
    const path = joinPath(place.folder, name)
    const bytes = await place.fileSystem.read(path)
    sizes.set(name, bytes.byteLength)
    const isOfNewest = newest !== undefined && name.slice(0, DIGITS) === newest.slice(0, DIGITS)
    for (const frame of framesOf(bytes, path)) {
      if ('reason' in frame) damage.push(frame)
      else if (name === newest) base = decodeRecords(frame.payload)[0] as SnapshotBase
      else if (isOfNewest) onPiece(decodeRecords(frame.payload)[0] as PartPiece, frame.bytes)
    }
  }
  if (base !== undefined) damage.push(...missingParts(place, base, sizes))
  return { base, files: names.length, bytes: [...sizes.values()].reduce((a, b) => a + b, 0), damage }
}

function missingParts(place: SnapshotPlace, base: SnapshotBase, sizes: ReadonlyMap<string, number>): SnapshotDamage[] {
  const parts = Array.from({ length: base.parts }, (_, part) => partName(base.sequence, part))
  const missing = parts.filter((name) => !sizes.has(name))
  if (missing.length > 0)
    return missing.map((name) => ({ file: joinPath(place.folder, name), offset: 0, reason: 'the file is not there' }))
  const found = sizeDamage(
    place,
    base,
    parts.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0),
  )
  return found === undefined ? [] : [found]
}

/** Removes every snapshot but this one, also those that were never finished. */
export async function removeOtherSnapshots(place: SnapshotPlace, keep: number | undefined): Promise<void> {
  for (const name of await snapshotFiles(place)) {
    if (Number(name.slice(0, DIGITS)) !== keep) await place.fileSystem.remove(joinPath(place.folder, name))
  }
}
