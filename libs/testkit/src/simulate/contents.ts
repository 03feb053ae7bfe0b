/** What a run has read and written, as plain data. */

/** A batch, as it was committed in the end. */
export interface SimBatch {
  /** Batch time in ms since the epoch. */
  readonly time: number
  /** What each input gave, by its name. */
  readonly records: Readonly<Record<string, readonly unknown[]>>
  /** The same by partitions, of direct sources. */
  readonly partitions: Readonly<Record<string, readonly (readonly unknown[])[]>>
}

/** What must stand in each table: for each batch, in the order of the batches, its records. */
export type Contents = Readonly<Record<string, readonly (readonly unknown[])[]>>

/** Computes from the batches what the program must have written. `zeroTime` is one interval before the first tick of all. */
export type Expected = (batches: readonly SimBatch[], zeroTime: number) => Contents
