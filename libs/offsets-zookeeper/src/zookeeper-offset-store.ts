/** Offsets of Kafka streams in ZooKeeper, where applications of Spark and consumers of Kafka 0.8 kept theirs. */
import type { OffsetStore, OffsetStoreContext, StreamOffsets } from '@sluice/core'
import type { Calls, Node, Write } from './client.js'
import { ZooKeeper } from './connection.js'
import { ANSWER, answerOf, refusal, requireThat, zooKeeperError } from './errors.js'
import {
  CONSUMERS,
  groupPath,
  isOffset,
  isPartition,
  offsetsPath,
  parentOf,
  partitionName,
  partitionOf,
} from './layout.js'
import {
  checkOptions,
  DEFAULT_TIMEOUT_MS,
  requireGroup,
  type ZooKeeperOffsetStoreOptions,
} from './zookeeper-offset-store.config.js'

/**
 * Keeps offsets as those of a consumer group in ZooKeeper. Each node is written with the version that this run has read or written
 * last: `store` rejects with `FENCED`, and overwrites nothing, when somebody else has written or deleted one meanwhile. For Kafka only,
 * and for one stream each: its nodes know group, topic and partition. Throws `ARGUMENT_INVALID` for options that make no sense.
 */
export function zookeeperOffsetStore(options: ZooKeeperOffsetStoreOptions): OffsetStore {
  return new ZooKeeperOffsetStore(options)
}

/** What this run knows of a node. */
interface Known {
  /** As it was read or written last; undefined: it was not there. */
  readonly version: number | undefined
  /** What this run may have written upon that: the answers were lost. */
  readonly maybe: ReadonlySet<string>
}

const ABSENT: Known = { version: undefined, maybe: new Set() }

interface Session {
  readonly zooKeeper: ZooKeeper
  readonly context: OffsetStoreContext
  readonly group: string
}

/** What one transaction may hold; servers take 1 MB by default. */
const MOST_BYTES = 400_000
/** Of an operation in a transaction beside path and data: lengths, version, ACL. */
const OPERATION_BYTES = 120

class ZooKeeperOffsetStore implements OffsetStore {
  readonly '~sluice' = 'offset-store/1'
  readonly name: string
  readonly #options: ZooKeeperOffsetStoreOptions
  /** By stream and path. */
  readonly #known = new Map<string, Map<string, Known>>()
  #session: Session | undefined

  constructor(options: ZooKeeperOffsetStoreOptions) {
    checkOptions(options)
    this.#options = options
    this.name = options.group === undefined ? 'zookeeper' : `zookeeper group ${options.group}`
  }

