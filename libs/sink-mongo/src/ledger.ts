/**
 * What decides whether a partition is written (E1, E8): one document for each application and output. `epoch` is the fence; `newest` and `plan`
 * are those of the newest batch; `partitions.N` says of a partition of it that it is done, or what the server refused in it.
 */
import type { BatchPartitionId, SinkContext } from '@sluice/core'
import { createHash } from 'node:crypto'
import type { ClientSession, Collection, Document } from 'mongodb'
import { codeOf, DUPLICATE_KEY, mongoError } from './errors.js'
import type { AnyDocument, Store } from './store.js'

/** What is known of a partition of the newest batch. */
export interface Entry {
  readonly time: number
  readonly isDone?: boolean
  /** How many writes there were, where the server refused some, and the numbers of these, in the order of their dead letters. */
  readonly total?: number
  readonly refused?: readonly number[]
}

type Of = Pick<BatchPartitionId, 'app' | 'output'>

/** Short, and without dots: the name of a field in each document. */
export function ownerOf({ app, output }: Of): string {
  return createHash('sha256').update(`${app}\0${output}`).digest('base64url').slice(0, 11)
}

const idOf = ({ app, output }: Of): string => `${app}:${output}`

export class Ledger {
  readonly #store: Store
  readonly #name: string

  constructor(store: Store, name: string) {
    this.#store = store
    this.#name = name
  }

  get #collection(): Collection<AnyDocument> {
    return this.#store.collection(this.#name)
  }

  /** Claims the fence. Throws `FENCED` for a newer owner's, `LOG_BEHIND_SINK` for a ledger ahead of the log. */
  async claim({ app, output, epoch, lastPlanned, signal }: SinkContext): Promise<void> {
    const _id = idOf({ app, output })
    const found = await this.#read(_id, signal)
    if (Number(found?.['epoch'] ?? 0) > epoch) throw fenced({ output, epoch }, found)
    const newest = found?.['newest'] as number | undefined
    if (newest !== undefined && (lastPlanned === undefined || newest > lastPlanned)) {
      const log = lastPlanned === undefined ? 'has no batch' : `ends with batch ${String(lastPlanned)}`
      throw mongoError(
        'LOG_BEHIND_SINK',
        `output ${output} has written batch ${String(newest)}, and the log ${log}; restore the log that belongs to this server, or write to another collection`,
      )
    }
    const claimed = await this.#store.call('claiming the output', signal, () =>
      this.#collection
        .updateOne({ _id, epoch: { $lte: epoch } }, { $set: { epoch } }, { upsert: true })
        .then(() => true)
        .catch((error: unknown) => {
          if (codeOf(error) === DUPLICATE_KEY) return false
          throw error
        }),
    )
    if (!claimed) throw fenced({ output, epoch }, await this.#read(_id, signal))
  }

  /** Says that a partition begins. Throws `FENCED` and `IDENTITY_CONFLICT`. In a transaction it also locks the fence. */
  async begin(id: BatchPartitionId, signal: AbortSignal, session?: ClientSession): Promise<Entry | undefined> {
    const { batchTime, epoch, partition } = id
    const plan = planOf(id)
    const filter = {
      _id: idOf(id),
      epoch,
      $or: [{ newest: { $exists: false } }, { newest: { $lt: batchTime } }, { newest: batchTime, plan }],
    }
    const found = await this.#store.call('asking the ledger', signal, () =>
      this.#collection.findOneAndUpdate(
        filter,
        { $set: { newest: batchTime, plan } },
        { returnDocument: 'after', ...(session && { session }) },
      ),
    )
    if (found === null) throw await this.#refused(id, signal)
    const entry = (found['partitions'] as Record<string, Entry> | undefined)?.[String(partition)]
    return entry?.time === batchTime ? entry : undefined
  }

  /** Keeps what is known of a partition. Throws `FENCED`, as `begin` does. */
  async note(
    id: BatchPartitionId,
    entry: Omit<Entry, 'time'>,
    signal: AbortSignal,
    session?: ClientSession,
  ): Promise<void> {
    const { batchTime, epoch, partition } = id
    const { matchedCount } = await this.#store.call('writing the ledger', signal, () =>
      this.#collection.updateOne(
        { _id: idOf(id), epoch, newest: batchTime, plan: planOf(id) },
        { $set: { [`partitions.${String(partition)}`]: { time: batchTime, ...entry } } },
        session && { session },
      ),
    )
    if (matchedCount === 0) throw await this.#refused(id, signal)
  }

  async #refused(id: BatchPartitionId, signal: AbortSignal): Promise<Error> {
    const found = await this.#read(idOf(id), signal)
    const { output, batchTime, partition, epoch } = id
    if (found?.['epoch'] !== epoch) return fenced(id, found)
    const newest = String(found['newest'])
    const what =
      found['newest'] === batchTime ? 'with another plan or partition count' : `and now ${String(batchTime)} comes`
    return mongoError(
      'IDENTITY_CONFLICT',
      `output ${output} has written batch ${newest}, ${what} (partition ${String(partition)}); was the clock set back, or a backup restored?`,
    )
  }

  #read(_id: string, signal: AbortSignal): Promise<Document | null> {
    return this.#store.call('asking the ledger', signal, () => this.#collection.findOne({ _id }))
  }
}

function planOf({ partitions, planDigest }: BatchPartitionId): string {
  return `${String(partitions)} ${planDigest}`
}

function fenced({ output, epoch }: { output: string; epoch: number }, found: Document | null) {
  const held = found?.['epoch'] as unknown
  if (typeof held === 'number' && held > epoch)
    return mongoError(
      'FENCED',
      `output ${output} belongs to epoch ${String(held)}, and this run is epoch ${String(epoch)}; another process has taken over and goes on`,
    )
  return mongoError(
    'FENCED',
    `the fence of output ${output} is gone or older than this run: the ledger was restored or cleaned, or the server has lost it; start the application again`,
  )
}
