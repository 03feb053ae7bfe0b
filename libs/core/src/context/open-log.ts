/** The log of an application: that of its checkpoint, where it has one. */
import { volatileLog, type BatchLog } from '../checkpoint/batch-log.js'
import type { LoggedBatch } from '../checkpoint/log-image.js'
import { requireNames } from '../checkpoint/graph-check.js'
import { openCheckpoint, type OpenedCheckpoint, type Resumed } from '../checkpoint/open-checkpoint.js'
import type { StreamGraph } from '../dstream/graph.js'
import { SluiceError } from '../errors.js'
import type { InputStream, LogStart } from '../input/input-stream.js'
import type { BatchTime } from '../time/duration.js'
import type { TickerResume } from '../scheduler/ticker.js'
import type { SluiceContext } from './sluice-context.js'

export interface CheckpointOptions {
  /**
   * Folder or URL of the batch log. `start()` goes on from what is there: state as of the last committed batch, then the batches
   * that were planned and not committed, with the same plans and times. Default: none: state and what was received end with the process.
   */
  readonly checkpoint?: string | undefined
  /**
   * What becomes of the ticks between the last planned batch and the start: `'one'`: the next batch covers them all; `'each'`: each
   * has a batch of its own, as in Spark. Default: `'one'`.
   */
  readonly catchUp?: 'one' | 'each' | undefined
  /** Takes the checkpoint from an owner that seems to live but hangs; should it wake, it can do no harm (E7). Default: false. */
  readonly takeOver?: boolean | undefined
  /** Ids of states, inputs and outputs in the checkpoint that the program does not have any more, and that may be forgotten. */
  readonly dropState?: readonly string[] | undefined
}

/** A log, and what scheduler and inputs are told of earlier runs. */
export interface ApplicationLog {
  readonly log: BatchLog
  readonly ticks: TickerResume | undefined
  readonly batches: readonly LoggedBatch[]
  readonly resumed: Resumed | undefined
  inputStart(input: InputStream): LogStart
}

export interface OpenLogParts {
  readonly context: SluiceContext
  readonly graph: StreamGraph
  readonly inputs: readonly InputStream[]
  readonly zeroTime: BatchTime
}

export async function openLog(parts: OpenLogParts, options: CheckpointOptions): Promise<ApplicationLog> {
  if (options.checkpoint === undefined) return withoutCheckpoint(parts)
  requireNames(parts)
  parts.graph.keepsSlices = true
  const { engine, appName } = parts.context
  const { fileSystem, path: folder } = engine.fileSystems.resolve(options.checkpoint)
  const opened = await openCheckpoint({
    ...parts,
    fileSystem,
    folder,
    appName,
    takeOver: options.takeOver ?? false,
    dropState: options.dropState ?? [],
    blocks: engine.blocks,
    host: engine.host,
    clock: engine.clock,
    logger: engine.logger,
  })
  const { checkpoint: log, resumed, zeroTime } = opened
  // With another interval, batches are counted anew.
  const last = Math.max(zeroTime, resumed?.lastPlanned ?? -Infinity)
  return {
    log,
    resumed,
    ticks: { zeroTime, last, catchUp: resumed === undefined ? 'one' : (options.catchUp ?? 'one') },
    batches: resumed?.batches ?? [],
    inputStart: (input) => inputStart(input, opened),
  }
}

function withoutCheckpoint({ graph, inputs, context }: OpenLogParts): ApplicationLog {
  const needing =
    inputs.find((input) => input.needsCheckpoint)?.id ?? graph.streams.find(({ isCheckpointed }) => isCheckpointed)?.id
  if (needing !== undefined) throw noCheckpoint(needing)
  const none = { epoch: 0, journal: undefined, received: undefined, resumed: undefined }
  return {
    log: volatileLog(context.engine.host.newIdentity()),
    ticks: undefined,
    batches: [],
    resumed: undefined,
    inputStart: () => none,
  }
}

function inputStart(input: InputStream, { checkpoint, data, received, resumed, zeroTime }: OpenedCheckpoint): LogStart {
  const { epoch, image } = checkpoint
  const blocks = received.blocks().filter((block) => block.input === input.id)
  const positions = received.positions.get(input.id) ?? new Map<string, bigint>()
  const plans = image.batches
    .filter(({ plan }) => input.id in plan.inputs)
    .map(({ plan }) => ({ time: plan.time, data: plan.inputs[input.id] }))
  return {
    epoch,
    journal: data,
    received: { blocks, positions },
    resumed:
      resumed === undefined
        ? undefined
        : { head: image.head(input.id), plans, lastPlanned: resumed.lastPlanned, zeroTime },
  }
}

function noCheckpoint(id: string): SluiceError {
  return new SluiceError({
    code: 'CHECKPOINT_UNAVAILABLE',
    component: id,
    message: 'it needs a log that outlives the process; give the context a checkpoint folder',
  })
}
