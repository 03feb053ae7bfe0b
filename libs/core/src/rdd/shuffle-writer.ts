/** The map side of a shuffle: spreads pairs over the reduce partitions and hands them on in blocks. */
import type { KeyedMap } from './keys.js'
import { noSuchPartition, refusePromise, type BucketWriter } from './out.js'
import type { TaskEnv } from './pipeline.js'
import type { Partitioner } from './types.js'

/** Records held before their blocks are handed to the block store, which may put them on disk. */
const HELD_RECORDS = 65_536
/** Combined pairs that are spread at once. */
const STEP = 2_048

/** What one map task wrote: for each reduce partition its blocks in order, and the number of records in all. */
export interface ShuffleOutput {
  readonly blocks: readonly (readonly string[])[]
  readonly records: number
}

export class ShuffleWriter implements BucketWriter {
  readonly buckets: unknown[][]
  readonly #prefix: string
  readonly #partitioner: Partitioner
  readonly #env: TaskEnv
  readonly #blocks: string[][]
  /** Maps of combined pairs that are not spread yet. */
  readonly #taken: KeyedMap<unknown>[] = []
  #records = 0

  constructor(prefix: string, partitioner: Partitioner, env: TaskEnv) {
    this.#prefix = prefix
    this.#partitioner = partitioner
    this.#env = env
    this.buckets = Array.from({ length: partitioner.partitions }, () => [])
    this.#blocks = Array.from({ length: partitioner.partitions }, () => [])
  }

  get pending(): boolean {
    let held = 0
    for (const bucket of this.buckets) held += bucket.length
    return held >= HELD_RECORDS
  }

  /** Takes combined pairs over; `settle` spreads them. */
  take(keyed: KeyedMap<unknown>): void {
    this.#taken.push(keyed)
  }

  /** Hands all that is held to the block store. */
  async settle(): Promise<void> {
    for (const keyed of this.#taken.splice(0)) await this.#spread(keyed)
    await this.#write()
  }

  async #spread(keyed: KeyedMap<unknown>): Promise<void> {
    const { pacer } = this.#env
    const single = this.buckets.length === 1
    let since = 0
    for (const box of keyed.boxes()) {
      const bucket = this.buckets[single ? 0 : this.#partitioner.partitionOf(box.k)]
      if (bucket === undefined) throw noSuchPartition(this.#partitioner, box.k, keyed.component)
      bucket.push([box.k, refusePromise(box.v, keyed.component)])
      if (++since < STEP) continue
      since = 0
      if (this.pending) await this.#write()
      if (pacer.ran(STEP)) await pacer.yield()
    }
  }

  async #write(): Promise<void> {
    for (let partition = 0; partition < this.buckets.length; partition++) {
      const bucket = this.buckets[partition] as unknown[]
      if (bucket.length === 0) continue
      this.buckets[partition] = []
      const blocks = this.#blocks[partition] as string[]
      const id = `${this.#prefix}/${String(partition)}/${String(blocks.length)}`
      blocks.push(id)
      this.#records += bucket.length
      const written = this.#env.putBlock(id, bucket, 'memory-and-disk')
      if (written !== undefined) await written
    }
  }

  async finish(): Promise<ShuffleOutput> {
    await this.settle()
    return { blocks: this.#blocks, records: this.#records }
  }
}
