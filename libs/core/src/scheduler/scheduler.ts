/**
 * The life of batches: at each tick the inputs plan; planned batches run one after another, and each is committed before the
 * next begins (E2, E3). The first failure ends it: no later batch may pass one that failed.
 */
import type { BatchLog } from '../checkpoint/batch-log.js'
import { messageOf, SluiceError, toError } from '../errors.js'
import type { StreamGraph } from '../dstream/graph.js'
import type { InputStream } from '../input/input-stream.js'
import type { BatchInfo, InputInfo, ListenerBus } from '../observe/listener.js'
import type { Logger } from '../observe/logger.js'
import type { Clock } from '../time/clock.js'
import type { BatchTime } from '../time/duration.js'
import { type BatchRunner, type PlannedBatch } from './batch-runner.js'
import { Ticker } from './ticker.js'

export interface SchedulerOptions {
  /** Planned batches that may wait; further ticks wait for room. */
  readonly maxPendingBatches: number
  readonly stopTimeoutMs: number
}

export interface SchedulerParts {
  readonly graph: StreamGraph
  readonly inputs: readonly InputStream[]
  readonly log: BatchLog
  readonly runner: BatchRunner
  readonly clock: Clock
  readonly bus: ListenerBus
  readonly logger: Logger
  /** Called once, with the error that ends the application. */
  fail(error: Error): void
}

export class Scheduler {
  readonly #parts: SchedulerParts
  readonly #options: SchedulerOptions
  readonly #ticker: Ticker
  /** Ends planning; batches go on. */
  readonly #stopTicks = new AbortController()
  /** Ends everything. */
  readonly #stopNow = new AbortController()
  readonly #queue: PlannedBatch[] = []
  #ticking: Promise<void> | undefined
  #running: Promise<void> | undefined
  #room: (() => void) | undefined
  #failed = false

  constructor(parts: SchedulerParts, options: SchedulerOptions) {
    this.#parts = parts
    this.#options = options
    this.#ticker = new Ticker(parts.clock, parts.graph.batchInterval)
  }

  get zeroTime(): BatchTime {
    return this.#ticker.zeroTime
  }

  /** Aborted when everything ends at once. */
  get signal(): AbortSignal {
    return this.#stopNow.signal
  }

  /** Starts the inputs, then the ticks. */
  async start(): Promise<void> {
    const { inputs, clock, logger } = this.#parts
    for (const input of inputs) {
      await input.start({ streamId: input.streamId, clock, logger, signal: this.#stopNow.signal })
    }
    this.#ticking = this.#tick()
  }

  /** Ends receiving, plans what was received, runs every planned batch. */
  async stopGracefully(): Promise<void> {
    await this.#stopInputs()
    await this.#endTicks()
    if (!this.#failed) await this.#planGuarded(this.#ticker.take())
    await this.#running
  }

  /** Ends everything; the running batch is left uncommitted. */
  async stopAtOnce(reason: Error): Promise<void> {
    this.#stopNow.abort(reason)
    this.#queue.length = 0
    this.#room?.()
    await this.#endTicks()
    await this.#stopInputs()
    await this.#running
  }

  async #endTicks(): Promise<void> {
    this.#stopTicks.abort(
      new SluiceError({ code: 'STOPPED', component: 'scheduler', message: 'the context has been stopped' }),
    )
    this.#room?.()
    await this.#ticking
  }

  async #stopInputs(): Promise<void> {
    for (const input of this.#parts.inputs) {
      try {
        await input.stop()
      } catch (error) {
        this.#parts.logger.warn(`[${input.name}] stop failed: ${messageOf(error)}`)
      }
    }
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
    while (this.#queue.length >= this.#options.maxPendingBatches && !signal.aborted && !this.#failed) {
      await new Promise<void>((resolve) => {
        this.#room = resolve
      })
    }
  }

  async #planGuarded(time: BatchTime): Promise<void> {
    try {
      await this.#plan(time)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Only the inputs plan; RDDs are made when the batch starts (E3). */
  async #plan(time: BatchTime): Promise<void> {
    const { inputs, log, bus, clock } = this.#parts
    const planned: Record<string, unknown> = {}
    const infos: InputInfo[] = []
    for (const input of inputs) {
      const plan = await input.plan(time)
      if (plan === undefined) continue
      planned[input.id] = plan.data
      infos.push({
        streamId: input.streamId,
        name: input.name,
        records: plan.records ?? 0,
        description: plan.description,
      })
    }
    const plan = { time, inputs: planned }
    await log.plan(plan)
    const batch: PlannedBatch = { plan, info: submitted(time, infos, clock.now()) }
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
