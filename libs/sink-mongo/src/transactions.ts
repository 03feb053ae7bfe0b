/** Transactions: whether the server has them, tried when the sink opens, and a partition written in one. */
import type { SinkContext } from '@sluice/core'
import type { ClientSession } from 'mongodb'
import { codeOf, messageOf, mongoError, safeText, serverError } from './errors.js'
import type { Store } from './store.js'

const SETTINGS = { readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority', journal: true } } as const

/**
 * Writes a document, aborts, and looks: there are servers that take transactions and undo nothing. Throws `ARGUMENT_INVALID`.
 * `name`: the collection of the ledger.
 */
export async function requireTransactions(
  store: Store,
  name: string,
  { app, output, signal }: SinkContext,
): Promise<void> {
  const _id = `probe:${app}:${output}`
  const collection = store.collection(name)
  // It must be there before: not every server makes a collection in a transaction.
  await store.call('preparing a transaction', signal, () => collection.deleteOne({ _id }))
  const failure = await inSession(store, async (session) => {
    try {
      session.startTransaction(SETTINGS)
      await store.run('trying a transaction', signal, () => collection.insertOne({ _id }, { session }))
      await store.run('ending a transaction', signal, () => session.abortTransaction())
      return undefined
    } catch (error) {
      return error ?? new Error('it failed')
    }
  })
  const left = await store.call('looking after a transaction', signal, () => collection.findOne({ _id }))
  if (left !== null) {
    await store.call('cleaning after a transaction', signal, () => collection.deleteOne({ _id }))
    throw mongoError(
      'ARGUMENT_INVALID',
      `${store.label} keeps what an aborted transaction has written; leave out \`transaction\`: the guards in the documents need none`,
    )
  }
  if (failure !== undefined) throw noTransaction(failure, store.label)
}

const NO_REPLICA_SET = 20

function noTransaction(error: unknown, label: string): Error {
  const known = serverError(error, label)
  if (codeOf(error) !== NO_REPLICA_SET && (known.code === 'CONNECTION_FAILED' || known.code === 'TIMEOUT')) return known
  return mongoError(
    'ARGUMENT_INVALID',
    `${label} takes no transactions: ${safeText(messageOf(error))}; use a replica set, or leave out \`transaction\``,
    { cause: error },
  )
}

/** Runs `work` in a transaction: `'commit'` makes what it wrote durable, `'abort'` undoes it, as its failure does. */
export async function inTransaction<R>(
  store: Store,
  signal: AbortSignal,
  work: (session: ClientSession) => Promise<{ readonly end: 'commit' | 'abort'; readonly result: R }>,
): Promise<R> {
  return inSession(store, async (session) => {
    session.startTransaction(SETTINGS)
    const { end, result } = await work(session)
    // Where its answer is lost nobody knows what became of it: the ledger tells the next try.
    if (end === 'commit') await store.call('committing', signal, () => session.commitTransaction())
    return result
  })
}

/** Ending a session aborts its transaction; a server that hangs is not waited for. */
async function inSession<R>(store: Store, work: (session: ClientSession) => Promise<R>): Promise<R> {
  const session = store.client.startSession()
  try {
    return await work(session)
  } finally {
    await store.run('ending a session', undefined, () => session.endSession()).catch(() => undefined)
  }
}
