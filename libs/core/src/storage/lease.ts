/** Records whose memory somebody wants back: who still reads them, and the end of that. */

/** Records lent to a reader that keeps nothing of them. */
export interface Loan {
  readonly records: readonly unknown[] | Promise<readonly unknown[]>
  /** The reader reads them no more. Never called where that is not sure. */
  giveBack(): void
}

/** A loan of records that nobody wants back. */
export function freeLoan(records: Loan['records']): Loan {
  return { records, giveBack: () => undefined }
}

/** Counts who holds the records; `release` is called when the last one has dropped them, and never if one does not. */
export class Lease {
  #holders = 1
  readonly #release: () => void

  constructor(release: () => void) {
    this.#release = release
  }

  /** One more holds them. Only while one does. */
  hold(): void {
    this.#holders++
  }

  /** One holds them no more; each drops once. */
  drop(): void {
    this.#holders--
    if (this.#holders === 0) this.#release()
  }

  /** Lends them on behalf of one who holds them: giving them back drops them, once. */
  loanOf(records: Loan['records']): Loan {
    let isOut = true
    const giveBack = (): void => {
      if (isOut) this.drop()
      isOut = false
    }
    return { records, giveBack }
  }
}
