/** Folders by time and by fields of records, as Hive names them: `dt={yyyy}-{MM}-{dd}/country={country}`. */
import { requireThat } from '../errors.js'
import { COMPONENT, refused } from './format.js'

export interface FoldersOptions<T> {
  /**
   * Folders below `path`. `{yyyy}`, `{MM}`, `{dd}`, `{HH}` and `{mm}` are parts of the time in UTC, `{name}` is a field of the record;
   * what a folder's name cannot hold is escaped as Hive does. Default: none.
   */
  readonly folders?: string | undefined
  /** The time for `folders`. Default: that of the batch. */
  readonly timeOf?: ((record: T) => Date | number) | undefined
}

/** The folder of a record: names with slashes between, or an empty text. Throws where the record has none. */
export type FolderOf = (record: unknown, batchTime: number) => string

const TIME_PARTS: Readonly<Record<string, readonly [number, number]>> = {
  yyyy: [0, 4],
  MM: [5, 7],
  dd: [8, 10],
  HH: [11, 13],
  mm: [14, 16],
}
// As Hive calls the partition of those without a value.
const NO_VALUE = '__HIVE_DEFAULT_PARTITION__'
// File systems take 255 bytes in a name, and escaping makes some longer.
const LONGEST = 80
const ESCAPED = /[\u0000-\u001f"#%'*/:=?\\\u007f{[\]^]/g

/** Undefined where there are no folders. Throws `ARGUMENT_INVALID`. */
export function foldersOf<T>({ folders = '', timeOf }: FoldersOptions<T>): FolderOf | undefined {
  if (folders === '') return undefined
  const parts = folders.split(/\{([^{}]*)\}/)
  const literals = parts.filter((_, i) => i % 2 === 0)
  requireThat(
    literals.every((literal) => !/[{}\\]/.test(literal)) && !/^\/|\/$|\/\/|(^|\/)\.{1,2}(\/|$)|(^|\/)_/.test(folders),
    COMPONENT,
    `folders is "${folders}", which is no path below another; write e.g. dt={yyyy}-{MM}-{dd}/country={country}`,
  )
  const makers = parts.map((part, i): FolderOf =>
    i % 2 === 0 ? () => part : partMaker(part, timeOf as TimeOf | undefined),
  )
  return (record, batchTime) => {
    let made = ''
    for (const maker of makers) made += maker(record, batchTime)
    return made
  }
}

type TimeOf = (record: unknown) => Date | number

function partMaker(name: string, timeOf: TimeOf | undefined): FolderOf {
  const range = TIME_PARTS[name]
  if (range !== undefined) {
    const [from, to] = range
    return (record, batchTime) => isoOf(timeOf === undefined ? batchTime : timeOf(record)).slice(from, to)
  }
  requireThat(name !== '', COMPONENT, 'folders holds {}; name a field between the braces')
  return (record) => folderName((record as Readonly<Record<string, unknown>> | null | undefined)?.[name], name)
}

function isoOf(time: Date | number): string {
  const date = new Date(time)
  const text = Number.isNaN(date.getTime()) ? '' : date.toISOString()
  // Years after 9999 have six digits and a sign.
  if (!/^\d{4}-/.test(text))
    throw refused(`its time is ${String(time)}, which is none of the years 0 to 9999; repair timeOf`)
  return text
}

function folderName(value: unknown, field: string): string {
  if (value === null || value === undefined || value === '') return NO_VALUE
  if (value instanceof Date) return escaped(isoOf(value))
  const text = ['string', 'number', 'bigint', 'boolean'].includes(typeof value) ? String(value) : undefined
  if (text !== undefined && !/\p{Surrogate}/u.test(text) && text.length <= LONGEST) return escaped(text)
  throw refused(`its field ${field} cannot name a folder; make a text of it, of at most ${String(LONGEST)} characters`)
}

function escaped(text: string): string {
  const made = text.replace(ESCAPED, (found) => `%${found.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
  // Hidden from those who list, or no name at all.
  return /^[._]/.test(made) ? `%${made.charCodeAt(0).toString(16).toUpperCase()}${made.slice(1)}` : made
}
