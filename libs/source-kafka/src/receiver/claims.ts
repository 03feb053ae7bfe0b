/**
 * Which consumer of a stream receives which partition, and how far. The group tells one consumer after the other: for a moment two of
 * them may take themselves for a partition's owner. Here only the last that claimed it is.
 */
export class Claims {
  readonly #claims = new Map<string, Claim>()
  /** How many partitions each topic had when it was first looked at: what was added later is read from its beginning. */
  readonly firstCounts = new Map<string, number>()

  /** From now on nobody else stores anything of the partition. */
  claim(partition: string): Claim {
    const claim = new Claim(this.#claims.get(partition))
    this.#claims.set(partition, claim)
    return claim
  }

  isHeld(partition: string, claim: Claim): boolean {
    return this.#claims.get(partition) === claim
  }
}

export class Claim {
  /** Resolves when what earlier owners were storing when this one claimed the partition has been stored, or refused. */
  readonly settled: Promise<unknown>
  #storing: Promise<unknown> = Promise.resolve()

  constructor(before: Claim | undefined) {
    this.settled = before === undefined ? Promise.resolve() : Promise.all([before.settled, before.#storing])
  }

  /** Stores, and lets the next owner wait for it. */
  store(work: Promise<void>): Promise<void> {
    this.#storing = work.catch(() => undefined)
    return work
  }
}
