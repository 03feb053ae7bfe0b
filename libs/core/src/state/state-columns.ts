/** State as columns: what a batch changes, and all there is, in pieces that are written and read as one block each. */
import type { BatchTime } from '../time/duration.js'

/** How a key changed: its value (undefined: removed), the key came anew and goes to the end, or it was only touched. */
export const CHANGED = 0
export const CAME = 1
export const TOUCHED = 2

/** Changes of one batch to keys of one partition, in the order in which they were made. */
export interface StateChanges {
  readonly keys: readonly unknown[]
  /** `CHANGED`, `CAME` or `TOUCHED`. */
  readonly kinds: Uint8Array
  /** New values; undefined for a key that was removed or only touched. */
  readonly values: readonly unknown[]
  /** Of windows: slices that hold each key. */
  readonly slices: readonly number[] | undefined
}

/** Committed keys of one partition, in their order. */
export interface StateRows {
  readonly keys: readonly unknown[]
  readonly values: readonly unknown[]
  readonly slices: readonly number[] | undefined
  /** Where idle times are watched: when each was last written, and its place in the order of all writes. */
  readonly writtenAt: readonly BatchTime[] | undefined
  readonly ranks: readonly number[] | undefined
}

/** Keys in one piece. */
export const ROWS = 4_096

/** Changes a value written by an older program into what this one expects. */
export type MigrateValue = (value: unknown) => unknown

/** What is kept of a stateful operator besides its keys. */
export interface StateFormat {
  /** What it is, e.g. `updateStateByKey`: one kind cannot read the state of another. */
  readonly kind: string
  /** Version of the values' shape, as the program says. */
  readonly version: number
  readonly migrate: ((value: unknown, fromVersion: number) => unknown) | undefined
}
