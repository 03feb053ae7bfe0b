/** Lines of UTF-8 text: the decoder of `socketTextStream`. It works on whole chunks, never line by line. */
import { SluiceError } from '@sluice/core'
import type { Decoder, DecoderContext, DecoderFactory } from './decoder.js'
import { COMPONENT, lineSettings } from './socket-stream.config.js'
import type { LineDecoderOptions, LineSettings } from './socket-stream.config.js'

const LF = 10
const CR = 13
const REPORT_INTERVAL_MS = 1_000

/**
 * A decoder of UTF-8 text lines that end with LF or CRLF. Empty lines are records; a CR elsewhere is content, and so is a
 * byte order mark; bytes that are no UTF-8 become U+FFFD as with `TextDecoder`. What stands after the last line end
 * is a line if the stream ends cleanly, and dropped if the connection breaks. Throws `ARGUMENT_INVALID`.
 */
export function lineDecoder(options: LineDecoderOptions = {}): DecoderFactory<string> {
  const settings = lineSettings(options)
  return (context) => new LineDecoder(settings, context)
}

class LineDecoder implements Decoder<string> {
  readonly #settings: LineSettings
  readonly #context: DecoderContext
  readonly #maxBytes: number
  // The incomplete line: the first #tailBytes of a buffer that grows by doubling, so that a line which comes byte by byte
  // costs no more than one that comes at once. It never holds more than maxLineBytes + 1 and one chunk.
  #tail = Buffer.alloc(0)
  #tailBytes = 0
  #isInsideLongLine = false
  #failure: SluiceError | undefined
  #unreported = 0
  #nextReportMs = -Infinity

  constructor(settings: LineSettings, context: DecoderContext) {
    this.#settings = settings
    this.#context = context
    this.#maxBytes = settings.maxLineBytes
  }

  get failure(): SluiceError | undefined {
    return this.#failure
  }

