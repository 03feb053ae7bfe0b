/** Things in the order of their last write, the oldest first; moving one to the end costs the same however many there are. */

export interface Aged<B> {
  older: B | undefined
  newer: B | undefined
}

export class AgeList<B extends Aged<B>> {
  #oldest: B | undefined
  #newest: B | undefined

  /** Puts a box at the end, wherever it was. */
  renew(box: B): void {
    this.remove(box)
    box.older = this.#newest
    if (this.#newest === undefined) this.#oldest = box
    else this.#newest.newer = box
    this.#newest = box
  }

  /** No error for a box that is not in the list. */
  remove(box: B): void {
    const { older, newer } = box
    if (older !== undefined) older.newer = newer
    else if (this.#oldest === box) this.#oldest = newer
    if (newer !== undefined) newer.older = older
    else if (this.#newest === box) this.#newest = older
    box.older = undefined
    box.newer = undefined
  }

  /** From the oldest on. The list must not change meanwhile. */
  *all(): Generator<B> {
    for (let box = this.#oldest; box !== undefined; box = box.newer) yield box
  }
}
