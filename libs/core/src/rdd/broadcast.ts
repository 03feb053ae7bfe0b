/**
 * Broadcast variables: values that tasks read, wherever they run. A worker thread gets each of them once, under its name.
 * The handle is made again when the app's module is loaded again, in a worker as after a restart, and has the value of the
 * driver that runs now: nothing needs to be kept in a singleton.
 */
import { isSluiceError, requireArgument, SluiceError } from '../errors.js'
import { encodeRecords } from '../storage/codec.js'
import { declareShared, workerHost, type WorkerHost } from './worker-mode.js'

/** A value that tasks read. Nobody may change it. */
export interface Broadcast<out T> {
  /** Unique in its context. */
  readonly name: string
  /** In the driver what was given; in a worker thread a copy of it, decoded when first read. */
  readonly value: T
}

/** A broadcast as worker threads get it. */
export interface BroadcastBytes {
  readonly name: string
  /** The encoded value, or why it cannot leave the driver: then only reading it in a worker fails. */
  readonly bytes: Uint8Array | SluiceError
}

interface Entry extends Broadcast<unknown> {
  encoded?: BroadcastBytes['bytes']
}

/** The broadcasts of one context. */
export class BroadcastRegistry {
  readonly #names = new Set<string>()
  readonly #all: Entry[] = []

  /** Without a name it is known by its number in the context. Throws `ARGUMENT_INVALID` when the name is taken. */
  broadcast<T>(value: T, name = `broadcast-${String(this.#names.size)}`): Broadcast<T> {
    const taken = `the name '${name}' is taken; give each broadcast its own, as worker threads know them by name`
    requireArgument(!this.#names.has(name), 'broadcast', taken)
    this.#names.add(name)
    const host = workerHost()
    if (host !== undefined) return workerBroadcast(name, host)
    const broadcast = { name, value }
    this.#all.push(broadcast)
    return broadcast
  }

  get count(): number {
    return this.#all.length
  }

  /** The broadcast number `index`, counted from 0, encoded once. */
  encoded(index: number): BroadcastBytes {
    const broadcast = this.#all[index] as Entry
    return { name: broadcast.name, bytes: (broadcast.encoded ??= encodedValue(broadcast)) }
  }
}

/** In a worker: the driver's value; the one that the module gave is of no use. */
function workerBroadcast<T>(name: string, host: WorkerHost): Broadcast<T> {
  const requireOne = declareShared(host, 'broadcast', name)
  return {
    name,
    get value() {
      requireOne()
      return host.broadcast(name) as T
    },
  }
}

function encodedValue({ name, value }: Broadcast<unknown>): BroadcastBytes['bytes'] {
  try {
    return encodeRecords([value])
  } catch (cause) {
    if (!isSluiceError(cause)) throw cause
    const message = `the broadcast '${name}' cannot be sent to worker threads: ${cause.message}`
    return new SluiceError({ code: cause.code, component: 'broadcast', message, cause })
  }
}
