/** Options of the MongoDB sink, and what is wrong with them. */
import type { AnyBulkWriteOperation, Document, MongoClient, MongoClientOptions } from 'mongodb'
import type { MongoId } from './documents.js'
import { requireThat } from './errors.js'

/** What is used of a client of one's own. It is never closed. */
export type GivenClient = Pick<MongoClient, 'db' | 'startSession'>

/** Where the server is. */
export type MongoPlace =
  | {
      /** `mongodb://[user:password@]host:port[,…]/[?options]`, or `mongodb+srv://`. */
      readonly url: string
      /** What the driver takes besides, e.g. `{ ca }` for TLS. */
      readonly options?: MongoClientOptions | undefined
    }
  | { readonly client: GivenClient }

/** The name of a property, or a function. */
type Field<T, V> = string | ((record: T) => V)

/** What is done with a record. */
export type MongoWrite<T> =
  | {
      /** A document for each record. One that is there already is refused, unless this batch has written it. */
      readonly mode: 'insert'
      /** Default: made from application, output, batch, partition and number of the record, so that it is the same again. */
      readonly id?: Field<T, MongoId> | undefined
      /** Default: the record. */
      readonly document?: ((record: T) => Document) | undefined
    }
  | {
      /** The whole document, there or not; of several records of an `_id` the last. */
      readonly mode: 'replace'
      /** Default: `'_id'`. */
      readonly id?: Field<T, MongoId> | undefined
      readonly document?: ((record: T) => Document) | undefined
    }
  | {
      /** Sets fields; those that the record has not stay as they are. */
      readonly mode: 'upsert'
      readonly id?: Field<T, MongoId> | undefined
      /** Names, or a function. Default: all of the record. */
      readonly fields?: readonly string[] | ((record: T) => Document) | undefined
    }
  | {
      /** Adds to fields. */
      readonly mode: 'increment'
      readonly id?: Field<T, MongoId> | undefined
      /** What is added to which field. Default: 1 to `count`. */
      readonly by?: ((record: T) => Readonly<Record<string, number | bigint>>) | undefined
      /** Fields that are set besides. Default: none. */
      readonly set?: ((record: T) => Document) | undefined
    }
  | {
      readonly mode: 'custom'
      /** What the driver's `bulkWrite` takes, in order. Without `transaction` it must not matter how often they are run. */
      readonly operations: (record: T) => readonly AnyBulkWriteOperation[]
    }

export type MongoSinkOptions<T> = MongoPlace &
  MongoWrite<T> & {
    readonly database: string
    /** A name, or by record. */
    readonly collection: string | ((record: T) => string)
    /**
     * Writes and ledger in one transaction, for servers that have them: a replica set or a sharded cluster. `start()` tries one and refuses
     * where an abort undoes nothing. Default: false: a guard in each document.
     */
    readonly transaction?: boolean | undefined
    /** `false`: no ledger and no guards. A batch that is run again is written again: at-least-once. Default: true. */
    readonly ledger?: boolean | undefined
    /** The collection, in the same database, where the ledger is. Default: `'sluice_ledger'`. */
    readonly ledgerCollection?: string | undefined
    /** When a write counts. Default: `{ w: 'majority', journal: true }`; with less the guarantee is lower. */
    readonly writeConcern?: { readonly w?: number | 'majority'; readonly journal?: boolean } | undefined
    /** Milliseconds until a call counts as failed. Default: 5,000. */
    readonly callTimeoutMs?: number | undefined
  }

/** All options, of whatever mode, for those who look them up by mode. */
export interface AnyWrite {
  readonly mode: MongoWrite<never>['mode']
  readonly id?: string | ((record: unknown) => unknown) | undefined
  readonly document?: ((record: unknown) => unknown) | undefined
  readonly fields?: readonly string[] | ((record: unknown) => unknown) | undefined
  readonly by?: ((record: unknown) => unknown) | undefined
  readonly set?: ((record: unknown) => unknown) | undefined
  readonly operations?: ((record: unknown) => unknown) | undefined
}

export const DEFAULT_CALL_TIMEOUT_MS = 5_000
export const DEFAULT_LEDGER = 'sluice_ledger'
const MODES: readonly AnyWrite['mode'][] = ['insert', 'replace', 'upsert', 'increment', 'custom']

/** Throws `ARGUMENT_INVALID`. */
export function checkOptions(options: MongoSinkOptions<never>): void {
  const { mode, callTimeoutMs = 1, database, ledger = true, transaction = false } = options
  const { id, operations } = options as unknown as AnyWrite
  requireThat(MODES.includes(mode), `there is no mode '${String(mode)}'; use one of ${MODES.join(', ')}`)
  requirePlace(options)
  requireThat(callTimeoutMs >= 1, `callTimeoutMs must be at least 1, not ${String(callTimeoutMs)}`)
  requireThat(
    typeof database === 'string' && /^[^/\\. "$\0]+$/.test(database),
    'the sink needs the name of a `database`, without dots, slashes, spaces and $',
  )
  requireCollections(options)
  requireThat(mode !== 'custom' || typeof operations === 'function', 'mode custom needs `operations`')
  requireThat(ledger || !transaction, 'a `transaction` is for the ledger; leave one of them out')
  requireThat(
    ledger || mode !== 'insert' || id === undefined,
    'without a ledger a batch that is run again takes its own documents for duplicates; use mode replace',
  )
}

function requireCollections({ collection, ledgerCollection = DEFAULT_LEDGER }: MongoSinkOptions<never>): void {
  requireThat(
    typeof collection === 'function' || isCollection(collection),
    'the sink needs a `collection`: a name without $, or a function',
  )
  requireThat(isCollection(ledgerCollection), '`ledgerCollection` must be a name without $')
  requireThat(collection !== ledgerCollection, 'the ledger needs a collection of its own')
}

export function isCollection(name: unknown): name is string {
  return typeof name === 'string' && /^(?!system\.)[^$\0.][^$\0]*$/.test(name) && !name.endsWith('.')
}

function requirePlace(place: object): void {
  const { url, client } = place as { url?: unknown; client?: Partial<GivenClient> | null }
  requireThat((url === undefined) !== (client === undefined), 'give one of `url` and `client`')
  if (client !== undefined)
    requireThat(typeof client?.db === 'function', 'the client has no `db`; give a MongoClient of the driver')
  else
    requireThat(
      typeof url === 'string' && /^mongodb(\+srv)?:\/\/[^/]/.test(url),
      'the `url` must be mongodb:// or mongodb+srv:// and a host; write special characters of a password as %XX',
    )
}