  async open(context: OffsetStoreContext): Promise<void> {
    // A source whose start failed opens it again.
    await this.close()
    const { group = context.appName, callTimeoutMs = DEFAULT_TIMEOUT_MS } = this.#options
    requireGroup(group)
    const zooKeeper = new ZooKeeper(this.#options, context.clock, callTimeoutMs)
    this.#session = { zooKeeper, context, group }
    await this.#use(this.#session, (calls) => this.#sync(calls))
  }

  async load(stream: string): Promise<StreamOffsets> {
    const session = this.#opened()
    const found = await this.#use(session, async (calls) => {
      await this.#sync(calls)
      return readGroup(calls, session.group)
    })
    const before = this.#knownOf(stream)
    const known = new Map([...before].filter(([, { version }]) => version === undefined))
    const offsets = found.map(({ path, name, data, version }): [string, string] => {
      requireOffset(path, data)
      const { maybe } = before.get(path)?.version === version ? (before.get(path) as Known) : ABSENT
      known.set(path, { version, maybe })
      return [name, data]
    })
    this.#known.set(stream, known)
    return Object.fromEntries(offsets)
  }

  async store(stream: string, offsets: StreamOffsets): Promise<void> {
    const session = this.#opened()
    const wanted = Object.entries(offsets).map(([name, data]) => {
      const { topic, partition } = partitionOf(name)
      requireThat(isOffset(data), `'${data}' of ${name} is no offset of Kafka; give a decimal number`)
      return { path: `${offsetsPath(session.group)}/${topic}/${partition}`, data }
    })
    const known = this.#knownOf(stream)
    for (const part of parted(wanted)) await this.#use(session, (calls) => this.#write(calls, known, part))
  }

  /** Writes all, whatever was done of them in earlier tries. */
  async #write(calls: Calls, known: Map<string, Known>, wanted: readonly Wanted[]): Promise<void> {
    let left = wanted
    while (left.length > 0) {
      const refused = await this.#tryToWrite(calls, known, left)
      if (refused === undefined) return
      const { path, version } = refused.write
      // Of a node that is new, those above it may be missing; one that was there is gone.
      if (refused.answer === ANSWER.noNode && version === undefined) await this.#make(calls, parentOf(path))
      else left = await this.#compare(calls, known, left)
    }
  }

  /** All or none. */
  async #tryToWrite(calls: Calls, known: Map<string, Known>, wanted: readonly Wanted[]) {
    const { acl = 'open' } = this.#options
    const before = wanted.map(({ path }) => known.get(path) ?? ABSENT)
    const writes = wanted.map((each, i): Write => ({ ...each, version: before[i]?.version }))
    // Until there is an answer they may be written, or not.
    wanted.forEach(({ path, data }, i) => {
      const { version, maybe } = before[i] ?? ABSENT
      known.set(path, { version, maybe: new Set([...maybe, data]) })
    })
    const refused = await calls.write(writes, acl)
    wanted.forEach(({ path }, i) => {
      const was = before[i] ?? ABSENT
      known.set(path, refused === undefined ? { version: next(was.version), maybe: new Set() } : was)
    })
    return refused
  }

  /** What is left to be written. Throws `FENCED` where a node is not as this run has left it, or may have. */
  async #compare(calls: Calls, known: Map<string, Known>, wanted: readonly Wanted[]): Promise<Wanted[]> {
    const found = await Promise.all(wanted.map(({ path }) => calls.read(path)))
    return wanted.filter(({ path, data }, i) => {
      const node = found[i]
      const { version, maybe } = known.get(path) ?? ABSENT
      if (node?.version === version) return true
      if (node === undefined || node.version !== next(version) || !maybe.has(node.data)) throw fenced(path, node)
      known.set(path, { version: node.version, maybe: new Set() })
      return node.data !== data
    })
  }

  /** Makes a node and those above it, as others may do at the same time. */
  async #make(calls: Calls, path: string): Promise<void> {
    const { acl = 'open' } = this.#options
    try {
      // What all groups share is everybody's, as with Kafka.
      await calls.make(path, path === CONSUMERS ? 'open' : acl)
    } catch (error) {
      if (answerOf(error) !== ANSWER.noNode || path === CONSUMERS) throw error
      await this.#make(calls, parentOf(path))
      await this.#make(calls, path)
    }
  }

  async #sync(calls: Calls): Promise<void> {
    try {
      await calls.sync()
    } catch (error) {
      if (answerOf(error) !== ANSWER.noNode) throw error
      const { label } = this.#opened().zooKeeper
      const message = `the folder of '${label}' is not there; make it (create in zkCli.sh), or correct the address`
      throw zooKeeperError('ARGUMENT_INVALID', message, { cause: error })
    }
  }

  #use<R>({ zooKeeper, context, group }: Session, work: (calls: Calls) => Promise<R>): Promise<R> {
    return zooKeeper.use(context.signal, work).catch((error: unknown) => {
      throw refusal(error, groupPath(group))
    })
  }

  #knownOf(stream: string): Map<string, Known> {
    const known = this.#known.get(stream) ?? new Map<string, Known>()
    this.#known.set(stream, known)
    return known
  }

  #opened(): Session {
    if (this.#session !== undefined) return this.#session
    throw zooKeeperError('STOPPED', 'the offset store is not open; open it before it is used')
  }

  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    await session?.zooKeeper.close()
  }
}

interface Wanted {
  readonly path: string
  readonly data: string
}

interface Found extends Node {
  readonly path: string
  /** Of the partition, as the source knows it. */
  readonly name: string
}

async function readGroup(calls: Calls, group: string): Promise<Found[]> {
  const top = offsetsPath(group)
  const topics = (await calls.children(top)) ?? []
  const found = await Promise.all(
    topics.map(async (topic) => {
      const partitions = ((await calls.children(`${top}/${topic}`)) ?? []).filter(isPartition)
      return Promise.all(
        partitions.map(async (partition): Promise<Found[]> => {
          const path = `${top}/${topic}/${partition}`
          const node = await calls.read(path)
          return node === undefined ? [] : [{ ...node, path, name: partitionName({ topic, partition }) }]
        }),
      )
    }),
  )
  return found.flat(2)
}

/** In parts that fit into a transaction. */
function parted(wanted: readonly Wanted[]): Wanted[][] {
  const parts: Wanted[][] = []
  let bytes = MOST_BYTES
  for (const each of wanted) {
    bytes += Buffer.byteLength(each.path) + each.data.length + OPERATION_BYTES
    if (bytes > MOST_BYTES) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)?.push(each)
  }
  return parts
}

function next(version: number | undefined): number {
  return version === undefined ? 0 : version + 1
}

function requireOffset(path: string, data: string): void {
  if (isOffset(data)) return
  throw zooKeeperError(
    'DATA_CORRUPT',
    `${path} says '${data.slice(0, SHOWN_CHARS)}', which is no offset; correct it (set in zkCli.sh), or delete it`,
  )
}

const SHOWN_CHARS = 40

function fenced(path: string, node: Node | undefined) {
  if (node === undefined)
    return zooKeeperError(
      'FENCED',
      `${path} was deleted after this run had read or stored it; start again, to begin where the group says then`,
    )
  return zooKeeperError(
    'FENCED',
    `${path} says '${node.data.slice(0, SHOWN_CHARS)}', which this run has not stored; another run with this group is at work: stop one, or give it another \`group\``,
  )
}
