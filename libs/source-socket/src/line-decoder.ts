/** Lines of UTF-8 text: the decoder of `socketTextStream`. It works on whole chunks, never line by line. */
import { countLines, SluiceError, unpackLines } from '@sluice/core'
import type { Decoder, DecoderContext, DecoderFactory, Packed, Packer } from './decoder.js'
import { COMPONENT, lineSettings } from './socket-stream.config.js'
import type { LineDecoderOptions, LineSettings } from './socket-stream.config.js'

const LF = 10
const CR = 13
const LF_ONLY = Buffer.from('\n')
const CR_LF = Buffer.from('\r\n')
const REPORT_INTERVAL_MS = 1_000

/**
 * A decoder of UTF-8 text lines that end with LF or CRLF. Empty lines are records; a CR elsewhere is content, and so is a
 * byte order mark; bytes that are no UTF-8 become U+FFFD as with `TextDecoder`. What stands after the last line end
 * is a line if the stream ends cleanly, and dropped if the connection breaks. Throws `ARGUMENT_INVALID`.
 */
export function lineDecoder(options: LineDecoderOptions = {}): DecoderFactory<string> {
  const settings = lineSettings(options)
  const packer = (context: DecoderContext): Packer => new LinePacker(settings, context)
  return Object.assign((context: DecoderContext) => new LineDecoder(packer(context)), {
    packing: { packer, unpack: unpackLines, borrows: true },
  })
}

class LineDecoder implements Decoder<string> {
  readonly #packer: Packer

  constructor(packer: Packer) {
    this.#packer = packer
  }

  get failure(): Error | undefined {
    return this.#packer.failure
  }

  write(chunk: Buffer): readonly string[] {
    return this.#packer.write(chunk).flatMap(({ bytes }) => unpackLines(bytes))
  }

  end(): readonly string[] {
    return this.#packer.end().flatMap(({ bytes }) => unpackLines(bytes))
  }

  drop(): number {
    return this.#packer.drop?.() ?? 0
  }
}

/** Lines, still as bytes, that are gathered. */
class PackedLines {
  readonly pieces: Packed[] = []

  /** Whole lines. */
  addLines(bytes: Buffer): void {
    if (bytes.length > 0) this.pieces.push({ bytes, records: countLines(bytes) })
  }

  /** One line that lacks its end; a CR that it ends with is content. */
  addOpenLine(bytes: Buffer): void {
    this.pieces.push({ bytes: Buffer.concat([bytes, bytes.at(-1) === CR ? CR_LF : LF_ONLY]), records: 1 })
  }
}

class LinePacker implements Packer {
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

  write(chunk: Buffer): readonly Packed[] {
    let start = this.#isInsideLongLine ? chunk.indexOf(LF) + 1 : 0
    if (this.#failure !== undefined || (this.#isInsideLongLine && start === 0)) return []
    this.#isInsideLongLine = false
    const lines = new PackedLines()
    const end = chunk.lastIndexOf(LF) + 1
    // Only the line that began in an earlier chunk is copied.
    if (end > start && this.#tailBytes > 0) {
      const first = chunk.indexOf(LF, start) + 1
      this.#cut(this.#completed(chunk.subarray(start, first)), lines)
      start = first
    }
    if (end > start && this.#failure === undefined) this.#cut(chunk.subarray(start, end), lines)
    if (this.#failure === undefined) this.#keep(chunk, Math.max(start, end), lines)
    this.#reportLongLines(false)
    return lines.pieces
  }

  end(): readonly Packed[] {
    const lines = new PackedLines()
    const bytes = this.#tailBytes
    this.#tailBytes = 0
    if (bytes > this.#maxBytes) this.#onLongLine(this.#tail, 0, lines)
    else if (bytes > 0) lines.addOpenLine(this.#tail.subarray(0, bytes))
    this.#reportLongLines(true)
    return lines.pieces
  }

  drop(): number {
    const bytes = this.#tailBytes
    this.#tailBytes = 0
    this.#reportLongLines(true)
    return bytes
  }

  /** A copy of `bytes`, which ends with an LF, with the kept tail before it. */
  #completed(bytes: Buffer): Buffer {
    const tail = this.#tail.subarray(0, this.#tailBytes)
    this.#tailBytes = 0
    return Buffer.concat([tail, bytes])
  }

  /** Takes complete lines, in runs that are as long as no line is too long. */
  #cut(bytes: Buffer, lines: PackedLines): void {
    let runStart = 0
    let lineStart = 0
    while (lineStart < bytes.length) {
      const next = this.#skipGoodLines(bytes, lineStart)
      if (next === lineStart) {
        lines.addLines(bytes.subarray(runStart, lineStart))
        this.#onLongLine(bytes, lineStart, lines)
        if (this.#failure !== undefined) return
        lineStart = runStart = bytes.indexOf(LF, lineStart + this.#maxBytes) + 1
      } else {
        lineStart = next
      }
    }
    lines.addLines(bytes.subarray(runStart))
  }

  /**
   * Where the next line begins that may be too long; `from` if the line there is. Whatever ends within maxLineBytes of
   * `from` is short enough, however many lines it is: one backward search passes them all.
   */
  #skipGoodLines(bytes: Buffer, from: number): number {
    const limit = from + this.#maxBytes
    if (bytes.length - 1 <= limit) return bytes.length
    // An LF before `from` belongs to the line before.
    const lineEnd = bytes.lastIndexOf(LF, limit)
    if (lineEnd >= from) return lineEnd + 1
    return bytes[limit] === CR && bytes[limit + 1] === LF ? limit + 2 : from
  }

  /** Keeps the start of a line, or finds that it is too long already. */
  #keep(chunk: Buffer, start: number, lines: PackedLines): void {
    this.#append(chunk, start)
    const excess = this.#tailBytes - this.#maxBytes
    // One byte more may be the CR of the line's end.
    if (excess <= 0 || (excess === 1 && this.#tail[this.#maxBytes] === CR)) return
    this.#tailBytes = 0
    this.#isInsideLongLine = true
    this.#onLongLine(this.#tail, 0, lines)
  }

  #append(chunk: Buffer, start: number): void {
    const needed = this.#tailBytes + chunk.length - start
    if (needed > this.#tail.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#tail.length * 2, 1_024))
      this.#tail.copy(grown, 0, 0, this.#tailBytes)
      this.#tail = grown
    }
    chunk.copy(this.#tail, this.#tailBytes, start)
    this.#tailBytes = needed
  }

  #onLongLine(bytes: Buffer, start: number, lines: PackedLines): void {
    if (this.#settings.onLongLine === 'fail') {
      this.#failure = this.#tooLong('a line is')
      return
    }
    if (this.#settings.onLongLine === 'truncate') {
      lines.addOpenLine(bytes.subarray(start, characterStart(bytes, start + this.#maxBytes)))
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
