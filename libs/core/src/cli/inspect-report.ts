/** What `sluice-checkpoint inspect` tells. */
import { digestOf } from '../checkpoint/batch-log.js'
import type { StateRecord } from '../checkpoint/entries.js'
import type { LogReport } from '../checkpoint/entry-log.js'
import type { LoggedBatch } from '../checkpoint/log-image.js'
import type { CheckpointLook } from '../checkpoint/look.js'
import { jsonOf } from '../observe/format.js'
import { formatDuration, milliseconds, type BatchTime } from '../time/duration.js'
import { bytesText, damageLines, listed, timeText } from './text.js'

interface BatchReport {
  readonly time: BatchTime
  readonly digest: string
  readonly isStarted: boolean
  /** `records` is undefined where the input did not say how many. */
  readonly inputs: readonly {
    readonly id: string
    readonly records: number | undefined
    readonly isDropped: boolean
    readonly plan: unknown
  }[]
  /** Empty before the batch has started. */
  readonly outputs: readonly { readonly id: string; readonly partitions: number; readonly isDone: boolean }[]
}

interface StateReport extends StateRecord {
  readonly keys: number
  readonly snapshotBytes: number
}

type LogSummary = Omit<LogReport, 'damage'>

/** Times are batch times in ms since the epoch. */
export interface InspectReport {
  readonly folder: string
  readonly app: string
  readonly appName: string
  /** `state` is alive, dead, released, or unknown: of another machine. */
  readonly owner: { readonly epoch: number; readonly pid: number; readonly host: string; readonly state: string } | null
  readonly batchIntervalMs: number | null
  readonly zeroTime: BatchTime | null
  readonly lastPlanned: BatchTime | null
  readonly lastCommitted: BatchTime | null
  /** Planned and not committed, in order. */
  readonly batches: readonly BatchReport[]
  readonly states: readonly StateReport[]
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /**
   * The oldest batch that the log still knows. A restart reads at most from here; what windows need of it only the program
   * knows, and it forgets the rest with its first batch.
   */
  readonly oldestPlanKept: BatchTime | null
  readonly logs: { readonly batches: LogSummary; readonly records: LogSummary }
  readonly snapshots: { readonly files: number; readonly bytes: number; readonly sequence: number | null }
  readonly damage: CheckpointLook['damage']
}

export function inspectReport(folder: string, look: CheckpointLook): InspectReport {
  const { app, appName, owner, image, states, snapshot, snapshotFiles, damage } = look
  const { graph, lastPlanned = null, lastCommitted = null } = image
  const times = [...image.committed, ...image.uncommitted].map(({ plan }) => plan.time)
  return {
    folder,
    app,
    appName,
    owner:
      owner === undefined
        ? null
        : { epoch: owner.epoch, pid: owner.identity.pid, host: owner.identity.host, state: owner.state },
    batchIntervalMs: graph?.batchIntervalMs ?? null,
    zeroTime: graph?.zeroTime ?? null,
    lastPlanned,
    lastCommitted,
    batches: image.uncommitted.map(batchReport),
    states: (graph?.states ?? []).map((state) => ({ ...state, ...(states.get(state.id) ?? NOTHING_KEPT) })),
    inputs: graph?.inputs ?? [],
    outputs: graph?.outputs ?? [],
    oldestPlanKept: times.length === 0 ? null : Math.min(...times),
    logs: { batches: summaryOf(look.batches), records: summaryOf(look.records) },
    snapshots: { ...snapshotFiles, sequence: snapshot?.sequence ?? null },
    damage,
  }
}

const NOTHING_KEPT = { keys: 0, snapshotBytes: 0 }

function batchReport({ plan, records, start, outputs, done, dropped }: LoggedBatch): BatchReport {
  return {
    time: plan.time,
    digest: digestOf(plan),
    isStarted: start !== undefined,
    inputs: Object.entries(plan.inputs).map(([id, data]) => {
      return { id, records: records[id], isDropped: dropped.includes(id), plan: data }
    }),
    outputs: Object.entries({ ...start?.partitions, ...outputs }).map(([id, partitions]) => {
      return { id, partitions, isDone: done.includes(id) }
    }),
  }
}

function summaryOf({ damage: _, ...summary }: LogReport): LogSummary {
  return summary
}

const PLAN_LENGTH = 200

export function inspectText(report: InspectReport): string {
  const { batches, states, inputs, outputs, snapshots, logs, damage } = report
  const lines = [
    `checkpoint ${report.folder}`,
    `application ${report.appName} (${report.app})`,
    `owner ${ownerText(report)}`,
    ...(report.batchIntervalMs === null
      ? ['no program has begun']
      : [
          `batches every ${formatDuration(milliseconds(report.batchIntervalMs))}, zero time ${timeText(report.zeroTime)}`,
        ]),
    `last planned ${timeText(report.lastPlanned)}`,
    `last committed ${timeText(report.lastCommitted)}`,
    `oldest plan kept ${timeText(report.oldestPlanKept)}`,
    `planned and not committed: ${batches.length === 0 ? 'none' : String(batches.length)}`,
    ...batches.flatMap(batchLines),
    `state: ${states.length === 0 ? 'none' : ''}`.trimEnd(),
    ...states.flatMap(stateLines),
    `inputs: ${listed(inputs)}`,
    `outputs: ${listed(outputs)}`,
    `log of batches: ${logText(logs.batches)}`,
    `log of records: ${logText(logs.records)}`,
    `snapshots: ${String(snapshots.files)} files, ${bytesText(snapshots.bytes)}`,
    ...damageLines(damage),
  ]
  return `${lines.join('\n')}\n`
}

function ownerText({ owner }: InspectReport): string {
  if (owner === null) return 'none yet'
  return `process ${String(owner.pid)} on ${owner.host}, epoch ${String(owner.epoch)}: ${owner.state}`
}

function batchLines({ time, isStarted, digest, inputs, outputs }: BatchReport): string[] {
  return [
    `  batch ${timeText(time)}, ${isStarted ? 'started' : 'not started'}, digest ${digest}`,
    ...inputs.map(({ id, records, isDropped, plan }) => {
      const count = isDropped ? 'dropped' : records === undefined ? 'records unknown' : `${String(records)} records`
      return `    input ${id}: ${count}; ${shortened(jsonOf(plan))}`
    }),
    ...outputs.map(({ id, partitions, isDone }) => {
      return `    output ${id}: ${String(partitions)} partitions, ${isDone ? 'done' : 'not done'}`
    }),
  ]
}

function stateLines({ id, kind, path, version, partitions, keys, snapshotBytes }: StateReport): string[] {
  const inSnapshot = snapshotBytes === 0 ? 'not in a snapshot yet' : `${bytesText(snapshotBytes)} in the last snapshot`
  return [
    `  ${id} (${kind}, version ${String(version)}): ${String(keys)} keys in ${String(partitions)} partitions, ${inSnapshot}`,
    `    ${path}`,
  ]
}

function logText({ entries, bytes, firstSequence, lastSequence, tornBytes }: LogSummary): string {
  const range =
    firstSequence === undefined ? '' : ` (${String(firstSequence)} to ${String(lastSequence ?? firstSequence)})`
  const torn = tornBytes === 0 ? '' : `, ${String(tornBytes)} bytes at its end not durable`
  return `${String(entries)} entries${range}, ${bytesText(bytes)}${torn}`
}

function shortened(text: string): string {
  return text.length <= PLAN_LENGTH ? text : `${text.slice(0, PLAN_LENGTH)}…`
}
