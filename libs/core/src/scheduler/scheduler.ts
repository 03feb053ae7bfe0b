/**
 * The life of batches: at each tick the inputs plan; planned batches run one after another, and each is committed before the
 * next begins (E2, E3). The first failure ends it: no later batch may pass one that failed.
 */
import type { BatchLog, PlanRecord } from '../checkpoint/batch-log.js'
import type { LoggedBatch } from '../checkpoint/log-image.js'
import { messageOf, SluiceError, toError } from '../errors.js'
import type { StreamGraph } from '../dstream/graph.js'
import type { InputStream, LogStart } from '../input/input-stream.js'
import type { BatchInfo, InputInfo, ListenerBus } from '../observe/listener.js'
import type { Logger } from '../observe/logger.js'
import type { Clock } from '../time/clock.js'
import type { BatchTime } from '../time/duration.js'
import { type BatchRunner, type PlannedBatch } from './batch-runner.js'
import { Ticker, type TickerResume } from './ticker.js'

export interface SchedulerOptions {
  /** Planned batches that may wait; further ticks wait for room. */
  readonly maxPendingBatches: number
}

/** Milliseconds that a stop at once waits for work that does not heed its signal; Spark waits as long. */
const LEFT_BEHIND_MS = 2_000

export interface SchedulerParts {
  readonly graph: StreamGraph
  readonly inputs: readonly InputStream[]
  /** The label of the application. */
  readonly appName: string
  readonly log: BatchLog
  readonly runner: BatchRunner
  readonly clock: Clock
  readonly bus: ListenerBus
  readonly logger: Logger
  /** Where ticks go on, with a checkpoint. */
  readonly ticks: TickerResume | undefined
  /** Batches that an earlier run planned and did not commit: they run first. */
  readonly resumed: readonly LoggedBatch[]
  /** What an input is told of earlier runs. */
  inputStart(input: InputStream): LogStart
  /** Called once, with the error that ends the application. */
  fail(error: Error): void
}

export class Scheduler {
  readonly #parts: SchedulerParts
  readonly #options: SchedulerOptions
  #ticker: Ticker
  readonly #started: InputStream[] = []
  /** Ends planning; batches go on. */
  readonly #stopTicks = new AbortController()
  /** Ends everything. */
  readonly #stopNow = new AbortController()
  readonly #queue: PlannedBatch[] = []
  #ticking: Promise<void> | undefined
  #running: Promise<void> | undefined
  #inputsEnded: Promise<void> | undefined
  #inputsClosed: Promise<void> | undefined
  #endedAtOnce: Promise<void> | undefined
  #room: (() => void) | undefined
  #failed = false
  /** Time of the last plan. */
  #planned: BatchTime | undefined

  constructor(parts: SchedulerParts, options: SchedulerOptions) {
    this.#parts = parts
    this.#options = options
    this.#ticker = new Ticker(parts.clock, parts.graph.batchInterval, parts.ticks)
    this.#planned = parts.ticks?.last
  }

  get zeroTime(): BatchTime {
    return this.#ticker.zeroTime
  }

  /** Aborted when everything ends at once. */
  get signal(): AbortSignal {
    return this.#stopNow.signal
  }

