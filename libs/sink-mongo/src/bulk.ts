/**
 * Bulk writes, and what their errors mean (E20). Where a guard says that a document has been written, the filter does not match, and the insert
 * that follows is a duplicate: it is written again without the insert, and then the document's own guard tells what it was.
 */
import { BatchType, type BulkWriteResult, type ClientSession, type Document, type BulkOperationBase } from 'mongodb'
import { idKey } from './documents.js'
import { DUPLICATE_KEY, isRefusal, messageOf, mongoError, safeText, serverError } from './errors.js'
import type { Guard, Mode, Write } from './modes.js'
import type { Store } from './store.js'

export interface Refused {
  readonly write: Write
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
  readonly outlook: Outlook
}

/** What a sink expects of its next bulk, from the last one. */
export interface Outlook {
  /** Servers insert a document in a fraction of the time of an upsert that inserts it. So it is worth looking first which there are. */
  isMostlyNew: boolean
}

/** Fewer are not worth a call. */
const WORTH_LOOKING = 100
/** Of one question, which the server takes up to 16 MiB of. */
const MOST_IDS = 1_000

interface Failure {
  readonly write: Write
  readonly code: number | undefined
  readonly message: string
}

interface Sent {
  readonly matched: number
  /** How many documents were not there before. */
  readonly made: number
  readonly failures: readonly Failure[]
}

/** Makes a document; changes one; makes it where there is none to change. */
type How = 'make' | 'change' | 'either'
type HowOf = (write: Write) => How
const either: HowOf = () => 'either'
const change: HowOf = () => 'change'
const make: HowOf = () => 'make'

/** Writes writes of one collection, and gives those that the server refuses; in a transaction the first, and it has then ended. */
export async function writeAll(
  target: BulkTarget,
  name: string,
  writes: readonly Write[],
): Promise<readonly Refused[]> {
  const { mode, session, outlook } = target
  if (mode.name === 'custom') return writeInOrder(target, name, writes)
  const { failures, made } = await send(target, name, writes, await howOf(target, name, writes))
  if (session !== undefined) return failures
  outlook.isMostlyNew = made * 2 > writes.length
  const duplicates = failures.filter(({ code }) => code === DUPLICATE_KEY)
  const others = failures.filter(({ code }) => code !== DUPLICATE_KEY)
  return [...others, ...(await settleDuplicates(target, name, duplicates))]
}

async function howOf(target: BulkTarget, name: string, writes: readonly Write[]): Promise<HowOf> {
  const { mode, session, outlook } = target
  if (mode.statement === undefined || !outlook.isMostlyNew || writes.length < WORTH_LOOKING || session !== undefined)
    return either
  const there = new Set((await look(target, name, writes)).map(storedKey))
  // One that appears meanwhile is a duplicate.
  return there.size === 0 ? make : ({ id }) => (there.has(idKey(id)) ? 'either' : 'make')
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
    duplicates.map(({ write }) => write),
    change,
  )
  if (again.matched === duplicates.length) return []
  const failed = new Set(again.failures.map(({ write }) => write))
  const rest = duplicates.filter(({ write }) => !failed.has(write))
  return [...again.failures, ...(await lookUp(target, name, rest))]
}

/** Those whose document does not say that they are written: another index has a duplicate, or somebody else the document. */
async function lookUp(target: BulkTarget, name: string, duplicates: readonly Failure[]): Promise<readonly Failure[]> {
  const { mode, guard } = target
  const path = guard === undefined ? '_id' : guard.path
  const writes = duplicates.map(({ write }) => write)
  const found = await look(target, name, writes, path)
  const done = new Set<string>()
  for (const document of found) {
    const held = path.split('.').reduce<unknown>((value, field) => (value as Document | undefined)?.[field], document)
    if (guard === undefined || mode.isDone(held, guard)) done.add(storedKey(document))
  }
  return duplicates.filter(({ write }) => !done.has(idKey(write.id)))
}

/** Those of the documents that there are, with one of their fields. */
async function look(
  { store, signal }: BulkTarget,
  name: string,
  writes: readonly Write[],
  path = '_id',
): Promise<readonly Document[]> {
  const found: Document[] = []
  for (let at = 0; at < writes.length; at += MOST_IDS) {
    const ids = writes.slice(at, at + MOST_IDS).map(({ id = '' }) => id)
    // One more than there can be: else the server may expect to be asked for the rest.
    const options = { projection: { [path]: 1 }, batchSize: ids.length + 1 }
    const query = () =>
      store
        .collection(name)
        .find({ _id: { $in: ids } }, options)
        .toArray()
    found.push(...(await store.call('looking for documents', signal, query)))
  }
  return found
}

