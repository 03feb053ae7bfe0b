/** Lines as packed bytes: whole lines of UTF-8 text, each with its line end, that nobody has decoded yet. */
import { isAscii } from 'node:buffer'

const LF = 0x0a
const CR = 0x0d
/** A page of memory: what is counted at once. */
const PAGE_BYTES = 64 * 1024
/** What the machine compares at once. */
const STEP_BYTES = 16

/** How many lines end in `bytes`. */
export function countLines(bytes: Uint8Array): number {
  counter ??= newCounter()
  let count = 0
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) count += counter(bytes.subarray(at, at + PAGE_BYTES))
  return count
}

type Counter = (page: Uint8Array) => number

let counter: Counter | undefined

function newCounter(): Counter {
  const { WebAssembly: assembly } = globalThis as { readonly WebAssembly?: Assembly }
  // Not with `node --jitless`.
  if (assembly === undefined) return countSlowly
  const { memory, count } = new assembly.Instance(new assembly.Module(COUNTER)).exports
  const page = new Uint8Array(memory.buffer)
  return (bytes) => {
    page.set(bytes)
    // The last step may go beyond the end, where the page before has left its bytes.
    page.fill(0, bytes.length, Math.ceil(bytes.length / STEP_BYTES) * STEP_BYTES)
    return bytes.length === 0 ? 0 : count(bytes.length)
  }
}

export function countSlowly(bytes: Uint8Array): number {
  let count = 0
  for (const byte of bytes) if (byte === LF) count++
  return count
}

/** As much of `WebAssembly` as is used here: the types of Node do not have it. */
interface Assembly {
  readonly Module: new (binary: Uint8Array) => object
  readonly Instance: new (module: object) => {
    readonly exports: {
      readonly memory: { readonly buffer: ArrayBuffer }
      /** How many of the first `length` bytes of memory are LF. `length` is above 0; counts in whole steps. */
      count(length: number): number
    }
  }
}

// Counting is done for every line that is received. In JavaScript it costs as much as splitting them, so it is a function of
// WebAssembly, in binary: compares sixteen bytes at a time and counts the bits of the answer.
// prettier-ignore
const COUNTER = Uint8Array.of(
  0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // '\0asm', version 1
  1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f, // type 0: (i32) -> i32
  3, 2, 1, 0, // function 0 is of type 0
  5, 3, 1, 0, 1, // a memory of one page
  7, 18, 2, 6, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 2, 0, // export 'memory'
  5, 0x63, 0x6f, 0x75, 0x6e, 0x74, 0, 0, // export 'count'
  10, 43, 1, 41, // one body of 41 bytes
  1, 2, 0x7f, // local 0: length; 1: at = 0; 2: count = 0
  0x03, 0x40, // do {
  0x20, 2, // count
  0x20, 1, 0xfd, 0x00, 4, 0, // v128.load memory[at]
  0x41, LF, 0xfd, 0x0f, // i8x16.splat LF
  0xfd, 0x23, 0xfd, 0x64, // i8x16.eq, i8x16.bitmask
  0x69, 0x6a, 0x21, 2, // count = count + i32.popcnt
  0x20, 1, 0x41, STEP_BYTES, 0x6a, 0x22, 1, // at = at + 16
  0x20, 0, 0x49, 0x0d, 0, 0x0b, // } while (at < length)
  0x20, 2, 0x0b, // return count
)

/**
 * The lines of `bytes`, which ends with a line end or is empty. Lines end with LF or CRLF; a CR elsewhere is content, and so
 * are empty lines; bytes that are no UTF-8 become U+FFFD.
 */
export function linesOf(bytes: Uint8Array): string[] {
  const text = textBeforeLast(bytes)
  if (text === undefined) return []
  const lines = text.split('\n')
  if (text.includes('\r')) stripCarriageReturns(lines)
  return lines
}

/** The text before the last line end. */
function textBeforeLast(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return undefined
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length - 1)
  return buffer.toString(isAscii(buffer) ? 'latin1' : 'utf8')
}

function stripCarriageReturns(lines: string[]): void {
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] as string
    if (line.charCodeAt(line.length - 1) === CR) lines[i] = line.slice(0, -1)
  }
}