  /** Starts the inputs, then the ticks. Rejects when it is stopped meanwhile. */
  async start(): Promise<void> {
    const { inputs, graph, appName, clock, logger } = this.#parts
    const { signal } = this.#stopNow
    for (const input of inputs) {
      signal.throwIfAborted()
      this.#started.push(input)
      const { streamId, id } = input
      await input.start({ streamId, id, appName, clock, logger, signal, ...this.#parts.inputStart(input) })
    }
    signal.throwIfAborted()
    // The time that it took to start is no reason for overdue batches.
    this.#ticker = new Ticker(clock, graph.batchInterval, this.#parts.ticks)
    graph.start(this.#ticker.zeroTime)
    for (const batch of this.#parts.resumed) this.#submit(batch.plan, batch.records)
    this.#ticking = this.#tick()
  }

  /** Ends receiving, plans what was received, runs every planned batch. */
  async stopGracefully(): Promise<void> {
    await this.#stopInputs()
    await this.#endTicks()
    if (!this.#failed) await this.#planGuarded(this.#ticker.take())
    await this.#running
    await this.#closeInputs()
  }

  /** Ends everything; the running batch is left uncommitted. What does not end by itself is left behind. */
  stopAtOnce(reason: Error): Promise<void> {
    this.#stopNow.abort(reason)
    this.#queue.length = 0
    return (this.#endedAtOnce ??= this.#endAtOnce())
  }

  async #endAtOnce(): Promise<void> {
    const { clock, logger } = this.#parts
    const timer = new AbortController()
    const late = clock.sleep(LEFT_BEHIND_MS, timer.signal).then(
      () => true,
      () => false,
    )
    const all = Promise.all([this.#endTicks(), this.#stopInputs(), this.#closeInputs(), this.#running])
    const leftBehind = await Promise.race([all.then(() => false), late])
    timer.abort()
    if (leftBehind) logger.warn('[scheduler] left behind what does not end: a function of the batch, or an input')
  }

  async #endTicks(): Promise<void> {
    this.#stopTicks.abort(
      new SluiceError({ code: 'STOPPED', component: 'scheduler', message: 'the context has been stopped' }),
    )
    this.#room?.()
    await this.#ticking
  }

  /** Each input that was started is stopped once, whoever stops. */
  #stopInputs(): Promise<void> {
    return (this.#inputsEnded ??= this.#endInputs((input) => input.stop()))
  }

  /** Once they are stopped, and what they planned has been read or never will be. */
  #closeInputs(): Promise<void> {
    return (this.#inputsClosed ??= this.#stopInputs().then(() => this.#endInputs((input) => input.close())))
  }

  async #endInputs(end: (input: InputStream) => Promise<void>): Promise<void> {
    const endGuarded = async (input: InputStream): Promise<void> => {
      try {
        await end(input)
      } catch (error) {
        this.#parts.logger.warn(`[${input.name}] stop failed: ${messageOf(error)}`)
      }
    }
    await Promise.all(this.#started.map(endGuarded))
  }

  async #tick(): Promise<void> {
    const { signal } = this.#stopTicks
    while (!signal.aborted && !this.#failed) {
      await this.#waitForRoom(signal)
      try {
        await this.#planGuarded(await this.#ticker.next(signal))
      } catch (error) {
        if (!signal.aborted) this.#fail(error)
      }
    }
  }

  async #waitForRoom(signal: AbortSignal): Promise<void> {
    // The first of the queue is the one that runs.
    while (this.#queue.length > this.#options.maxPendingBatches && !signal.aborted && !this.#failed) {
      await new Promise<void>((resolve) => {
        this.#room = resolve
      })
    }
  }

  async #planGuarded(time: BatchTime): Promise<void> {
    try {
      await this.#plan(time)
    } catch (error) {
      this.#fail(await this.#parts.log.causeOf(error))
    }
  }

  /** Only the inputs plan; RDDs are made when the batch starts (E3). */
  async #plan(time: BatchTime): Promise<void> {
    const { inputs, log, graph } = this.#parts
    const planned: Record<string, unknown> = {}
    const records: Record<string, number> = {}
    const heads: Record<string, unknown> = {}
    const descriptions: Record<string, string> = {}
    for (const input of inputs) {
      const plan = await input.plan(time)
      if (plan === undefined) continue
      planned[input.id] = plan.data
      if (plan.records !== undefined) records[input.id] = plan.records
      if (plan.head !== undefined) heads[input.id] = plan.head
      if (plan.description !== undefined) descriptions[input.id] = plan.description
    }
    const last = this.#planned ?? this.#ticker.zeroTime
    if (time > last + graph.batchInterval) log.skip(last, time)
    this.#planned = time
    const plan = { time, inputs: planned }
    await log.plan({ ...plan, records, heads }, this.#running === undefined)
    if (this.#failed || this.#stopNow.signal.aborted) return
    this.#submit(plan, records, descriptions)
  }

  #submit(
    plan: PlanRecord,
    records: Readonly<Record<string, number>>,
    descriptions: Readonly<Record<string, string>> = {},
  ): void {
    const { inputs, bus, clock } = this.#parts
    const infos: InputInfo[] = inputs
      .filter(({ id }) => id in plan.inputs)
      .map(({ id, streamId, name }) => ({
        streamId,
        name,
        records: records[id] ?? 0,
        description: descriptions[id],
      }))
    const batch: PlannedBatch = { plan, info: submitted(plan.time, infos, clock.now()), plannedAt: clock.monotonic() }
    bus.post('onBatchSubmitted', batch.info)
    this.#queue.push(batch)
    this.#running ??= this.#drain()
  }

  async #drain(): Promise<void> {
    for (let batch = this.#queue[0]; batch !== undefined && !this.#stopNow.signal.aborted; batch = this.#queue[0]) {
      try {
        await this.#parts.runner.run(batch, this.#stopNow.signal)
      } catch (error) {
        this.#fail(error)
        break
      }
      this.#queue.shift()
      this.#room?.()
    }
    this.#running = undefined
  }

  #fail(error: unknown): void {
    if (this.#failed || this.#stopNow.signal.aborted) return
    this.#failed = true
    this.#parts.fail(toError(error))
  }
}

function submitted(time: BatchTime, inputs: readonly InputInfo[], nowMs: number): BatchInfo {
  return {
    batchTime: time,
    inputs,
    records: inputs.reduce((sum, input) => sum + input.records, 0),
    submittedMs: nowMs,
    startedMs: undefined,
    endedMs: undefined,
    schedulingDelayMs: undefined,
    processingDelayMs: undefined,
    totalDelayMs: undefined,
    outputs: [],
  }
}
