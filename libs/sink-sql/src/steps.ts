/**
 * What a sink does in a transaction, without the waiting: a generator that yields statements and is given their outcomes, or has their
 * errors thrown at it. So it is written once, for drivers that answer at once and for those that answer later.
 */

/** One statement, with the values for its placeholders. */
export interface Statement {
  readonly sql: string
  readonly values?: readonly unknown[]
  /** Whether its rows are wanted. Default: only how many it has changed. */
  readonly reads?: boolean
  /** Of PostgreSQL's COPY: its rows, in text form. */
  readonly copied?: string
}

/** A function that is given the transaction as users see it. What it returns, or resolves with, is the outcome's `result`. */
export interface Call {
  readonly call: (transaction: never) => unknown
}

export type SqlRow = Readonly<Record<string, unknown>>

export interface Outcome {
  readonly rows: readonly SqlRow[]
  /** Rows that were inserted, matched or deleted. */
  readonly changes: number
  readonly result?: unknown
}

export type Step = Statement | Call
export type Steps<R> = Generator<Step, R, Outcome>

export const NOTHING: Outcome = { rows: [], changes: 0 }

export function isCall(step: Step): step is Call {
  return 'call' in step
}

/** Reads rows. */
export function* query(sql: string, values: readonly unknown[] = []): Steps<readonly SqlRow[]> {
  const { rows } = yield { sql, values, reads: true }
  return rows
}

/** Thrown by steps that find that another connection was faster: the transaction is undone, and begun again. */
export class ConcurrentChange extends Error {}

/** A connection to a database, or several. */
export interface Session {
  /**
   * Runs steps in one transaction. When it resolves all of them are durable; when it rejects none is there, or nobody knows, as after
   * a lost connection. `undo`: the transaction is undone in any case. Steps may be begun again, when the database has undone them itself.
   */
  transaction<R>(steps: () => Steps<R>, options?: TransactionOptions): Promise<R>
  /** Waits for what is under way; nothing begins after it. */
  close(): Promise<void>
}

export interface TransactionOptions {
  readonly signal?: AbortSignal | undefined
  readonly undo?: boolean | undefined
  /** It waits for its caller between statements: no limit of time but the signal, and no second try. Servers only. */
  readonly waits?: boolean | undefined
}
