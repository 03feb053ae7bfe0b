/** Boxes in the order of their last write, the oldest first; moving one to the end costs the same however many there are. */

export interface Aged<B> {
  older: B | undefined
  newer: B | undefined
}

export class AgeList<B extends { readonly v: Aged<B> }> {
  #oldest: B | undefined
  #newest: B | undefined

  /** Puts a box at the end, wherever it was. */
  renew(box: B): void {
    this.remove(box)
    box.v.older = this.#newest
    if (this.#newest === undefined) this.#oldest = box
    else this.#newest.v.newer = box
    this.#newest = box
  }

  /** No error for a box that is not in the list. */
  remove(box: B): void {
    const { older, newer } = box.v
    if (older !== undefined) older.v.newer = newer
    else if (this.#oldest === box) this.#oldest = newer
    if (newer !== undefined) newer.v.older = older
    else if (this.#newest === box) this.#newest = older
    box.v.older = undefined
    box.v.newer = undefined
  }

  /** From the oldest on. The list must not change meanwhile. */
  *boxes(): Generator<B> {
    for (let box = this.#oldest; box !== undefined; box = box.v.newer) yield box
  }
}
