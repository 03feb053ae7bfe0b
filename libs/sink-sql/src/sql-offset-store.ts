/** Offsets of sources in a table, for all databases: a row for each application, stream and partition (E21). */
import type { OffsetStore, OffsetStoreContext, StreamOffsets } from '@sluice/core'
import type { ColumnPlan } from './columns.js'
import { qualified, type Dialect, type RowMode } from './dialect.js'
import { sqlError } from './errors.js'
import type { Row } from './rows.js'
import type { Connected, ConnectContext } from './connected.js'
import { ConcurrentChange, query, type Steps } from './steps.js'
import { making } from './table.js'
import { Turns } from './turns.js'

const OFFSETS = 'sluice_offsets'
const COLUMNS = ['app_name', 'stream', 'source_partition', 'next_offset'] as const
const KEY = COLUMNS.slice(0, 3)

export interface OffsetStoreParts {
  readonly name: string
  readonly schema: string | undefined
  connect(context: ConnectContext): Promise<Connected>
}

interface Opened extends Connected {
  readonly context: OffsetStoreContext
}

/** By partition, what may be there; undefined: no row. Several values, where the answer to a write was lost. */
type Known = Map<string, readonly (string | undefined)[]>

export class SqlOffsetStore implements OffsetStore {
  readonly '~sluice' = 'offset-store/1'
  readonly name: string
  readonly #parts: OffsetStoreParts
  /** By stream: what this run last read or wrote. */
  readonly #known = new Map<string, Known>()
  /** The source and a sink may store at the same time. */
  readonly #turns = new Turns()
  #opened: Opened | undefined

  constructor(parts: OffsetStoreParts) {
    this.name = parts.name
    this.#parts = parts
  }

  async open(context: OffsetStoreContext): Promise<void> {
    const { session, dialect } = await this.#parts.connect(context)
    this.#opened = { session, dialect, context }
    await session.transaction(() => making(dialect, () => this.#make(dialect)), { signal: context.signal })
  }

  *#make(dialect: Dialect): Steps<void> {
    const name = { schema: this.#parts.schema, table: OFFSETS }
    if ((yield* dialect.describe(name)) !== undefined) return
    const { key, text } = dialect.ledgerTypes
    const columns = COLUMNS.map((column) => `${column} ${column === 'next_offset' ? text : key} NOT NULL`)
    const all = [...columns, `PRIMARY KEY (${KEY.join(', ')})`].join(', ')
    yield { sql: `CREATE TABLE IF NOT EXISTS ${qualified(dialect, name)} (${all})${dialect.tableOptions}` }
  }

  async load(stream: string): Promise<StreamOffsets> {
    return this.#inTurn(async () => {
      const { session, dialect, context } = this.#required()
      const { signal } = context
      const found = await session.transaction(() => this.#read(dialect, stream, ''), { signal, undo: true })
      this.#known.set(stream, new Map([...found].map(([partition, offset]) => [partition, [offset]])))
      return Object.fromEntries(found)
    })
  }

  async store(stream: string, offsets: StreamOffsets): Promise<void> {
    await this.#inTurn(async () => {
      const { session, dialect, context } = this.#required()
      const isNew = ([partition, offset]: [string, string]): boolean => !this.#isKnown(stream, partition, offset)
      const changed = Object.fromEntries(Object.entries(offsets).filter(isNew))
      if (Object.keys(changed).length === 0) return
      try {
        await session.transaction(() => this.#change(dialect, { [stream]: changed }), { signal: context.signal })
      } catch (error) {
        this.#mayBe(stream, changed)
        throw error
      }
      this.#areKnown({ [stream]: changed })
    })
  }

