/** A transaction that stays open between calls: steps are run in it as they come, until somebody commits it or gives it up. */
import type { Session, Steps } from './steps.js'

interface Task {
  readonly steps: () => Steps<unknown>
  readonly resolve: (value: unknown) => void
}

class Abandoned extends Error {}

export class OpenTransaction {
  readonly #controller = new AbortController()
  readonly #ended: Promise<void>
  #next!: Promise<Task | undefined>
  #give!: (task: Task | undefined) => void
  #giveUp!: (reason: Error) => void

  hasEnded = false

  constructor(session: Session) {
    this.#listen()
    this.#ended = session.transaction(() => this.#serve(), { signal: this.#controller.signal, waits: true })
    const end = (): void => {
      this.hasEnded = true
    }
    // An error is told to whoever runs steps, or to nobody.
    this.#ended.then(end, end)
  }

  #listen(): void {
    this.#next = new Promise((resolve, reject) => {
      this.#give = resolve
      this.#giveUp = reject
    })
    this.#next.catch(() => undefined)
  }

  *#serve(): Steps<void> {
    for (;;) {
      const { result } = yield { call: () => this.#next }
      const task = result as Task | undefined
      if (task === undefined) return
      this.#listen()
      task.resolve(yield* task.steps())
    }
  }

  /** Runs steps in the transaction, one call after another. An error of theirs ends it. */
  run<R>(steps: () => Steps<R>, signal: AbortSignal): Promise<R> {
    return this.#whileOpen(signal, () => {
      const done = new Promise<R>((resolve) => {
        this.#give({ steps, resolve: resolve as Task['resolve'] })
      })
      // It never ends well before the steps have.
      return Promise.race([done, this.#ended as Promise<never>])
    })
  }

  /** Resolves when all is durable. */
  commit(signal: AbortSignal): Promise<void> {
    return this.#whileOpen(signal, () => {
      this.#give(undefined)
      return this.#ended
    })
  }

  /** Undoes it, if it has not ended; resolves when it has. */
  async abandon(): Promise<void> {
    this.#giveUp(new Abandoned('the transaction has been given up'))
    await this.#ended.catch(() => undefined)
  }

  /** A signal of one call ends the whole: nobody knows how far it has come. */
  async #whileOpen<R>(signal: AbortSignal, work: () => Promise<R>): Promise<R> {
    const abort = (): void => {
      this.#controller.abort(signal.reason)
    }
    signal.throwIfAborted()
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await work()
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }
}
