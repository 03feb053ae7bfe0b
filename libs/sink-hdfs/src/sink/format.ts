/** The forms of files: what a format is, and those that are lines of text. */
import { gunzipSync, gzipSync } from 'node:zlib'
import { formatRecord } from '@sluice/core'
import { failureOf, requireThat } from '../errors.js'
import { jsonProblem } from './json.js'

export const COMPONENT = 'file-sink'
const fail = failureOf(COMPONENT)

/** How records become the bytes of files. Make one by `text`, `ndjson`, `csv` or `parquet`. */
export interface FileFormat<in T> {
  /** What the names of the files end with, e.g. `.ndjson`. */
  readonly extension: string
  /** A new file. */
  begin(): FileEncoder<T>
  /** Makes one file of several, for compaction. Undefined where that cannot be done. */
  readonly merge?: ((files: readonly Uint8Array[]) => Uint8Array) | undefined
}

/** One file that is being made. */
export interface FileEncoder<in T> {
  /** Takes a record, or throws why it cannot be; then nothing of it is in the file. */
  add(record: T): void
  /** The bytes that have been made since the last call, at least about 1 MiB of them; undefined where there are less. */
  take(): Uint8Array | undefined
  /** The last bytes. */
  end(): Uint8Array
}

export interface LinesOptions {
  /** Compresses the files; their names end with `.gz`. Default: false. */
  readonly gzip?: boolean | undefined
}

/** A line per record: strings as they are, pairs as `(k,v)`, else JSON; or what `line` makes of it. Line ends within are refused. */
export function text<T>(
  options: LinesOptions & { readonly line?: ((record: T) => string) | undefined } = {},
): FileFormat<T> {
  const { line = formatRecord } = options
  return lines('.txt', options, (record: T) => {
    const made = line(record)
    if (made.includes('\n')) throw refused('it has a line end, which a text file cannot hold; use ndjson')
    return made
  })
}

/** A line of JSON per record. What JSON would lose is refused: NaN, bigints, undefined in arrays, Maps, bytes. Dates become ISO text. */
export function ndjson<T>(options: LinesOptions = {}): FileFormat<T> {
  return lines('.ndjson', options, (record: T) => {
    const problem = jsonProblem(record)
    if (problem !== undefined) throw refused(`${problem}, which JSON cannot hold; convert it by map`)
    return JSON.stringify(record)
  })
}

export type CsvValue = string | number | bigint | boolean | Date | null | undefined

export interface CsvOptions<T> extends LinesOptions {
  /** Names of fields, or names and how each value is got. */
  readonly columns: readonly (keyof T & string)[] | Readonly<Record<string, (record: T) => CsvValue>>
  /** Writes the names in the first line of each file. Default: true. */
  readonly header?: boolean | undefined
  /** Default: a comma. */
  readonly delimiter?: string | undefined
}

/**
 * Comma-separated values by RFC 4180, with LF. Null and undefined are empty, an empty text is `""`. NaN, infinities and objects are
 * refused.
 */
export function csv<T>(options: CsvOptions<T>): FileFormat<T> {
  const { columns, header = true, delimiter = ',' } = options
  requireThat(
    delimiter.length === 1 && !/["\r\n]/.test(delimiter),
    COMPONENT,
    'delimiter must be one character that is no quote and no line end; leave it out for a comma',
  )
  const entries: (readonly [string, (record: T) => unknown])[] = Array.isArray(columns)
    ? (columns as readonly (keyof T & string)[]).map((name) => [name, (record: T) => record[name]] as const)
    : Object.entries(columns as Readonly<Record<string, (record: T) => unknown>>)
  requireThat(entries.length > 0, COMPONENT, 'columns is empty; name at least one')
  const mustQuote = new RegExp(
    `["\r\n${delimiter === '\\' || delimiter === ']' || delimiter === '^' ? '\\' : ''}${delimiter}]|^$`,
  )
  const cell = (value: unknown, name: string): string => {
    const plain = csvText(value, name)
    if (plain === undefined) return ''
    return mustQuote.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain
  }
  const head = header ? entries.map(([name]) => cell(name, name)).join(delimiter) : undefined
  return lines(
    '.csv',
    options,
    (record: T) => entries.map(([name, value]) => cell(value(record), name)).join(delimiter),
    head,
  )
}

function csvText(value: unknown, name: string): string | undefined {
  if (value === null || value === undefined) return undefined
  if (typeof value === 'string') return value
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  if (typeof value === 'number' && Number.isFinite(value)) return Object.is(value, -0) ? '-0' : String(value)
  if (value instanceof Date && Number.isFinite(value.getTime())) return value.toISOString()
  throw refused(`column ${name} is neither text nor a finite number, bigint, boolean or date; convert it`)
}

export function refused(why: string): Error {
  return fail('RECORD_REJECTED', why)
}

// Compressing blocks the process for the time of a piece.
const PIECE_CHARS = 2 ** 20
const PLAIN_PIECE_CHARS = 2 ** 22

function lines<T>(
  extension: string,
  { gzip = false }: LinesOptions,
  line: (record: T) => string,
  head?: string,
): FileFormat<T> {
  // Members of a gzip file one after the other are one file: each piece is compressed by itself.
  const bytesOf = (made: string): Uint8Array => (gzip ? gzipSync(made) : Buffer.from(made))
  return {
    extension: gzip ? `${extension}.gz` : extension,
    begin: () => new LinesEncoder(line, bytesOf, head, gzip ? PIECE_CHARS : PLAIN_PIECE_CHARS),
    merge: (files) =>
      head === undefined ? Buffer.concat(files) : mergeWithHead(files, Buffer.from(`${head}\n`), gzip),
  }
}

class LinesEncoder<T> implements FileEncoder<T> {
  readonly #line: (record: T) => string
  readonly #bytesOf: (made: string) => Uint8Array
  readonly #pieceChars: number
  #made: string

  constructor(
    line: (record: T) => string,
    bytesOf: (made: string) => Uint8Array,
    head: string | undefined,
    pieceChars: number,
  ) {
    this.#pieceChars = pieceChars
    this.#line = line
    this.#bytesOf = bytesOf
    this.#made = head === undefined ? '' : `${head}\n`
  }

  add(record: T): void {
    this.#made += `${this.#line(record)}\n`
  }

  take(): Uint8Array | undefined {
    return this.#made.length < this.#pieceChars ? undefined : this.end()
  }

  end(): Uint8Array {
    const made = this.#made
    this.#made = ''
    return made === '' ? new Uint8Array(0) : this.#bytesOf(made)
  }
}

/** Only the first file's first line is kept. */
function mergeWithHead(files: readonly Uint8Array[], head: Uint8Array, gzip: boolean): Uint8Array {
  const whole = Buffer.concat([
    head,
    ...files.map((file) => (gzip ? gunzipSync(file) : file).subarray(head.byteLength)),
  ])
  return gzip ? gzipSync(whole) : whole
}
