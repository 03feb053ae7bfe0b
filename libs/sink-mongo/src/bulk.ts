/**
 * Bulk writes, and what their errors mean (E20). Where a guard says that a document has been written, the filter does not match, and the insert
 * that follows is a duplicate: it is written again without the insert, and then the document's own guard tells what it was.
 */
import type { AnyBulkWriteOperation, ClientSession, Document } from 'mongodb'
import { idKey } from './documents.js'
import { DUPLICATE_KEY, isRefusal, messageOf, mongoError, safeText, serverError } from './errors.js'
import type { Guard, Mode, Write } from './modes.js'
import type { AnyDocument, Store } from './store.js'

/** A write with its `_id`: its own, or made of its number. */
export interface Item {
  readonly write: Write
  readonly id: string | undefined
}

export interface Refused {
  readonly item: Item
  readonly message: string
}

/** How one partition is written. */
export interface BulkTarget {
  readonly store: Store
  readonly mode: Mode
  /** Undefined: nothing tells whether a document has been written. */
  readonly guard: Guard | undefined
  readonly signal: AbortSignal
  readonly session?: ClientSession | undefined
}

interface Failure {
  readonly item: Item
  readonly code: number | undefined
  readonly message: string
}

interface Sent {
  readonly matched: number
  readonly failures: readonly Failure[]
}

/** Writes items of one collection, and gives those that the server refuses; in a transaction the first, and it has then ended. */
export async function writeItems(
  target: BulkTarget,
  name: string,
  items: readonly Item[],
): Promise<readonly Refused[]> {
  if (target.mode.name === 'custom') return writeInOrder(target, name, items)
  const { failures } = await send(target, name, items, true)
  if (target.session !== undefined) return failures
  const duplicates = failures.filter(({ code }) => code === DUPLICATE_KEY)
  const others = failures.filter(({ code }) => code !== DUPLICATE_KEY)
  return [...others, ...(await settleDuplicates(target, name, duplicates))]
}

async function settleDuplicates(
  target: BulkTarget,
  name: string,
  duplicates: readonly Failure[],
): Promise<readonly Failure[]> {
  const { mode } = target
  if (duplicates.length === 0) return []
  if (mode.name === 'insert') return target.guard === undefined ? duplicates : lookUp(target, name, duplicates)
  const again = await send(
    target,
    name,
    duplicates.map(({ item }) => item),
    false,
  )
  if (again.matched === duplicates.length) return []
  const failed = new Set(again.failures.map(({ item }) => item))
  const rest = duplicates.filter(({ item }) => !failed.has(item))
  return [...again.failures, ...(await lookUp(target, name, rest))]
}

/** Those whose document does not say that they are written: another index has a duplicate, or somebody else the document. */
async function lookUp(
  { store, mode, guard, signal }: BulkTarget,
  name: string,
  duplicates: readonly Failure[],
): Promise<readonly Failure[]> {
  const ids = duplicates.map(({ item: { id = '' } }) => id)
  const path = guard === undefined ? '_id' : guard.path
  const found = await store.call('reading guards', signal, () =>
    store
      .collection(name)
      .find({ _id: { $in: ids } }, { projection: { [path]: 1 } })
      .toArray(),
  )
  const done = new Set<string>()
  for (const document of found) {
    const held = path.split('.').reduce<unknown>((value, field) => (value as Document | undefined)?.[field], document)
    if (guard === undefined || mode.isDone(held, guard)) done.add(idKey(document._id))
  }
  return duplicates.filter(({ item }) => !done.has(idKey(item.id)))
}

/** One operation after the other; after one that fails, those of the next record. */
async function writeInOrder(target: BulkTarget, name: string, items: readonly Item[]): Promise<readonly Refused[]> {
  const refused: Failure[] = []
  for (let rest = items; rest.length > 0;) {
    const { failures } = await send(target, name, rest, true)
    const [failure] = failures
    if (failure === undefined) break
    refused.push(failure)
    if (target.session !== undefined) break
    rest = rest.slice(rest.indexOf(failure.item) + 1)
  }
  return refused
}

async function send(
  { store, mode, guard, signal, session }: BulkTarget,
  name: string,
  items: readonly Item[],
  upsert: boolean,
): Promise<Sent> {
  const operations: AnyBulkWriteOperation<AnyDocument>[] = []
  const origins: Item[] = []
  for (const item of items)
    for (const operation of mode.operations(item.write, item.id, guard, upsert)) {
      operations.push(operation)
      origins.push(item)
    }
  if (operations.length === 0) return { matched: 0, failures: [] }
  const ordered = mode.name === 'custom' || session !== undefined
  return store.call('a bulk write', signal, () =>
    store
      .collection(name)
      .bulkWrite(operations, { ordered, ...(session && { session }) })
      .then(({ matchedCount }): Sent => ({ matched: matchedCount, failures: [] }))
      .catch((error: unknown) => sentOf(error, origins, store.label)),
  )
}

interface BulkError {
  readonly writeErrors?: OneOrMore<{ readonly index: number; readonly code?: number; readonly errmsg?: string }>
  readonly result?: { readonly matchedCount: number; getWriteConcernError(): unknown }
}
type OneOrMore<E> = E | readonly E[]

/** What of it the records are to blame for; all else is thrown. */
function sentOf(error: unknown, origins: readonly Item[], label: string): Sent {
  const { writeErrors = [], result } = error as BulkError
  const failures = [writeErrors].flat().map(({ index, code, errmsg = '' }): Failure => {
    const [item] = origins.slice(index)
    if (item === undefined || !isRefusal(code)) throw serverError(Object.assign(new Error(errmsg), { code }), label)
    return { item, code, message: `MongoDB refuses it: ${safeText(errmsg)}; repair the record, or what is there` }
  })
  const unconfirmed = result?.getWriteConcernError()
  if (unconfirmed !== undefined && unconfirmed !== null) throw notConfirmed(unconfirmed, label)
  if (failures.length === 0) throw serverError(error, label)
  return { matched: result?.matchedCount ?? 0, failures }
}

function notConfirmed(error: unknown, label: string): Error {
  const { errmsg } = error as { errmsg?: string }
  return mongoError(
    'OUTPUT_FAILED',
    `${label} has not confirmed a write: ${safeText(errmsg ?? messageOf(error))}; are enough members of the replica set up?`,
    { retryable: true },
  )
}
