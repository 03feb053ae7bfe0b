/** Stores offsets of committed batches, one call after another, without anybody waiting for it. */
import type { Logger, OffsetStore } from '@sluice/core'
import { COMPONENT } from './component.js'
import { messageOf } from './decode/message.js'
import { partitionName } from './offsets.js'
import type { OffsetRange } from './plan.js'

export class OffsetKeeper {
  readonly #store: OffsetStore
  readonly #stream: string
  readonly #logger: Logger
  /** What is not stored yet, by partition. */
  #waiting = new Map<string, bigint>()
  readonly #stored = new Map<string, bigint>()
  #storing: Promise<void> | undefined
  #isFailing = false

  constructor(store: OffsetStore, stream: string, logger: Logger) {
    this.#store = store
    this.#stream = stream
    this.#logger = logger
  }

  /** These ranges are done. Returns at once. */
  done(ranges: readonly Pick<OffsetRange, 'topic' | 'partition' | 'until'>[]): void {
    for (const { topic, partition, until } of ranges) {
      const name = partitionName(topic, partition)
      if (this.#stored.get(name) !== until) this.#waiting.set(name, until)
    }
    this.#storing ??= this.#storeAll().finally(() => {
      this.#storing = undefined
    })
  }

  /** Stores what is left; resolves also when that fails. */
  async flush(): Promise<void> {
    await this.#storing
    // What a failed call left.
    if (this.#waiting.size > 0) await this.#storeAll()
  }

  async #storeAll(): Promise<void> {
    // While one call is under way the offsets of further batches come together.
    while (this.#waiting.size > 0) {
      const now = this.#waiting
      this.#waiting = new Map()
      try {
        const texts = [...now].map(([name, offset]) => [name, String(offset)] as const)
        await this.#store.store(this.#stream, Object.fromEntries(texts))
        for (const [name, offset] of now) this.#stored.set(name, offset)
        if (this.#isFailing) this.#logger.info(`[${COMPONENT}] ${this.#store.name} takes offsets again`)
        this.#isFailing = false
      } catch (error) {
        this.#failed(now, error)
        return
      }
    }
  }

  #failed(offsets: ReadonlyMap<string, bigint>, error: unknown): void {
    this.#waiting = new Map([...offsets, ...this.#waiting])
    if (this.#isFailing) return
    this.#isFailing = true
    this.#logger.warn(
      `[${COMPONENT}] cannot store offsets in ${this.#store.name}: ${messageOf(error)}; it is tried again after each batch`,
    )
  }
}