  /**
   * Stores offsets in a transaction of somebody else's: `commit` is given the steps, and resolves when that transaction is durable. Of
   * one that was durable before, it need not run the steps.
   */
  async storeWith(
    offsets: Readonly<Record<string, StreamOffsets>>,
    commit: (steps: (dialect: Dialect) => Steps<void>) => Promise<void>,
  ): Promise<void> {
    await this.#inTurn(async () => {
      this.#required()
      await commit((dialect) => this.#change(dialect, offsets))
      this.#areKnown(offsets)
    })
  }

  /** The rows are locked, and are what this run last read or wrote; else another run has stored meanwhile. */
  *#change(dialect: Dialect, streams: Readonly<Record<string, StreamOffsets>>): Steps<void> {
    const { appName } = this.#required().context
    for (const [stream, offsets] of Object.entries(streams)) {
      const there = yield* this.#read(dialect, stream, dialect.lockExclusive)
      const known = this.#known.get(stream)
      const fresh: Row[] = []
      const changed: Row[] = []
      for (const [partition, offset] of Object.entries(offsets)) {
        const found = there.get(partition)
        // Of a stream that was never read, what is there is what counts.
        const may = known === undefined ? [found] : (known.get(partition) ?? [undefined])
        if (!may.includes(found)) throw fenced(appName, stream, partition, found)
        const rows = found === undefined ? fresh : changed
        rows.push({ index: rows.length, values: [appName, stream, partition, offset] })
      }
      yield* this.#write(dialect, 'insert', fresh)
      yield* this.#write(dialect, 'upsert', changed)
    }
  }

  *#write(dialect: Dialect, mode: RowMode, rows: readonly Row[]): Steps<void> {
    const plan = { schema: this.#parts.schema, table: OFFSETS, mode, columns: columnPlans, key: KEY }
    try {
      for (const { statement } of dialect.write(plan, rows)) yield statement
    } catch (error) {
      throw dialect.isDuplicate(error) ? new ConcurrentChange('offsets', { cause: error }) : error
    }
  }

  *#read(dialect: Dialect, stream: string, lock: string): Steps<Map<string, string>> {
    const table = qualified(dialect, { schema: this.#parts.schema, table: OFFSETS })
    const where = `app_name = ${dialect.placeholder(1)} AND stream = ${dialect.placeholder(2)}`
    const { appName } = this.#required().context
    const sql = `SELECT source_partition, next_offset FROM ${table} WHERE ${where}${lock}`
    const rows = yield* query(sql, [appName, stream])
    return new Map(rows.map((row) => [String(row['source_partition']), String(row['next_offset'])]))
  }

  #isKnown(stream: string, partition: string, offset: string): boolean {
    const may = this.#known.get(stream)?.get(partition)
    return may?.length === 1 && may[0] === offset
  }

  #areKnown(streams: Readonly<Record<string, StreamOffsets>>): void {
    for (const [stream, offsets] of Object.entries(streams)) {
      const known = this.#known.get(stream) ?? new Map<string, readonly string[]>()
      this.#known.set(stream, known)
      for (const [partition, offset] of Object.entries(offsets)) known.set(partition, [offset])
    }
  }

  #mayBe(stream: string, offsets: StreamOffsets): void {
    const known = this.#known.get(stream)
    for (const [partition, offset] of Object.entries(offsets))
      known?.set(partition, [...new Set([...(known.get(partition) ?? [undefined]), offset])])
  }

  async #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const end = await this.#turns.take()
    try {
      return await work()
    } finally {
      end()
    }
  }

  #required(): Opened {
    if (this.#opened !== undefined) return this.#opened
    throw sqlError('STOPPED', `${this.name} is not open; give it to the source, too, which opens it`)
  }

  async close(): Promise<void> {
    const opened = this.#opened
    this.#opened = undefined
    await opened?.session.close()
  }
}

const columnPlans: readonly ColumnPlan[] = COLUMNS.map((name) => ({
  name,
  type: 'text',
  nullable: false,
  value: () => undefined,
}))

function fenced(appName: string, stream: string, partition: string, found: string | undefined) {
  const there = found === undefined ? 'are gone' : `say ${found} for ${partition}`
  return sqlError(
    'FENCED',
    `the offsets of stream ${stream} ${there}, which this run has not stored; another run of ${appName} is at work, or the table was put back`,
  )
}
