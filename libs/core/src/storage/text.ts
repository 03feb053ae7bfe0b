/** Text files as lines: by byte range, so that one file can be read in parts, and compressed with gzip. */
import { isAscii } from 'node:buffer'
import { requireArgument, SluiceError } from '../errors.js'
import type { ByteRange, FileSystem } from './file-system.js'
import { gunzipBlocks } from './gzip.js'

const COMPONENT = 'text-file'
const NEWLINE = 0x0a
const BYTE_ORDER_MARK = 0xfeff
const MIB = 2 ** 20
// Lines are slices of the text that they were split from and keep all of it alive: a key taken from a line must not
// hold on to more than this for as long as the state lives.
const DECODED_BYTES = 64 * 1024
// The rest of the last line is usually short.
const BEYOND_BYTES = 64 * 1024

export interface ReadLinesOptions {
  /** A longer line is an error. Default: 64 MiB. */
  readonly maxLineBytes?: number | undefined
  /** Bytes read at once. Default: 1 MiB. */
  readonly blockBytes?: number | undefined
}

/** Where the text is and how it is read. */
interface Source {
  readonly fileSystem: FileSystem
  readonly path: string
  readonly maxLineBytes: number
  readonly blockBytes: number
}

/** Bytes of the file and where the first of them stands in it. */
interface Block {
  readonly offset: number
  readonly bytes: Buffer
}

/** Whether parts of the file can be read by themselves: false for names that end in `.gz`. */
export function isSplittable(path: string): boolean {
  return !path.toLowerCase().endsWith('.gz')
}

/**
 * Cuts a file into at most `splits` ranges of about equal size and of at least `minBytes` each (default 1 MiB), for
 * {@link readLines}. None for an empty file, one for a file that is not splittable.
 */
export function splitFile(
  file: { readonly path: string; readonly sizeBytes: number },
  splits: number,
  minBytes = MIB,
): ByteRange[] {
  const { path, sizeBytes } = file
  if (sizeBytes === 0) return []
  const wanted = isSplittable(path) ? Math.min(splits, Math.floor(sizeBytes / Math.max(1, minBytes))) : 1
  const count = Math.max(1, Math.floor(wanted))
  const borders = Array.from({ length: count + 1 }, (_, i) => Math.floor((sizeBytes / count) * i))
  borders[count] = sizeBytes
  return borders.slice(1).map((end, i) => ({ start: borders[i] ?? 0, length: end - (borders[i] ?? 0) }))
}

/**
 * The lines that *begin* in `range` (default: the whole file), in chunks of some hundred, in order. Ranges that cover the
 * file without overlap give each line once; the reader of a range reads on past its end to finish its last line.
 *
 * Lines end with LF or CRLF, which are taken off; an empty line after the last LF is none. The text is UTF-8, a byte order
 * mark at the start of the file is taken off, and invalid bytes become U+FFFD. A name that ends in `.gz` is decompressed
 * while it is read and belongs as a whole to the range that starts at 0; an empty file has no lines.
 *
 * Throws `FILE_NOT_FOUND`, `FILE_SYSTEM_FAILED`, `LINE_TOO_LONG`, and `DATA_CORRUPT` for a damaged or cut gzip file.
 */
export function readLines(
  fileSystem: FileSystem,
  path: string,
  range?: ByteRange,
  options: ReadLinesOptions = {},
): AsyncIterable<string[]> {
  const { maxLineBytes = 64 * MIB, blockBytes = MIB } = options
  requireArgument(maxLineBytes >= 1, COMPONENT, 'maxLineBytes must be at least 1; leave it out for 64 MiB')
  requireArgument(blockBytes >= 1, COMPONENT, 'blockBytes must be at least 1; leave it out for 1 MiB')
  const source = { fileSystem, path, maxLineBytes, blockBytes }
  const start = range?.start ?? 0
  const end = range === undefined ? Infinity : start + range.length
  return isSplittable(path) ? plainLines(source, start, end) : compressedLines(source, start, end)
}

async function* plainLines(source: Source, start: number, end: number): AsyncGenerator<string[], void, undefined> {
  if (end <= start) return
  // A line begins at `start` if the byte before it is a newline: so that byte is looked at, too.
  const first = start === 0 ? 0 : await firstLineStart(source, start - 1, end)
  if (first !== undefined) yield* linesOf(source, blocksFrom(source, first, end), end)
}

async function* compressedLines(source: Source, start: number, end: number): AsyncGenerator<string[], void, undefined> {
  if (start > 0 || end <= start) return
  const { fileSystem, path, blockBytes } = source
  yield* linesOf(source, withOffsets(gunzipBlocks(fileSystem, path, blockBytes)), Infinity)
}

/** Where the first line after the newline at or after `from` begins; undefined when that is not before `end`. */
async function firstLineStart(source: Source, from: number, end: number): Promise<number | undefined> {
  for await (const { offset, bytes } of blocksFrom(source, from, end)) {
    // Past the end there can only be the end of a line that began before this range.
    if (offset >= end) return undefined
    const newline = bytes.indexOf(NEWLINE)
    if (newline >= 0) return offset + newline + 1 < end ? offset + newline + 1 : undefined
  }
  return undefined
}

