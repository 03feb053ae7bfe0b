/** From records to what is written: one write for each document, one for each record where it inserts or runs operations of one's own. */
import { ObjectId, type AnyBulkWriteOperation, type Document, type UpdateStatement } from 'mongodb'
import { GUARDS, idKey, isWhole, requireDocument, requireFields } from './documents.js'
import { messageOf, mongoError } from './errors.js'
import { isCollection, type AnyWrite } from './mongo-sink.config.js'

/** What goes to one document; of `custom`, to several. */
export interface Write {
  readonly collection: string
  /** Undefined until the sink has made it of the write's number; of `custom`, there is none. */
  id: string | undefined
  /** The record that it is made of, and those merged into it. Most have none: a list for each would be most of what a partition takes. */
  readonly index: number
  others: number[] | undefined
  /** A document, fields to set, or what is added to fields. */
  body: Document
  /** Fields set besides what is added. */
  set: Document
  /** Of `custom`. */
  readonly operations: readonly AnyBulkWriteOperation[]
}

export function indexesOf({ index, others = [] }: Write): readonly number[] {
  return [index, ...others]
}

/** What a record becomes: a write without its place. Made field by field, as spreading them takes longer than all the rest. */
type Part = Pick<Write, 'id' | 'body' | 'set' | 'operations'>

/** Says in a document what has been written there. All of it is made once for a partition. */
export interface Guard {
  readonly batchTime: number
  /** Its name among the guards of a document, and its path from the document's top. */
  readonly name: string
  readonly path: string
  /** What a filter asks of it: that the document is to be written. */
  readonly condition: Document
  /** The guards of a document that nobody else has written to. */
  readonly mark: Document
}

/** `owner` stands for the application and the output. */
export function guardOf({ isOverwriting }: Mode, owner: string, batchTime: number, partition: number): Guard {
  const name = isOverwriting ? owner : `${owner}_${String(partition)}`
  const condition = { $not: isOverwriting ? { $gt: batchTime } : { $gte: batchTime } }
  return { batchTime, name, path: `${GUARDS}.${name}`, condition, mark: { [name]: batchTime } }
}

/** How a mode's writes become what the server is sent, and how their guards are read. */
export interface Mode {
  readonly name: AnyWrite['mode']
  /** Whether all records of an `_id` become one write. */
  readonly isMerged: boolean
  /** Whether `_id`s are the sink's own: they then are the guard. */
  readonly isNumbered: boolean
  /** Throws for a record that has none, with the reason as a clause. */
  writeOf(record: unknown): Part
  /** Adds a later write of the same document to an earlier one. */
  merge(into: Write, from: Part): void
  /** Throws where the sum of what was merged is nothing to write. Default: it never is. */
  check?(write: Write): void
  /** The document that a write makes where there is none; a new object. Undefined of `custom`. */
  readonly document?: (write: Write, guard: Guard | undefined) => Document
  /** What changes the document that there is, or makes it. Undefined of `custom` and `insert`. */
  readonly statement?: (write: Write, guard: Guard | undefined, upsert: boolean) => UpdateStatement
  /**
   * Overwriting ones have one guard for the output: they apply unless the document is of a later batch (E9). What must be done once has a
   * guard for each partition (E20).
   */
  readonly isOverwriting: boolean
  /** Whether the guard that a document has says that the write is done, or has been overtaken by a later one. */
  isDone(held: unknown, guard: Guard): boolean
}

export function planMode(options: AnyWrite): Mode {
  switch (options.mode) {
    case 'insert':
      return insertMode(options)
    case 'replace':
      return replaceMode(options)
    case 'upsert':
      return upsertMode(options)
    case 'increment':
      return incrementMode(options)
    default:
      return customMode(options)
  }
}

const NO_FIELDS: Document = {}
const NO_OPERATIONS: Write['operations'] = []

function partOf(id: string | undefined, body: Document, set = NO_FIELDS, operations = NO_OPERATIONS): Part {
  return { id, body, set, operations }
}

const keep = (): void => undefined

const overwriting = {
  isMerged: true,
  isNumbered: false,
  isOverwriting: true,
  isDone: (held: unknown, { batchTime }: Guard) => typeof held === 'number' && held >= batchTime,
}

function insertMode({ id, document }: AnyWrite): Mode {
  const isNumbered = id === undefined
  return {
    name: 'insert',
    isMerged: false,
    isNumbered,
    merge: keep,
    isOverwriting: false,
    isDone: (held, { batchTime }) => isNumbered || held === batchTime,
    writeOf(record) {
      const body = documentOf(record, document)
      if (isNumbered && Object.hasOwn(body, '_id'))
        throw new Error("has an _id; use it with id: '_id', or leave it out")
      return partOf(id === undefined ? undefined : idOf(record, id), body)
    },
    // Without a ledger nothing makes an `_id` of its number.
    document: ({ id: _id, body }, guard) => wholeOf(_id ?? new ObjectId(), body, isNumbered ? undefined : guard),
  }
}

