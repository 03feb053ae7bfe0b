/**
 * A server with transactions, as far as the sink uses one: what stands in for MongoDB in the tests has none that undo anything. It
 * runs one transaction at a time, on a copy that commit puts in place. Faults are options.
 */
import { ObjectId, type Document } from 'mongodb'
import { idKey } from '../documents.js'
import type { GivenClient } from '../mongo-sink.config.js'

export interface SimulatedFaults {
  /** Counted down at each commit; at 0 its answer is lost: before it is done, or after. */
  loseCommit?: { after: number; isDone: boolean } | undefined
  /** Counted down at each operation in a transaction; at 0 it fails. */
  failOperation?: { after: number; code: number } | undefined
  /** A transaction begins with this error. */
  noTransactions?: { code: number; message: string } | undefined
  /** Any command fails so. */
  command?: { code: number; message: string } | undefined
}

type Rows = Map<string, Document>
type Data = Map<string, Rows>

export class SimulatedMongo {
  faults: SimulatedFaults = {}
  /** Fields that no two documents of a collection may share. */
  readonly unique: string[] = []
  #data: Data = new Map()
  aborts = 0
  commits = 0

  client(): GivenClient {
    return { db: () => this.#db(), startSession: () => new Session(this) } as unknown as GivenClient
  }

  all(name: string): Document[] {
    return [...(this.#data.get(name)?.values() ?? [])].map((each) => structuredClone(each))
  }

  drop(name: string): void {
    this.#data.delete(name)
  }

  begin(): Data {
    if (this.faults.noTransactions !== undefined) throw serverError(this.faults.noTransactions)
    return structuredClone(this.#data)
  }

  commit(data: Data): void {
    const { loseCommit } = this.faults
    const isLost = loseCommit !== undefined && loseCommit.after-- === 0
    if (!isLost || loseCommit.isDone) {
      this.#data = data
      this.commits++
    }
    if (isLost) throw Object.assign(new Error('connection 7 closed'), { name: 'MongoNetworkError' })
  }

  rows(name: string, session: Session | undefined): Rows {
    const { failOperation } = this.faults
    if (session !== undefined && failOperation !== undefined && failOperation.after-- === 0)
      throw serverError({ code: failOperation.code, message: 'the operation failed' })
    const data = session?.data ?? this.#data
    const rows = data.get(name) ?? new Map<string, Document>()
    data.set(name, rows)
    return rows
  }

  #db() {
    return {
      databaseName: 'simulated',
      command: () =>
        Promise.resolve(this.faults.command).then((fault) => {
          if (fault !== undefined) throw serverError(fault)
          return { ok: 1, authInfo: {} }
        }),
      listCollections: () => ({ toArray: () => Promise.resolve([]) }),
      collection: (name: string) => new SimulatedCollection(this, name),
    }
  }
}

class Session {
  data: Data | undefined
  readonly #server: SimulatedMongo

  constructor(server: SimulatedMongo) {
    this.#server = server
  }

  startTransaction(): void {
    this.data = this.#server.begin()
  }

  async commitTransaction(): Promise<void> {
    await Promise.resolve()
    const { data } = this
    this.data = undefined
    if (data !== undefined) this.#server.commit(data)
  }

  async abortTransaction(): Promise<void> {
    await Promise.resolve()
    if (this.data !== undefined) this.#server.aborts++
    this.data = undefined
  }

  endSession(): Promise<void> {
    return this.abortTransaction()
  }
}

interface Options {
  readonly session?: Session
  readonly upsert?: boolean
}

class SimulatedCollection {
  readonly #server: SimulatedMongo
  readonly #name: string

  constructor(server: SimulatedMongo, name: string) {
    this.#server = server
    this.#name = name
  }

  async findOne(filter: Document, options: Options = {}): Promise<Document | null> {
    const [found] = await this.find(filter, options).toArray()
    return found ?? null
  }

  find(filter: Document, { session }: Options = {}) {
    const toArray = async (): Promise<Document[]> => {
      await Promise.resolve()
      return this.#matching(filter, session).map((each) => structuredClone(each))
    }
    return { toArray }
  }

  async insertOne(document: Document, { session }: Options = {}): Promise<void> {
    await Promise.resolve()
    this.#insert(document, session)
  }

  async deleteOne(filter: Document): Promise<void> {
    await Promise.resolve()
    const [found] = this.#matching(filter, undefined)
    if (found !== undefined) this.#server.rows(this.#name, undefined).delete(idKey(found['_id']))
  }

  async updateOne(filter: Document, update: Document, options: Options = {}): Promise<{ matchedCount: number }> {
    await Promise.resolve()
    return { matchedCount: this.#update(filter, update, options) }
  }

  async findOneAndUpdate(filter: Document, update: Document, options: Options = {}): Promise<Document | null> {
    await Promise.resolve()
    if (this.#update(filter, update, options) === 0) return null
    return this.findOne({ _id: filter['_id'] as unknown }, options)
  }

  initializeOrderedBulkOp({ session }: Options = {}) {
    return new SimulatedBulk((operation) => this.#write(operation, session), true)
  }

  initializeUnorderedBulkOp({ session }: Options = {}) {
    return new SimulatedBulk((operation) => this.#write(operation, session), false)
  }

  /** How many it matched. */
  #write({ insertOne, replaceOne, updateOne }: Document, session: Session | undefined): number {
    if (insertOne !== undefined) {
      this.#insert((insertOne as Document)['document'] as Document, session)
      return 0
    }
    const { filter, update, replacement, upsert } = (updateOne ?? replaceOne) as Record<string, Document>
    const options = { upsert: Boolean(upsert), ...(session && { session }) }
    return this.#update(filter ?? {}, update ?? { replacement }, options)
  }

  #insert(given: Document, session: Session | undefined): void {
    // The driver makes one where there is none.
    const document = '_id' in given ? given : { ...given, _id: new ObjectId() }
    const rows = this.#server.rows(this.#name, session)
    const key = idKey(document['_id'])
    if (rows.has(key)) throw serverError({ code: 11_000, message: 'duplicate key _id_' })
    for (const other of rows.values())
      for (const field of this.#server.unique)
        if (field in document && other[field] === document[field])
          throw serverError({ code: 11_000, message: `duplicate key ${field}` })
    rows.set(key, structuredClone(document))
  }

  /** How many matched. */
  #update(filter: Document, update: Document, { session, upsert }: Options): number {
    const [found] = this.#matching(filter, session)
    if (found === undefined && upsert !== true) return 0
    const changed = updated(found ?? { _id: filter['_id'] as unknown }, update)
    if (found === undefined) this.#insert(changed, session)
    else this.#server.rows(this.#name, session).set(idKey(changed['_id']), changed)
    return found === undefined ? 0 : 1
  }

  #matching(filter: Document, session: Session | undefined): Document[] {
    return [...this.#server.rows(this.#name, session).values()].filter((each) => matches(each, filter))
  }
}

class SimulatedBulk {
  readonly #write: (operation: Document) => number
  readonly #isOrdered: boolean
  readonly #operations: Document[] = []

  constructor(write: (operation: Document) => number, isOrdered: boolean) {
    this.#write = write
    this.#isOrdered = isOrdered
  }

  raw(operation: Document): void {
    this.#operations.push(operation)
  }

  insert(document: Document): void {
    this.raw({ insertOne: { document } })
  }

  addToOperationsList(_type: unknown, { q, u, upsert }: { q: Document; u: Document; upsert: boolean }): void {
    const isUpdate = Object.keys(u).some((name) => name.startsWith('$'))
    this.raw({
      updateOne: {
        filter: q,
        upsert,
        ...(isUpdate ? { update: u } : { replacement: { ...u, _id: q['_id'] as unknown } }),
      },
    })
  }

  async execute() {
    await Promise.resolve()
    const writeErrors: object[] = []
    let matchedCount = 0
    for (const [index, operation] of this.#operations.entries()) {
      try {
        matchedCount += this.#write(operation)
      } catch (error) {
        const { code, message } = error as { code?: number; message: string }
        if (code !== 11_000) throw error
        writeErrors.push({ index, code, errmsg: message })
        if (this.#isOrdered) break
      }
    }
    const made = this.#operations.length - matchedCount - writeErrors.length
    const result = { matchedCount, insertedCount: made, upsertedCount: 0, getWriteConcernError: () => undefined }
    if (writeErrors.length > 0)
      throw Object.assign(new Error('some failed'), { name: 'MongoBulkWriteError', writeErrors, result })
    return result
  }
}

function updated(from: Document, { $set = {}, $inc = {}, $setOnInsert = {}, replacement }: Document): Document {
  if (replacement !== undefined) return structuredClone(replacement as Document)
  const changed = structuredClone(from)
  for (const [path, value] of Object.entries({ ...$setOnInsert, ...$set } as Document)) setAt(changed, path, value)
  for (const [path, by] of Object.entries($inc as Record<string, number>))
    setAt(changed, path, Number(valueAt(changed, path) ?? 0) + by)
  return changed
}

function setAt(document: Document, path: string, value: unknown): void {
  const [first = '', ...rest] = path.split('.')
  if (rest.length === 0) document[first] = structuredClone(value)
  else setAt((document[first] ??= {}) as Document, rest.join('.'), value)
}

function valueAt(document: Document, path: string): unknown {
  return path.split('.').reduce<unknown>((value, field) => (value as Document | undefined)?.[field], document)
}

function matches(document: Document, filter: Document): boolean {
  return Object.entries(filter).every(([path, wanted]) => {
    if (path === '$or') return (wanted as Document[]).some((each) => matches(document, each))
    const value = valueAt(document, path)
    const isCondition =
      typeof wanted === 'object' &&
      wanted !== null &&
      Object.keys(wanted as object).some((name) => name.startsWith('$'))
    return isCondition ? fits(value, wanted as Document) : value !== undefined && idKey(value) === idKey(wanted)
  })
}

function fits(value: unknown, condition: Document): boolean {
  return Object.entries(condition).every(([name, operand]: [string, unknown]) => {
    const isThere = value !== undefined
    switch (name) {
      case '$exists':
        return isThere === operand
      case '$not':
        return !fits(value, operand as Document)
      case '$in':
        return isThere && (operand as unknown[]).some((each) => idKey(each) === idKey(value))
      default:
        return isThere && compare(name, value as number, operand as number)
    }
  })
}

function compare(name: string, value: number, operand: number): boolean {
  if (name === '$lt') return value < operand
  if (name === '$lte') return value <= operand
  if (name === '$gt') return value > operand
  if (name === '$gte') return value >= operand
  throw new Error(`the simulated server knows no ${name}`)
}

function serverError({ code, message }: { code: number; message: string }): Error {
  return Object.assign(new Error(message), { name: 'MongoServerError', code })
}
