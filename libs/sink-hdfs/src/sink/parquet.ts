/** Parquet files, by hyparquet-writer. */
import { ByteWriter, ParquetWriter, schemaFromColumnData, type BasicType } from 'hyparquet-writer'
import { requireThat } from '../errors.js'
import { COMPONENT, refused, type FileEncoder, type FileFormat } from './format.js'
import { jsonProblem } from './json.js'

export type ParquetType = 'string' | 'int32' | 'int64' | 'double' | 'boolean' | 'timestamp' | 'bytes' | 'json'

export interface ParquetColumn<in T> {
  readonly type: ParquetType
  /** Default: false. */
  readonly nullable?: boolean | undefined
  /** Default: the field of the column's name. */
  readonly value?: ((record: T) => unknown) | undefined
}

export interface ParquetOptions<T> {
  /** Name → type, or type and more. */
  readonly columns: Readonly<Record<string, ParquetType | ParquetColumn<T>>>
  /** Default: `snappy`. */
  readonly compression?: 'snappy' | 'none' | undefined
  /** Rows that are held in memory and compressed together. Default: 50,000. */
  readonly rowGroupRows?: number | undefined
}

interface Column {
  readonly name: string
  readonly type: ParquetType
  readonly nullable: boolean
  readonly value: (record: unknown) => unknown
}

const TYPES: Readonly<Record<ParquetType, BasicType>> = {
  string: 'STRING',
  int32: 'INT32',
  int64: 'INT64',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  timestamp: 'TIMESTAMP',
  bytes: 'BYTE_ARRAY',
  json: 'JSON',
}
const DEFAULT_ROWS = 50_000

/** Parquet with these columns. A record of which a value does not fit its column is refused. */
export function parquet<T>(options: ParquetOptions<T>): FileFormat<T> {
  const { compression = 'snappy', rowGroupRows = DEFAULT_ROWS } = options
  const columns = Object.entries(options.columns).map(([name, given]): Column => {
    const { type, nullable = false, value } = typeof given === 'string' ? { type: given } : given
    requireThat(
      Object.hasOwn(TYPES, type),
      COMPONENT,
      `column ${name} has the type ${type}; use one of ${Object.keys(TYPES).join(', ')}`,
    )
    const field = (record: unknown): unknown => (record as Readonly<Record<string, unknown>> | null | undefined)?.[name]
    return { name, type, nullable, value: (value as Column['value'] | undefined) ?? field }
  })
  requireThat(columns.length > 0, COMPONENT, 'columns is empty; name at least one')
  requireThat(
    rowGroupRows >= 1,
    COMPONENT,
    `rowGroupRows must be at least 1, not ${String(rowGroupRows)}; leave it out for 50,000`,
  )
  const codec = compression === 'none' ? 'UNCOMPRESSED' : 'SNAPPY'
  return { extension: '.parquet', begin: () => new ParquetEncoder(columns, codec, rowGroupRows) }
}

class ParquetEncoder implements FileEncoder<unknown> {
  readonly #columns: readonly Column[]
  readonly #rowGroupRows: number
  readonly #bytes = new ByteWriter()
  readonly #file: ParquetWriter
  #data: unknown[][]
  #rows = 0

  constructor(columns: readonly Column[], codec: 'SNAPPY' | 'UNCOMPRESSED', rowGroupRows: number) {
    this.#columns = columns
    this.#rowGroupRows = rowGroupRows
    this.#data = columns.map(() => [])
    const columnData = columns.map(({ name, type, nullable }) => ({ name, data: [], type: TYPES[type], nullable }))
    this.#file = new ParquetWriter({ writer: this.#bytes, schema: schemaFromColumnData({ columnData }), codec })
  }

  add(record: unknown): void {
    const row = this.#columns.map((column) => valueOf(column, record))
    for (const [i, value] of row.entries()) this.#data[i]?.push(value)
    this.#rows++
    if (this.#rows >= this.#rowGroupRows) this.#writeGroup()
  }

  #writeGroup(): void {
    const columnData = this.#columns.map(({ name, type, nullable }, i) => ({
      name,
      data: this.#data[i] ?? [],
      type: TYPES[type],
      nullable,
    }))
    // Only a writer with `flush` makes it wait.
    void this.#file.write({ columnData, rowGroupSize: this.#rows })
    this.#data = this.#columns.map(() => [])
    this.#rows = 0
  }

  take(): Uint8Array | undefined {
    return this.#bytes.index === 0 || this.#bytes.offset <= MAGIC_BYTES ? undefined : this.#taken()
  }

  #taken(): Uint8Array {
    const made = Uint8Array.from(this.#bytes.getBytes())
    this.#bytes.index = 0
    return made
  }

  end(): Uint8Array {
    if (this.#rows > 0) this.#writeGroup()
    void this.#file.finish()
    return this.#taken()
  }
}

// `PAR1`, before the first group.
const MAGIC_BYTES = 4

function valueOf({ name, type, nullable, value }: Column, record: unknown): unknown {
  const given = value(record)
  if (given === null || given === undefined) {
    if (nullable) return null
    throw refused(`column ${name} has no value; set nullable: true if that is right`)
  }
  const made = CONVERSIONS[type](given)
  if (made === undefined) throw refused(`column ${name} is ${type}, and the value is not; convert it`)
  return made
}

const INT32 = 2 ** 31
const INT64 = 2n ** 63n

function wholeNumber(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value >= -INT64 && value < INT64 ? value : undefined
  return Number.isSafeInteger(value) ? BigInt(value as number) : undefined
}

/** What the writer takes; undefined for what does not fit. */
const CONVERSIONS: Readonly<Record<ParquetType, (value: unknown) => unknown>> = {
  string: (value) => (typeof value === 'string' && !/\p{Surrogate}/u.test(value) ? value : undefined),
  int32: (value) =>
    Number.isInteger(value) && (value as number) >= -INT32 && (value as number) < INT32 ? value : undefined,
  int64: wholeNumber,
  double: (value) => (typeof value === 'number' ? value : undefined),
  boolean: (value) => (typeof value === 'boolean' ? value : undefined),
  timestamp: (value) => (value instanceof Date && !Number.isNaN(value.getTime()) ? value : undefined),
  bytes: (value) => (value instanceof Uint8Array ? value : undefined),
  json: (value) => (jsonProblem(value) === undefined ? value : undefined),
}
