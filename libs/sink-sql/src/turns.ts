/** One after another, in the order in which they come. */
export class Turns {
  #last: Promise<void> = Promise.resolve()

  /** Resolves when all before have ended, with the function that ends this one. */
  async take(): Promise<() => void> {
    const before = this.#last
    let end: () => void = () => undefined
    this.#last = new Promise((resolve) => {
      end = resolve
    })
    await before
    return end
  }
}
