/** What the batch log holds: one entry for each step of a batch's life, as plain data. Code is never stored. */
import type { StateChanges } from '../state/state-columns.js'
import { decodeRecords, encodeRecords } from '../storage/codec.js'
import type { BatchTime } from '../time/duration.js'

/** What a batch covers, by id of its inputs. */
export interface PlanRecord {
  readonly time: BatchTime
  readonly inputs: Readonly<Record<string, unknown>>
}

/** A plan, and what goes with it but does not count as what the batch covers. */
export interface PlanEntry extends PlanRecord {
  /** How many records each input gave, where that is known. */
  readonly records: Readonly<Record<string, number>>
  /** What an input must know to go on after this batch, by id. */
  readonly heads: Readonly<Record<string, unknown>>
}

/** What was fixed when the batch first started: it must be the same whenever the batch is run. */
export interface StartRecord {
  readonly time: BatchTime
  /** Partitions of each output, by its id. */
  readonly partitions: Readonly<Record<string, number>>
  /** Side data of `transform`, by operator: a batch that is run again sees the same (E10). */
  readonly sideData: Readonly<Record<string, unknown>>
}

export interface StateRecord {
  readonly id: string
  readonly kind: string
  /** How the operator comes about: ids of the streams above it. */
  readonly path: string
  readonly version: number
  readonly partitions: number
  /** Id under which an earlier program kept it. */
  readonly was?: string | undefined
}

/** The program that writes the entries after this one, as far as the log needs to know it (E11). */
export interface GraphRecord {
  readonly batchIntervalMs: number
  readonly zeroTime: BatchTime
  readonly states: readonly StateRecord[]
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** What the user has given up. */
  readonly dropped: readonly string[]
}

/**
 * Inputs of a planned batch that were dropped by hand, as nobody can give what it covers (E15): they have as many partitions as the
 * plan says, without records. The plan stays as it is, and so does its digest: what a ledger holds under it was written by this
 * batch, whatever its inputs gave then, and counts as applied. Sinks need not know of it.
 */
export interface AmendRecord {
  readonly time: BatchTime
  /** Ids of the inputs. */
  readonly dropped: readonly string[]
  /** Of the plan. */
  readonly digest: string
}

export type BatchEntry =
  /** With the last snapshot before it, so that a log that begins here is known to need one. */
  | ({ readonly type: 'graph'; readonly snapshot?: number | undefined } & GraphRecord)
  | ({ readonly type: 'plan' } & PlanEntry)
  | ({ readonly type: 'start' } & StartRecord)
  /** An output that a `foreachRDD` has written to with `writeTo`, before its first write (E25). */
  | { readonly type: 'output'; readonly time: BatchTime; readonly output: string; readonly partitions: number }
  /** An output that is finished: after a restart it need not run again (E13). */
  | { readonly type: 'done'; readonly time: BatchTime; readonly output: string }
  /** Changes of state; they count if the batch's commit follows. */
  | ({ readonly type: 'state'; readonly time: BatchTime; readonly id: string } & StateChanges)
  | { readonly type: 'commit'; readonly time: BatchTime }
  /** Ticks that were left out, both ends excluded (E12). */
  | { readonly type: 'skip'; readonly after: BatchTime; readonly before: BatchTime }
  | ({ readonly type: 'amend' } & AmendRecord)

const TYPES = ['graph', 'plan', 'start', 'output', 'done', 'state', 'commit', 'skip', 'amend'] as const

/** The entry as a type of the log below, and a payload. */
export function encodeEntry(entry: BatchEntry): { readonly type: number; readonly payload: Uint8Array } {
  return { type: TYPES.indexOf(entry.type) + 1, payload: encodeRecords([entry]) }
}

/** Undefined for an entry of a type that this version does not know. */
export function decodeEntry(type: number, payload: Uint8Array): BatchEntry | undefined {
  if (TYPES[type - 1] === undefined) return undefined
  return decodeRecords(payload)[0] as BatchEntry
}