function replaceMode({ id = '_id', document }: AnyWrite): Mode {
  return {
    ...overwriting,
    name: 'replace',
    writeOf: (record) => partOf(idOf(record, id), documentOf(record, document)),
    merge(into, { body }) {
      into.body = body
    },
    document: ({ id: _id, body }, guard) => wholeOf(_id, body, guard),
    statement({ id: _id, body }, guard, upsert) {
      // The server takes the `_id` from the filter.
      const u = guard === undefined && !('_id' in body) ? body : wholeOf(_id, body, guard)
      return { q: filterOf(_id, guard), u, upsert }
    },
  }
}

function upsertMode({ id = '_id', fields }: AnyWrite): Mode {
  const fieldsOf = fieldsFunction(fields)
  return {
    ...overwriting,
    name: 'upsert',
    writeOf: (record) => partOf(idOf(record, id), withoutId(requiredFields(fieldsOf(record)))),
    merge(into, { body }) {
      into.body = { ...into.body, ...body }
    },
    document: ({ id: _id, body }, guard) => wholeOf(_id, body, guard),
    statement({ id: _id, body }, guard, upsert) {
      const set = guard === undefined ? body : { [guard.path]: guard.batchTime, ...body }
      // A document of an `_id` alone.
      const u = isEmpty(set) ? { $setOnInsert: { _id } } : { $set: set }
      return { q: filterOf(_id, guard), u, upsert }
    },
  }
}

/** A new document. The `_id` is its first field, as V8 takes four times as long to add one to an object that begins with a spread. */
function wholeOf(_id: unknown, fields: Document, guard: Guard | undefined): Document {
  const whole = guard === undefined ? { _id, ...fields } : { _id, ...fields, [GUARDS]: guard.mark }
  // The fields may have another one.
  whole._id = _id
  return whole
}

function filterOf(_id: unknown, guard: Guard | undefined): Document {
  return guard === undefined ? { _id } : { _id, [guard.path]: guard.condition }
}

function incrementMode({ id = '_id', by = () => ({ count: 1 }), set = () => ({}) }: AnyWrite): Mode {
  return {
    name: 'increment',
    isMerged: true,
    isNumbered: false,
    isOverwriting: false,
    isDone: (held, { batchTime }) => typeof held === 'number' && held >= batchTime,
    writeOf(record) {
      const [body, fields] = [requiredFields(by(record)), withoutId(requiredFields(set(record)))]
      for (const [name, value] of Object.entries(body)) {
        if (name === '_id') throw new Error('adds to _id, which never changes')
        if (name in fields) throw new Error(`field ${name} is added to and set`)
        if (typeof value !== 'bigint' && !Number.isFinite(value))
          throw new Error(`field ${name} is ${String(value)}, which cannot be added`)
      }
      return partOf(idOf(record, id), body, fields)
    },
    merge(into, { body, set: fields }) {
      into.set = { ...into.set, ...fields }
      for (const [name, value] of Object.entries(body)) into.body[name] = sumOf(into.body[name], value)
    },
    check({ body }) {
      for (const [name, value] of Object.entries(body))
        if (typeof value === 'bigint' ? BigInt.asIntN(64, value) !== value : !Number.isFinite(value))
          throw new Error(`the sum of field ${name} in this batch is more than a number holds`)
    },
    document: ({ id: _id, body, set: fields }, guard) =>
      wholeOf(_id, isEmpty(fields) ? body : { ...body, ...fields }, guard),
    statement({ id: _id, body, set: fields }, guard, upsert) {
      const sets = guard === undefined ? fields : { [guard.path]: guard.batchTime, ...fields }
      const u: Document = {}
      if (!isEmpty(body)) u['$inc'] = body
      if (!isEmpty(sets)) u['$set'] = sets
      return { q: filterOf(_id, guard), u, upsert }
    },
  }
}

type Summand = number | bigint

function sumOf(a: unknown, b: unknown): Summand {
  if (a === undefined) return b as Summand
  if (typeof a === 'number' && typeof b === 'number') return a + b
  return integerOf(a as Summand) + integerOf(b as Summand)
}

function integerOf(value: Summand): bigint {
  // One that is none makes the sum one that `check` refuses.
  return typeof value === 'bigint' || Number.isSafeInteger(value) ? BigInt(value) : 2n ** 64n
}