  write(chunk: Buffer): readonly string[] {
    const start = this.#isInsideLongLine ? chunk.indexOf(LF) + 1 : 0
    if (this.#failure !== undefined || (this.#isInsideLongLine && start === 0)) return []
    this.#isInsideLongLine = false
    const end = chunk.lastIndexOf(LF) + 1
    const lines = end > start ? this.#completeLines(chunk, start, end) : []
    if (this.#failure === undefined) this.#keep(chunk, Math.max(start, end), lines)
    this.#reportLongLines(false)
    return lines
  }

  end(): readonly string[] {
    const lines: string[] = []
    const bytes = this.#tailBytes
    this.#tailBytes = 0
    if (bytes > this.#maxBytes) this.#onLongLine(this.#tail, 0, lines)
    else if (bytes > 0) lines.push(this.#tail.toString('utf8', 0, bytes))
    this.#reportLongLines(true)
    return lines
  }

  drop(): number {
    const bytes = this.#tailBytes
    this.#tailBytes = 0
    this.#reportLongLines(true)
    return bytes
  }

  /** The lines up to the chunk's last LF (`end` is behind it), the kept tail before them. */
  #completeLines(chunk: Buffer, start: number, end: number): string[] {
    if (this.#tailBytes === 0) return this.#cut(chunk, start, end)
    this.#append(chunk, start, end)
    const bytes = this.#tailBytes
    this.#tailBytes = 0
    return this.#cut(this.#tail, 0, bytes)
  }

  /** Decodes the complete lines in `bytes[start, end)`, in runs that are as long as no line is too long. */
  #cut(bytes: Buffer, start: number, end: number): string[] {
    let lines: string[] = []
    let runStart = start
    let lineStart = start
    while (lineStart < end) {
      const next = this.#skipGoodLines(bytes, lineStart, end)
      if (next === lineStart) {
        lines = joined(lines, linesOf(bytes, runStart, lineStart))
        this.#onLongLine(bytes, lineStart, lines)
        if (this.#failure !== undefined) return lines
        lineStart = runStart = bytes.indexOf(LF, lineStart + this.#maxBytes) + 1
      } else {
        lineStart = next
      }
    }
    return joined(lines, linesOf(bytes, runStart, end))
  }

  /**
   * Where the next line begins that may be too long; `from` if the line there is. Whatever ends within maxLineBytes of
   * `from` is short enough, however many lines it is: one backward search passes them all.
   */
  #skipGoodLines(bytes: Buffer, from: number, end: number): number {
    const limit = from + this.#maxBytes
    if (end - 1 <= limit) return end
    // An LF before `from` belongs to the line before.
    const lineEnd = bytes.lastIndexOf(LF, limit)
    if (lineEnd >= from) return lineEnd + 1
    return bytes[limit] === CR && bytes[limit + 1] === LF ? limit + 2 : from
  }

  /** Keeps the start of a line, or finds that it is too long already. */
  #keep(chunk: Buffer, start: number, lines: string[]): void {
    this.#append(chunk, start, chunk.length)
    const excess = this.#tailBytes - this.#maxBytes
    // One byte more may be the CR of the line's end.
    if (excess <= 0 || (excess === 1 && this.#tail[this.#maxBytes] === CR)) return
    this.#tailBytes = 0
    this.#isInsideLongLine = true
    this.#onLongLine(this.#tail, 0, lines)
  }

  #append(chunk: Buffer, start: number, end: number): void {
    const needed = this.#tailBytes + end - start
    if (needed > this.#tail.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#tail.length * 2, 1_024))
      this.#tail.copy(grown, 0, 0, this.#tailBytes)
      this.#tail = grown
    }
    chunk.copy(this.#tail, this.#tailBytes, start, end)
    this.#tailBytes = needed
  }

  #onLongLine(bytes: Buffer, start: number, lines: string[]): void {
    if (this.#settings.onLongLine === 'fail') {
      this.#failure = this.#tooLong('a line is')
      return
    }
    if (this.#settings.onLongLine === 'truncate') {
      lines.push(bytes.toString('utf8', start, characterStart(bytes, start + this.#maxBytes)))
    }
    this.#unreported++
  }

  // At most once a second: a sender whose every line is too long must not flood the listeners.
  #reportLongLines(isLast: boolean): void {
    if (this.#unreported === 0) return
    const nowMs = this.#context.clock.monotonic()
    if (!isLast && nowMs < this.#nextReportMs) return
    const done = this.#settings.onLongLine === 'skip' ? 'skipped' : 'truncated'
    const message = `${done} ${String(this.#unreported)} too long ${this.#unreported === 1 ? 'line' : 'lines'}`
    this.#nextReportMs = nowMs + REPORT_INTERVAL_MS
    this.#unreported = 0
    this.#context.report(message, this.#tooLong(`${message}:`))
  }

  #tooLong(what: string): SluiceError {
    return new SluiceError({
      code: 'LINE_TOO_LONG',
      component: COMPONENT,
      message: `${what} longer than ${String(this.#maxBytes)} bytes; raise maxLineBytes, choose another onLongLine or repair the sender`,
    })
  }
}

/** The lines in `bytes[start, end)`, which ends with an LF or is empty. */
function linesOf(bytes: Buffer, start: number, end: number): string[] {
  if (start === end) return []
  // Cutting at LF is safe before decoding: in UTF-8 this byte is never a part of another character.
  const text = bytes.toString('utf8', start, end - 1)
  const lines = text.split('\n')
  if (text.includes('\r')) stripCarriageReturns(lines)
  return lines
}

function stripCarriageReturns(lines: string[]): void {
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? ''
    if (line.charCodeAt(line.length - 1) === CR) lines[i] = line.slice(0, -1)
  }
}

function joined(lines: string[], more: string[]): string[] {
  if (lines.length === 0) return more
  for (const line of more) lines.push(line)
  return lines
}

/** `at`, or where the character starts that `at` would cut through. */
function characterStart(bytes: Buffer, at: number): number {
  if (!isContinuation(bytes[at])) return at
  let start = at - 1
  while (start > at - 3 && isContinuation(bytes[start])) start--
  return at - start < sequenceLength(bytes[start]) ? start : at
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}

/** Number of bytes of the character that starts with `lead`; 1 if none does. */
function sequenceLength(lead: number | undefined): number {
  if (lead === undefined || lead < 0xc2 || lead > 0xf4) return 1
  if (lead < 0xe0) return 2
  return lead < 0xf0 ? 3 : 4
}
