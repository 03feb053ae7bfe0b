/** What a file source remembers of a folder: which names it has judged, and which files still wait for their batch. */

/** A file as it was when it was planned. */
export interface PlannedFile {
  readonly path: string
  readonly sizeBytes: number
  readonly modifiedMs: number
}

/** More than this many names of files that are gone are let go of. */
const SWEEP_NAMES = 10_000

/**
 * Names that have been judged. Each counts once, for as long as every listing shows it: one that was gone in between is new
 * again. So a file is looked at once, however often its folder is listed.
 */
export class JudgedNames {
  /** The last listing that showed the name, by number. */
  readonly #seen = new Map<string, number>()
  #listing = 1
  #shown = 0

  get size(): number {
    return this.#seen.size
  }

  /** Whether the name, shown by the current listing, has been judged. */
  has(name: string): boolean {
    const last = this.#seen.get(name)
    if (last === undefined || last < this.#listing - 1) return false
    if (last !== this.#listing) this.add(name)
    return true
  }

  add(name: string): void {
    this.#seen.set(name, this.#listing)
    this.#shown++
  }

  /** The current listing was whole: a name that it did not show is gone. */
  endListing(): void {
    if (this.#seen.size > 2 * this.#shown + SWEEP_NAMES) {
      for (const [name, last] of this.#seen) if (last < this.#listing) this.#seen.delete(name)
    }
    this.#listing++
    this.#shown = 0
  }
}

/** Files found lately and their times: one that a listing has left out by mistake is no new one when it is shown again. */
export class FoundFiles {
  readonly #rememberMs: number
  #recent = new Map<string, number>()
  #older = new Map<string, number>()
  #turnedAt: number | undefined

  constructor(rememberMs: number) {
    this.#rememberMs = rememberMs
  }

  has(name: string, modifiedMs: number): boolean {
    return (this.#recent.get(name) ?? this.#older.get(name)) === modifiedMs
  }

  add(name: string, modifiedMs: number): void {
    this.#recent.set(name, modifiedMs)
  }

  /** What was found longer ago than the remembered time is let go of, all at once: a million entries need no loop. */
  endListing(time: number): void {
    this.#turnedAt ??= time
    if (time - this.#turnedAt < this.#rememberMs) return
    this.#older = this.#recent
    this.#recent = new Map()
    this.#turnedAt = time
  }
}

/** Files by time, equal times by path: a heap, as sorting a million at once would hold up everything else. */
export class WaitingFiles {
  readonly #heap: PlannedFile[] = []

  get size(): number {
    return this.#heap.length
  }

  push(file: PlannedFile): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = heap[up] as PlannedFile
      if (!isBefore(file, parent)) break
      heap[at] = parent
      at = up
    }
    heap[at] = file
  }

  get first(): PlannedFile | undefined {
    return this.#heap[0]
  }

  /** Takes the first one. */
  shift(): PlannedFile | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let at = 0
    for (let down = this.#firstChild(at); down < heap.length; down = this.#firstChild(at)) {
      const child = heap[down] as PlannedFile
      if (!isBefore(child, last)) break
      heap[at] = child
      at = down
    }
    heap[at] = last
    return first
  }

  /** Index of the child that comes first. */
  #firstChild(at: number): number {
    const left = 2 * at + 1
    const [a, b] = [this.#heap[left], this.#heap[left + 1]]
    return a !== undefined && b !== undefined && isBefore(b, a) ? left + 1 : left
  }
}

/** Where a file stands in the order of all. */
export type FilePlace = Pick<PlannedFile, 'path' | 'modifiedMs'>

export function isBefore(a: FilePlace, b: FilePlace): boolean {
  return a.modifiedMs < b.modifiedMs || (a.modifiedMs === b.modifiedMs && a.path < b.path)
}