/** Of somebody else's document the `_id` may be a number of a type that the sink takes none of. */
function storedKey({ _id }: Document): string {
  try {
    return idKey(_id)
  } catch {
    return ''
  }
}

/** One operation after the other; after one that fails, those of the next record. */
async function writeInOrder(target: BulkTarget, name: string, writes: readonly Write[]): Promise<readonly Refused[]> {
  const refused: Failure[] = []
  for (let rest = writes; rest.length > 0;) {
    const { failures } = await send(target, name, rest, either)
    const [failure] = failures
    if (failure === undefined) break
    refused.push(failure)
    if (target.session !== undefined) break
    rest = rest.slice(rest.indexOf(failure.write) + 1)
  }
  return refused
}

async function send(target: BulkTarget, name: string, writes: readonly Write[], how: HowOf): Promise<Sent> {
  const { store, mode, signal, session } = target
  const isOrdered = mode.name === 'custom' || session !== undefined
  const options = session && { session }
  return store.call('a bulk write', signal, async () => {
    const collection = store.collection(name)
    const bulk = isOrdered ? collection.initializeOrderedBulkOp(options) : collection.initializeUnorderedBulkOp(options)
    const origins = fill(bulk, target, writes, how)
    if (origins.length === 0) return { matched: 0, made: 0, failures: [] }
    try {
      return sentOf(await bulk.execute(options), [])
    } catch (error) {
      return failedOf(error, origins, store.label)
    }
  })
}

type Bulk = Pick<BulkOperationBase, 'addToOperationsList' | 'insert' | 'raw'>

/** Gives the write of each operation. Statements go in as they are: what `raw` makes of operations costs more than all that is done here. */
function fill(bulk: Bulk, { mode, guard }: BulkTarget, writes: readonly Write[], how: HowOf): readonly Write[] {
  const { document, statement } = mode
  if (document === undefined)
    return writes.flatMap((write) =>
      write.operations.map((operation) => {
        bulk.raw(operation)
        return write
      }),
    )
  for (const write of writes) {
    const way = how(write)
    if (statement === undefined || way === 'make') bulk.insert(document(write, guard))
    else bulk.addToOperationsList(BatchType.UPDATE, statement(write, guard, way === 'either'))
  }
  return writes
}

type Counts = Pick<BulkWriteResult, 'matchedCount' | 'insertedCount' | 'upsertedCount'>

function sentOf({ matchedCount, insertedCount, upsertedCount }: Counts, failures: readonly Failure[]): Sent {
  return { matched: matchedCount, made: insertedCount + upsertedCount, failures }
}

interface BulkError {
  readonly writeErrors?: OneOrMore<{ readonly index: number; readonly code?: number; readonly errmsg?: string }>
  readonly result?: Counts & { getWriteConcernError(): unknown }
}
type OneOrMore<E> = E | readonly E[]

/** What of it the records are to blame for; all else is thrown. */
function failedOf(error: unknown, origins: readonly Write[], label: string): Sent {
  const { writeErrors = [], result } = error as BulkError
  const failures = [writeErrors].flat().map(({ index, code, errmsg = '' }): Failure => {
    const write = origins[index]
    if (write === undefined || !isRefusal(code)) throw serverError(Object.assign(new Error(errmsg), { code }), label)
    return { write, code, message: `MongoDB refuses it: ${safeText(errmsg)}; repair the record, or what is there` }
  })
  const unconfirmed = result?.getWriteConcernError()
  if (unconfirmed !== undefined && unconfirmed !== null) throw notConfirmed(unconfirmed, label)
  if (failures.length === 0 || result === undefined) throw serverError(error, label)
  return sentOf(result, failures)
}

function notConfirmed(error: unknown, label: string): Error {
  const { errmsg } = error as { errmsg?: string }
  return mongoError(
    'OUTPUT_FAILED',
    `${label} has not confirmed a write: ${safeText(errmsg ?? messageOf(error))}; are enough members of the replica set up?`,
    { retryable: true },
  )
}
