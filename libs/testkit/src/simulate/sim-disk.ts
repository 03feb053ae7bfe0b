/** A simulated disk: what it forgets when the power goes, and what fails while it is on. */
import { seededRandom, seedOf, type FileSystem, type Random } from '@sluice/core'
import { crashableFileSystem, type CrashableFileSystem, type Survival } from '@sluice/core/testing'
import type { World } from './world.js'

/** `local`: files grow and can be renamed. `objects`: they are written whole, and machines share it. */
export type DiskLayout = 'local' | 'objects'

const OBJECTS = { append: false, rename: false, link: false }

export class SimDisk {
  readonly layout: DiskLayout
  readonly #world: World
  #disk: CrashableFileSystem
  #failing: string | undefined

  constructor(world: World, layout: DiskLayout) {
    this.#world = world
    this.layout = layout
    this.#disk = crashableFileSystem({
      supports: layout === 'objects' ? OBJECTS : undefined,
      clock: {
        '~sluice': 'clock/1',
        now: () => Math.floor(world.startMs + world.nowMs),
        monotonic: () => world.nowMs,
        sleep: () => Promise.resolve(),
        yield: () => Promise.resolve(),
      },
      fail: () => this.#failing,
    })
  }

  /** As it is since the machine was started: files that are open belong to it. */
  get now(): CrashableFileSystem {
    return this.#disk
  }

  /** Does one thing that fails with this error of the system. */
  async failing<T>(errno: string, work: () => Promise<T>): Promise<T> {
    this.#failing = errno
    try {
      // The disk asks at once whether it shall fail.
      const working = work()
      this.#failing = undefined
      return await working
    } finally {
      this.#failing = undefined
    }
  }

  /** A store of objects stays as it is, whatever becomes of the machines. */
  powerLoss(event: number, pattern: number | undefined): void {
    if (this.layout === 'local')
      this.#disk = this.#disk.crash(survivalOf(pattern, seededRandom(seedOf(this.#world.seed, 'survival', event))))
  }

  /** Another bit stands somewhere in the folder. */
  async flipBit(folder: string, event: number): Promise<void> {
    const random = this.#world.randomFor('flip', event)
    const files = await filesBelow(this.#disk, folder)
    const path = files[random.integer(files.length)]
    if (path === undefined) return
    this.#disk.rot(path, (bytes) => {
      const at = random.integer(bytes.byteLength)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.integer(8))
    })
  }
}

/** What of the unsynced is there after a loss of power. */
function survivalOf(pattern: number | undefined, random: Random): Survival {
  if (pattern === 0) return {}
  if (pattern === 1) return { bytes: (_path, unsynced) => Math.floor(unsynced / 2), name: () => true }
  return { name: () => random.next() < 0.5, tail: (_path, unsynced) => tailOf(unsynced, random) }
}

/** A disk writes pages in any order: nothing, all, a part, a part behind a hole, or all with a bit that flipped. */
function tailOf(unsynced: Uint8Array, random: Random): Uint8Array {
  const size = unsynced.byteLength
  const choice = random.next()
  if (choice < 0.25) return unsynced.subarray(0, 0)
  if (choice < 0.5) return unsynced
  const cut = random.integer(size + 1)
  if (choice < 0.75) return unsynced.subarray(0, cut)
  if (choice < 0.9) return unsynced.fill(0, cut, cut + random.integer(size - cut + 1))
  const at = random.integer(size)
  unsynced[at] = (unsynced[at] ?? 0) ^ (1 << random.integer(8))
  return unsynced
}

async function filesBelow(disk: FileSystem, folder: string): Promise<string[]> {
  if ((await disk.stat(folder)) === undefined) return []
  const files: string[] = []
  for await (const { name, kind } of disk.list(folder)) {
    const path = `${folder}/${name}`
    if (kind === 'directory') files.push(...(await filesBelow(disk, path)))
    else if (((await disk.stat(path))?.sizeBytes ?? 0) > 0) files.push(path)
  }
  return files.sort()
}
