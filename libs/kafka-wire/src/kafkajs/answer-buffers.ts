/**
 * Memory for answers that are large, used again and again. Buffers lie outside of V8's heap, which collects itself after some tens of
 * megabytes of them, whatever is in it: a reader that makes new ones spends up to a third of its time on that.
 */

const SMALLEST = 64 * 1024
const LARGEST = 4 * 1024 * 1024
/** What an answer has beside the bytes that were asked for, which are mostly a power of two. */
const BESIDE = 4 * 1024
/** Kept while nobody uses them. */
const MOST_KEPT = 16 * 1024 * 1024

export class AnswerBuffers {
  readonly #kept = new Map<number, ArrayBuffer[]>()
  /** What may be given back, once. */
  readonly #lent = new WeakSet<ArrayBufferLike>()
  #keptBytes = 0

  /** A buffer of that length; what it holds is anything. */
  take(length: number): Buffer<ArrayBuffer> {
    const size = sizeFor(length)
    if (size === undefined) return Buffer.allocUnsafeSlow(length)
    const kept = this.#kept.get(size)?.pop()
    if (kept !== undefined) this.#keptBytes -= size
    const memory = kept ?? Buffer.allocUnsafeSlow(size).buffer
    this.#lent.add(memory)
    return Buffer.from(memory, 0, length)
  }

  /** The memory below `view` is used no more, by no other view either. That of others is left alone. */
  giveBack({ buffer }: Uint8Array): void {
    const { byteLength } = buffer
    if (!this.#lent.delete(buffer) || this.#keptBytes + byteLength > MOST_KEPT) return
    this.#keptBytes += byteLength
    const kept = this.#kept.get(byteLength)
    if (kept === undefined) this.#kept.set(byteLength, [buffer as ArrayBuffer])
    else kept.push(buffer as ArrayBuffer)
  }
}

function sizeFor(length: number): number | undefined {
  if (length > LARGEST + BESIDE) return undefined
  let size = SMALLEST
  while (size + BESIDE < length) size *= 2
  return size + BESIDE
}