function customMode({ operations }: AnyWrite): Mode {
  return {
    name: 'custom',
    isMerged: false,
    isNumbered: false,
    merge: keep,
    isOverwriting: false,
    isDone: () => false,
    writeOf(record) {
      const given = operations?.(record)
      if (!Array.isArray(given)) throw new Error('has no array of operations')
      return partOf(undefined, NO_FIELDS, NO_FIELDS, given as AnyBulkWriteOperation[])
    },
  }
}

function isEmpty(fields: Document): boolean {
  for (const name in fields) if (Object.hasOwn(fields, name)) return false
  return true
}

/** To the driver's types it is a text; what it is, is looked at later. */
function idOf(record: unknown, id: string | ((record: unknown) => unknown)): string {
  return (typeof id === 'function' ? id(record) : propertyOf(record, id)) as string
}

function propertyOf(record: unknown, name: string): unknown {
  if (typeof record !== 'object' || record === null) throw new Error('is no object')
  return record[name as never]
}

/** A copy: the sink adds to it. */
function documentOf(record: unknown, map: AnyWrite['document']): Document {
  const document = map === undefined ? record : map(record)
  requireDocument(document)
  return document
}

function requiredFields(fields: unknown): Document {
  requireFields(fields)
  return { ...fields }
}

function withoutId({ _id, ...fields }: Document): Document {
  return fields
}

function fieldsFunction(fields: AnyWrite['fields']): (record: unknown) => unknown {
  if (typeof fields === 'function') return fields
  if (fields === undefined) return (record) => record
  return (record) => Object.fromEntries(fields.map((name) => [name, propertyOf(record, name)]))
}

export type Reject = (index: number, error: Error) => void

/** The writes of the documents of a collection, by `_id`: texts as they are, all else by its key. */
interface Documents {
  readonly texts: Map<string, Write>
  readonly others: Map<string, Write>
}

/** The writes of a partition so far, in the order of its records; those of a document one, where its first record was. */
export interface Gathered {
  readonly writes: Write[]
  readonly documents: Map<string, Documents>
}

export function nothingGathered(): Gathered {
  return { writes: [], documents: new Map() }
}

/** Makes writes of records. One for the life of a sink: what V8 compiles for an object of private fields goes with the last one of its kind. */
export class Gatherer {
  readonly #mode: Mode
  readonly #collection: string | ((record: never) => unknown)

  constructor(mode: Mode, collection: string | ((record: never) => string)) {
    this.#mode = mode
    this.#collection = collection
  }

  add(to: Gathered, record: unknown, index: number, reject: Reject): void {
    try {
      const given = this.#collection
      const collection = typeof given === 'string' ? given : given(record as never)
      if (!isCollection(collection)) throw new Error('has no name of a collection')
      this.#add(to, collection, this.#mode.writeOf(record), index)
    } catch (error) {
      reject(index, refusal(`the record ${messageOf(error)}; repair or filter such records`, error))
    }
  }

  #add(to: Gathered, collection: string, part: Part, index: number): void {
    const { id, body, set, operations } = part
    const own: Write = { collection, id, index, others: undefined, body, set, operations }
    const before = this.#mode.name === 'custom' || this.#mode.isNumbered ? undefined : remember(to.documents, own)
    if (before === undefined) {
      to.writes.push(own)
      return
    }
    // Which of them a document is from could not be told again.
    if (!this.#mode.isMerged) throw new Error('has the _id of another one in its partition')
    this.#mode.merge(before, part)
    before.others ??= []
    before.others.push(index)
  }

  /** All, when all records have been added. */
  end({ writes }: Gathered, reject: Reject): readonly Write[] {
    const { check } = this.#mode
    if (check === undefined) return writes
    return writes.filter((write) => {
      try {
        check(write)
        return true
      } catch (error) {
        for (const index of indexesOf(write)) reject(index, refusal(`${messageOf(error)}; filter such records`, error))
        return false
      }
    })
  }
}

/** The write of the same document that came before. Throws for an `_id` that is none. */
function remember(all: Map<string, Documents>, write: Write): Write | undefined {
  const { collection, id } = write
  let documents = all.get(collection)
  if (documents === undefined) {
    documents = { texts: new Map(), others: new Map() }
    all.set(collection, documents)
  }
  const isText = typeof id === 'string' && isWhole(id)
  const [map, key] = isText ? [documents.texts, id] : [documents.others, keyOf(id)]
  const before = map.get(key)
  if (before === undefined) map.set(key, write)
  return before
}

function keyOf(id: unknown): string {
  try {
    return idKey(id)
  } catch (error) {
    throw new Error(`has an _id that ${messageOf(error)}`, { cause: error })
  }
}

export function refusal(message: string, cause?: unknown): Error {
  return mongoError('RECORD_REJECTED', message, { cause })
}
