/** Processes that follow one another on one disk, for tests of what outlives them. */
import type { StreamingContextOptions } from '../context/streaming-context.js'
import type { FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { ManualClock } from '../time/manual-clock.js'
import { harness, type Harness } from './harness.js'
import { LedgerStore } from './ledger-store.js'
import { mortalFileSystem } from './mortal-file-system.js'

export interface Run extends Harness {
  /** The process dies: nothing that it does reaches the disk any more, and nothing answers it. */
  kill(): void
}

export class Restarts {
  readonly disk: FileSystem
  /** A store outside of all processes. */
  readonly store = new LedgerStore()
  #clock = new ManualClock()

  constructor(disk: FileSystem = memoryFileSystem()) {
    this.disk = disk
  }

  /** The time at which the last one was left. */
  get nowMs(): number {
    return this.#clock.now()
  }

  /** A context on the checkpoint `ckpt` of the disk, at `nowMs`. */
  launch(options: Partial<StreamingContextOptions> = {}, nowMs = this.nowMs): Run {
    const mortal = mortalFileSystem(this.disk)
    const clock = new ManualClock(nowMs)
    this.#clock = clock
    const { fileSystem: localFileSystem } = mortal
    const app = harness({ localFileSystem, checkpoint: 'ckpt', takeOver: true, ...options, clock })
    return { ...app, kill: mortal.kill }
  }
}
