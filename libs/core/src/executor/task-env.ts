/** What a running task has at hand, made of what the executor has. */
import { openSource } from '../rdd/open.js'
import type { StageCache } from '../rdd/compile.js'
import type { TaskInfo } from '../rdd/op.js'
import type { BlockRecords, Chunks, Pacer, Source, Spill, TaskEnv } from '../rdd/pipeline.js'
import type { StorageLevel } from '../rdd/types.js'
import type { Loan } from '../storage/lease.js'
import type { TaskServices } from './executor.js'

export class ServiceTaskEnv implements TaskEnv {
  readonly info: TaskInfo
  readonly stages: StageCache
  readonly pacer: Pacer
  readonly #services: TaskServices
  readonly #spills: { remove(): Promise<void> }[] = []

  constructor(info: TaskInfo, stages: StageCache, pacer: Pacer, services: TaskServices) {
    this.info = info
    this.stages = stages
    this.pacer = pacer
    this.#services = services
  }

  get spillRecords(): number {
    return this.#services.spillRecords
  }

  open(source: Source): Chunks {
    return openSource(source, this)
  }

  shuffleBlocks(shuffle: string, partition: number): Iterable<BlockRecords> {
    return this.#services.shuffleBlocks(shuffle, partition)
  }

  block(id: string): BlockRecords | undefined {
    return this.#services.block(id)
  }

  lend(id: string): Loan | undefined {
    return this.#services.lend(id)
  }

  putBlock(id: string, records: readonly unknown[], level: StorageLevel): Promise<void> | undefined {
    return this.#services.putBlock(id, records, level)
  }

  async spill(): Promise<Spill> {
    const spill = await this.#services.openSpill()
    this.#spills.push(spill)
    return spill
  }

  lines(path: string, start: number, length: number): AsyncIterable<readonly unknown[]> {
    return this.#services.lines(path, start, length)
  }

  bytes(path: string): Promise<Uint8Array> {
    return this.#services.bytes(path)
  }

  /** Removes what the task spilled. */
  async end(): Promise<void> {
    for (const spill of this.#spills) await spill.remove()
  }
}
