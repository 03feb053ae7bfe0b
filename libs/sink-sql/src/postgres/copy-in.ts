/** `COPY … FROM STDIN` on a client of the `pg` package, which lets others do the talking of a statement. */

/** What `pg` gives to a statement that talks by itself. */
interface Connection {
  query(sql: string): void
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

export class CopyIn {
  readonly done: Promise<void>
  readonly #sql: string
  readonly #rows: string
  #resolve: () => void = () => undefined
  #reject: (error: unknown) => void = () => undefined

  /** `rows` in the text form of COPY. */
  constructor(sql: string, rows: string) {
    this.#sql = sql
    this.#rows = rows
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(connection: Connection): void {
    connection.query(this.#sql)
  }

  handleCopyInResponse(connection: Connection): void {
    connection.sendCopyFromChunk(Buffer.from(this.#rows))
    connection.endCopyFrom()
  }

  handleCommandComplete(): void {
    // Ready comes after it.
  }

  handleReadyForQuery(): void {
    this.#resolve()
  }

  /** Also of a connection that is lost. */
  handleError(error: unknown): void {
    this.#reject(error)
  }
}
