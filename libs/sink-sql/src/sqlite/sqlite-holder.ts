/**
 * Who writes to a file by node-sqlite3-wasm. That driver's lock is a folder, `FILE.lock`, and one that a killed process has left
 * behind locks everybody out, while one removed too early lets a woken process erase rows (E8). So a process that writes has itself
 * recorded beside the file, as `FILE.holder.N`, one process at a time; a lock is removed only by the successor of a dead one.
 */
import { basename, dirname, resolve } from 'node:path'
import {
  isProvenDead,
  isSluiceError,
  nodeFileSystem,
  ownProcess,
  type FileSystem,
  type ProcessIdentity,
} from '@sluice/core'
import { sqlError } from '../errors.js'

/** Those of this process, with how many sinks use each. */
const own = new Map<string, { readonly claimed: Promise<string>; users: number }>()

/** Records this process as the file's writer. Rejects while another one may live. Returns what gives it back. */
export async function holdFile(file: string, disk: FileSystem = nodeFileSystem()): Promise<() => Promise<void>> {
  const path = resolve(file)
  const held = own.get(path) ?? { claimed: claim(disk, path), users: 0 }
  own.set(path, held)
  held.users++
  const release = async (): Promise<void> => {
    if (--held.users > 0) return
    own.delete(path)
    await disk.remove(await held.claimed)
  }
  try {
    await held.claimed
  } catch (error) {
    if (--held.users === 0) own.delete(path)
    throw error
  }
  return release
}

/** Rejects while a process may be writing to the file by node-sqlite3-wasm: other drivers do not see its lock. */
export async function requireNotHeld(file: string, disk: FileSystem = nodeFileSystem()): Promise<void> {
  const [last] = await records(disk, resolve(file))
  const holder = last === undefined ? undefined : await holderIn(disk, last.path)
  if (holder !== undefined && !isProvenDead(holder)) throw heldBy(file, holder)
}

interface HolderRecord {
  readonly number: number
  readonly path: string
}

/**
 * The number goes up with each dead holder, so that of two successors one finds the name taken. A lower record than another's means
 * that it was made too late, by what was seen long before.
 */
async function claim(disk: FileSystem, file: string): Promise<string> {
  const before = await records(disk, file)
  const [last] = before
  const holder = last === undefined ? undefined : await holderIn(disk, last.path)
  if (holder !== undefined && !isProvenDead(holder)) throw heldBy(file, holder)
  const number = (last?.number ?? 0) + 1
  const path = `${file}.holder.${String(number)}`
  try {
    await disk.create(path, Buffer.from(JSON.stringify(ownProcess())))
  } catch (error) {
    if (isSluiceError(error, 'FILE_EXISTS')) return claim(disk, file)
    throw error
  }
  const [highest] = await records(disk, file)
  if (highest?.path !== path) {
    await disk.remove(path)
    return claim(disk, file)
  }
  if (holder !== undefined) await disk.removeTree(`${file}.lock`)
  for (const old of before) await disk.remove(old.path)
  return path
}

/** The highest first. */
async function records(disk: FileSystem, file: string): Promise<HolderRecord[]> {
  const prefix = `${basename(file)}.holder.`
  const found: HolderRecord[] = []
  for await (const { name } of disk.list(dirname(file))) {
    const number = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : NaN
    if (Number.isSafeInteger(number)) found.push({ number, path: `${file}.holder.${String(number)}` })
  }
  return found.sort((a, b) => b.number - a.number)
}

/** Undefined when it was given back meanwhile. */
async function holderIn(disk: FileSystem, path: string): Promise<ProcessIdentity | undefined> {
  try {
    return JSON.parse(Buffer.from(await disk.read(path)).toString()) as ProcessIdentity
  } catch (error) {
    if (isSluiceError(error, 'FILE_NOT_FOUND')) return undefined
    throw error
  }
}

function heldBy(file: string, { host, pid }: ProcessIdentity) {
  return sqlError(
    'CONNECTION_FAILED',
    `process ${String(pid)} of ${host} writes to ${file} by node-sqlite3-wasm, which only one process may; stop it, or if it is gone for certain remove ${file}.holder.* and ${file}.lock`,
    { retryable: true },
  )
}
