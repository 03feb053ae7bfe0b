/** Packed bytes of one block, in pieces of handy size. */

/** Shorter pieces are joined, up to this: each costs a call and an object of its own. */
const PIECE_BYTES = 64 * 1024
/** From here on a piece is taken as it is: copying it would gain nothing. */
const LARGE_BYTES = PIECE_BYTES / 4

export class Pack {
  readonly #pieces: Uint8Array[] = []
  /** Where short pieces are joined. */
  #joint: Uint8Array | undefined
  #used = 0
  #records = 0
  #bytes = 0

  get records(): number {
    return this.#records
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Takes whole records. Answers whether the bytes themselves are kept, not a copy. */
  add(bytes: Uint8Array, records: number): boolean {
    this.#records += records
    this.#bytes += bytes.length
    if (this.#used + bytes.length > PIECE_BYTES || bytes.length >= LARGE_BYTES) this.#closeJoint()
    if (bytes.length >= LARGE_BYTES) {
      this.#pieces.push(bytes)
      return true
    }
    this.#joint ??= new Uint8Array(PIECE_BYTES)
    this.#joint.set(bytes, this.#used)
    this.#used += bytes.length
    return false
  }

  /** All pieces; nothing may be added after that. */
  end(): readonly Uint8Array[] {
    this.#closeJoint()
    return this.#pieces
  }

  #closeJoint(): void {
    // A copy, so that what is kept is what is counted; and the joint can be used again.
    if (this.#joint !== undefined && this.#used > 0) this.#pieces.push(this.#joint.slice(0, this.#used))
    this.#used = 0
  }
}
