/** Room for received records: what is not yet committed counts, and when it is too much, receivers wait (E16). */
export class Room {
  readonly #limitBytes: number
  #heldBytes = 0
  #waiting: (() => void)[] = []

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Takes room; a promise when there is none left, resolved when there is again. */
  take(bytes: number): Promise<void> | undefined {
    this.#heldBytes += bytes
    if (this.#heldBytes <= this.#limitBytes) return undefined
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  give(bytes: number): void {
    this.#heldBytes -= bytes
    if (this.#heldBytes <= this.#limitBytes) this.open()
  }

  /** Lets all that wait go on, e.g. at a stop. */
  open(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const go of waiting) go()
  }
}