/** The file from `start` to its end, in large blocks up to `end` and in small ones after it. */
async function* blocksFrom(source: Source, start: number, end: number): AsyncGenerator<Block, void, undefined> {
  const { fileSystem, path, blockBytes } = source
  for (let offset = start; ;) {
    const length = offset < end ? Math.min(blockBytes, end - offset) : Math.min(blockBytes, BEYOND_BYTES)
    const bytes = asBuffer(await fileSystem.read(path, { start: offset, length }))
    if (bytes.length === 0) return
    yield { offset, bytes }
    offset += bytes.length
  }
}

async function* withOffsets(parts: AsyncIterable<Buffer>): AsyncGenerator<Block, void, undefined> {
  let offset = 0
  for await (const bytes of parts) {
    yield { offset, bytes }
    offset += bytes.length
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Lines of blocks that start with a line, up to and with the first newline at or after `end - 1`. */
async function* linesOf(
  source: Source,
  blocks: AsyncIterable<Block>,
  end: number,
): AsyncGenerator<string[], void, undefined> {
  const open = new OpenLine(source)
  for await (const { offset, bytes } of blocks) {
    const stop = lastNewline(offset, bytes, end)
    const newline = stop ?? bytes.lastIndexOf(NEWLINE)
    if (newline >= 0) yield* decoded(source, open.close(offset, bytes.subarray(0, newline + 1)))
    if (stop !== undefined) return
    open.extend(offset + newline + 1, bytes.subarray(newline + 1))
  }
  if (!open.isEmpty) yield* decoded(source, open.close(0, Buffer.alloc(0)))
}

/** The index of the newline that ends the last line of the range, if it is in this block. */
function lastNewline(offset: number, bytes: Buffer, end: number): number | undefined {
  if (offset + bytes.length < end) return undefined
  const newline = bytes.indexOf(NEWLINE, Math.max(0, end - 1 - offset))
  return newline < 0 ? undefined : newline
}

/** The line that was begun in the blocks so far and goes on in the next. */
class OpenLine {
  readonly #source: Source
  #offset = 0
  #parts: Buffer[] = []
  #sizeBytes = 0

  constructor(source: Source) {
    this.#source = source
  }

  get isEmpty(): boolean {
    return this.#sizeBytes === 0
  }

  /** Adds bytes without a newline. */
  extend(offset: number, bytes: Buffer): void {
    if (bytes.length === 0) return
    if (this.isEmpty) this.#offset = offset
    this.#parts.push(bytes)
    this.#sizeBytes += bytes.length
    if (this.#sizeBytes > this.#source.maxLineBytes) throw lineTooLong(this.#source, this.#offset)
  }

  /** What was open with `bytes` after it, as one block; nothing is open then. */
  close(offset: number, bytes: Buffer): Block {
    if (this.isEmpty) return { offset, bytes }
    const block = { offset: this.#offset, bytes: Buffer.concat([...this.#parts, bytes]) }
    this.#parts = []
    this.#sizeBytes = 0
    return block
  }
}

/** Whole lines, in portions: a portion is decoded and split at once, which is several times faster than line by line. */
function* decoded(source: Source, block: Block): Generator<string[], void, undefined> {
  const { offset, bytes } = block
  for (let from = 0; from < bytes.length;) {
    const to = portionEnd(bytes, from)
    const portion = bytes.subarray(from, to)
    if (portion.length > source.maxLineBytes) checkLengths(source, offset + from, portion)
    const lines = linesOfText(textOf(portion, offset + from === 0))
    if (lines.length > 0) yield lines
    from = to
  }
}

/** After the last newline within the next portion; where there is none, after the next one. */
function portionEnd(bytes: Buffer, from: number): number {
  if (bytes.length - from <= DECODED_BYTES) return bytes.length
  const within = bytes.lastIndexOf(NEWLINE, from + DECODED_BYTES - 1)
  if (within >= from) return within + 1
  const after = bytes.indexOf(NEWLINE, from + DECODED_BYTES)
  return after < 0 ? bytes.length : after + 1
}

function textOf(bytes: Buffer, startsFile: boolean): string {
  if (isAscii(bytes)) return bytes.toString('latin1')
  const text = bytes.toString('utf8')
  return startsFile && text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text
}

function linesOfText(text: string): string[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  // A CR without LF, which only the very last line can end with, is part of the line.
  const last = text.endsWith('\n') ? lines.length : lines.length - 1
  if (text.includes('\r')) dropCarriageReturns(lines, last)
  return lines
}

function dropCarriageReturns(lines: string[], count: number): void {
  for (let i = 0; i < count; i++) {
    const line = lines[i] ?? ''
    if (line.endsWith('\r')) lines[i] = line.slice(0, -1)
  }
}

function checkLengths(source: Source, offset: number, bytes: Buffer): void {
  for (let from = 0; from < bytes.length;) {
    const newline = bytes.indexOf(NEWLINE, from)
    const to = newline < 0 ? bytes.length : newline
    if (to - from > source.maxLineBytes) throw lineTooLong(source, offset + from)
    from = to + 1
  }
}

function lineTooLong(source: Source, offset: number): SluiceError {
  const place = isSplittable(source.path) ? 'byte' : 'decompressed byte'
  const limit = `${String(source.maxLineBytes)} bytes`
  return new SluiceError({
    code: 'LINE_TOO_LONG',
    component: COMPONENT,
    message: `${source.path} has a line of more than ${limit} at ${place} ${String(offset)}; raise maxLineBytes if it is text`,
  })
}
