/** The tree of names behind the memory file system. Errors are those of an operating system, by errno. */
import { errnoError } from './file-errors.js'

/** A file: bytes in a buffer that is larger than they are, so that appending stays cheap. */
export interface MemoryFile {
  readonly kind: 'file'
  buffer: Uint8Array
  sizeBytes: number
  modifiedMs: number
}

export interface MemoryFolder {
  readonly kind: 'directory'
  readonly entries: Map<string, MemoryNode>
  modifiedMs: number
}

export type MemoryNode = MemoryFile | MemoryFolder

/** Where a name stands or would stand. */
export interface Place {
  readonly folder: MemoryFolder
  readonly name: string
  readonly node: MemoryNode | undefined
}

export function newFolder(modifiedMs: number): MemoryFolder {
  return { kind: 'directory', entries: new Map(), modifiedMs }
}

export function newFile(data: Uint8Array, modifiedMs: number): MemoryFile {
  // Not `data.slice()`, which of a Buffer gives a view.
  return { kind: 'file', buffer: new Uint8Array(data), sizeBytes: data.byteLength, modifiedMs }
}

/** Adds bytes at the end. */
export function growFile(file: MemoryFile, data: Uint8Array): void {
  const size = file.sizeBytes + data.byteLength
  if (size > file.buffer.byteLength) {
    const larger = new Uint8Array(Math.max(size, 2 * file.buffer.byteLength))
    larger.set(file.buffer.subarray(0, file.sizeBytes))
    file.buffer = larger
  }
  file.buffer.set(data, file.sizeBytes)
  file.sizeBytes = size
}

/** The names of a path from the root; `.`, `..` and double slashes are resolved, relative paths start at the root. */
export function namesOf(path: string): string[] {
  const names: string[] = []
  for (const name of path.split('/')) {
    if (name === '..') names.pop()
    else if (name !== '' && name !== '.') names.push(name)
  }
  return names
}

/** What stands at `names`. Throws `ENOENT`, and `ENOTDIR` for a path through a file. */
export function nodeAt(root: MemoryFolder, names: readonly string[]): MemoryNode {
  let node: MemoryNode = root
  for (const name of names) {
    if (node.kind === 'file') throw errnoError('ENOTDIR')
    const next = node.entries.get(name)
    if (next === undefined) throw errnoError('ENOENT')
    node = next
  }
  return node
}

export function folderAt(root: MemoryFolder, names: readonly string[]): MemoryFolder {
  const node = nodeAt(root, names)
  if (node.kind === 'file') throw errnoError('ENOTDIR')
  return node
}

export function fileAt(root: MemoryFolder, names: readonly string[]): MemoryFile {
  const node = nodeAt(root, names)
  if (node.kind === 'directory') throw errnoError('EISDIR')
  return node
}

/** The place of `path`, whose folder must exist. */
export function placeAt(root: MemoryFolder, path: string): Place {
  const names = namesOf(path)
  const name = names.at(-1)
  if (name === undefined) throw errnoError('EBUSY')
  const folder = folderAt(root, names.slice(0, -1))
  return { folder, name, node: folder.entries.get(name) }
}

export function setEntry(place: Place, node: MemoryNode, nowMs: number): void {
  place.folder.entries.set(place.name, node)
  place.folder.modifiedMs = nowMs
}

export function deleteEntry(place: Place, nowMs: number): void {
  place.folder.entries.delete(place.name)
  place.folder.modifiedMs = nowMs
}

/** Makes every folder of `names` that is missing. */
export function makeFolders(root: MemoryFolder, names: readonly string[], nowMs: number): void {
  let folder = root
  for (const [depth, name] of names.entries()) {
    const found: MemoryNode = folder.entries.get(name) ?? newFolder(nowMs)
    // As `mkdir -p`: a file at the very name is taken, one on the way is no folder.
    if (found.kind === 'file') throw errnoError(depth === names.length - 1 ? 'EEXIST' : 'ENOTDIR')
    if (!folder.entries.has(name)) setEntry({ folder, name, node: undefined }, found, nowMs)
    folder = found
  }
}

/** `rename` as POSIX has it: replaces a file by a file and an empty folder by a folder; two names of one file both stay. */
export function renameEntry(from: Place, to: Place, nowMs: number): void {
  if (from.node === undefined) throw errnoError('ENOENT')
  if (from.node === to.node) return
  if (from.node.kind === 'directory' && contains(from.node, to.folder)) throw errnoError('EINVAL')
  if (to.node !== undefined) checkReplaceable(from.node, to.node)
  deleteEntry(from, nowMs)
  setEntry(to, from.node, nowMs)
}

function checkReplaceable(source: MemoryNode, target: MemoryNode): void {
  if (target.kind === 'file') {
    if (source.kind === 'directory') throw errnoError('ENOTDIR')
    return
  }
  if (source.kind === 'file') throw errnoError('EISDIR')
  if (target.entries.size > 0) throw errnoError('ENOTEMPTY')
}

function contains(folder: MemoryFolder, wanted: MemoryFolder): boolean {
  if (folder === wanted) return true
  for (const child of folder.entries.values()) {
    if (child.kind === 'directory' && contains(child, wanted)) return true
  }
  return false
}
