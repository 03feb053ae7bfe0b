/** Offsets of sources in Redis: a hash for each application and stream. */
import type { OffsetStore, OffsetStoreContext, StreamOffsets } from '@sluice/core'
import { Connections, type Connector } from './connection.js'
import { connectorOf } from './connector.js'
import { durabilityOf } from './durability.js'
import { redisError, requireThat } from './errors.js'
import { requirePlace, DEFAULT_CALL_TIMEOUT_MS, type RedisPlace } from './redis-sink.config.js'
import { ALL_FIELDS, SWAP } from './scripts.js'

export type RedisOffsetStoreOptions = RedisPlace & {
  /** Begins the names of the hashes: `PREFIX:APP:STREAM`. Default: `sluice:offsets`. */
  readonly key?: string | undefined
  /** Milliseconds until a call counts as failed. Default: 5,000. */
  readonly callTimeoutMs?: number | undefined
}

const NAME = 'redis-offset-store'

/**
 * Keeps the offsets of sources in Redis, by `appName` and stream. `store` replaces only what this run last read or wrote, and rejects
 * with `FENCED` when another run has stored meanwhile. Throws `ARGUMENT_INVALID` for options that make no sense.
 */
export function redisOffsetStore(options: RedisOffsetStoreOptions): OffsetStore {
  return new RedisOffsetStore(options)
}

interface Session {
  readonly connections: Connections
  readonly context: OffsetStoreContext
}

class RedisOffsetStore implements OffsetStore {
  readonly '~sluice' = 'offset-store/1'
  readonly name = NAME
  readonly #connector: Connector
  readonly #prefix: string
  readonly #timeoutMs: number
  /** By stream and partition: the values that may be there. Several, where the answer to a write was lost. */
  readonly #known = new Map<string, Map<string, readonly string[]>>()
  #session: Session | undefined

  constructor(options: RedisOffsetStoreOptions) {
    requirePlace(options)
    const { key = 'sluice:offsets', callTimeoutMs = DEFAULT_CALL_TIMEOUT_MS } = options
    requireThat(key !== '', 'the offset store needs a `key`, or none at all')
    this.#connector = connectorOf(options)
    this.#prefix = `${this.#connector.keyPrefix}${key}`
    this.#timeoutMs = callTimeoutMs
  }

  async open(context: OffsetStoreContext): Promise<void> {
    const connections = new Connections(this.#connector, context.clock, this.#timeoutMs)
    this.#session = { connections, context }
    const { missing, evicting } = await connections.use(context.signal, durabilityOf)
    const problems = evicting === undefined ? missing : [...missing, evicting]
    if (problems.length > 0)
      context.logger.warn(`[${NAME}] a crash of the server may put offsets back: ${problems.join('; ')}`)
  }

  async load(stream: string): Promise<StreamOffsets> {
    const { connections, context } = this.#opened()
    const key = this.#keyOf(stream)
    const { answer } = await connections.use(context.signal, (calls) => calls.run(ALL_FIELDS, [key], []))
    const offsets = pairsOf(answer)
    this.#known.set(stream, new Map(Object.entries(offsets).map(([partition, offset]) => [partition, [offset]])))
    return offsets
  }

  async store(stream: string, offsets: StreamOffsets): Promise<void> {
    const { connections, context } = this.#opened()
    const entries = Object.entries(offsets)
    if (entries.length === 0) return
    const known = this.#known.get(stream) ?? new Map<string, readonly string[]>()
    this.#known.set(stream, known)
    const words = entries.flatMap(([partition, offset]) => {
      // Nothing is there, as far as this run knows.
      const may = known.get(partition) ?? ['']
      known.set(partition, [...may.filter((each) => each !== offset), offset])
      return [partition, String(may.length), ...may, offset]
    })
    const { answer } = await connections.use(context.signal, (calls) => calls.run(SWAP, [this.#keyOf(stream)], words))
    if (answer[0] === 'other')
      throw redisError(
        'FENCED',
        `another run of ${context.appName} has stored offsets of ${stream} (${String(answer[1])}); stop one of them, or give them different names`,
      )
    for (const [partition, offset] of entries) known.set(partition, [offset])
  }

  #keyOf(stream: string): string {
    // The first colon after the prefix ends the application's name.
    const app = this.#opened().context.appName.replaceAll('%', '%25').replaceAll(':', '%3A')
    return `${this.#prefix}:${app}:${stream}`
  }

  #opened(): Session {
    if (this.#session !== undefined) return this.#session
    throw redisError('STOPPED', 'the offset store is not open; open it before it is used')
  }

  close(): Promise<void> {
    this.#session?.connections.close()
    this.#session = undefined
    return Promise.resolve()
  }
}

function pairsOf(words: readonly string[]): StreamOffsets {
  // Not by assigning: a partition may be called `__proto__`.
  return Object.fromEntries(words.flatMap((word, at) => (at % 2 === 0 ? [[word, words[at + 1] ?? '']] : [])))
}
