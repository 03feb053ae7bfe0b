/** The entry to streams: declares the graph, starts it, stops it. */
import type { BatchLog } from '../checkpoint/batch-log.js'
import { StreamGraph } from '../dstream/graph.js'
import { messageOf, requireArgument, SluiceError, toError } from '../errors.js'
import { ListenerBus, type StreamingListener } from '../observe/listener.js'
import { progressListener } from '../observe/progress.js'
import { BatchRunner, type BatchRunnerParts } from '../scheduler/batch-runner.js'
import { retryPolicy } from '../scheduler/retry.js'
import { deadLetterId, type RetryOptions, type Sink } from '../sink/sink.js'
import { rateController, type BackpressureOptions } from '../scheduler/rate-controller.js'
import { Scheduler } from '../scheduler/scheduler.js'
import { Ticker } from '../scheduler/ticker.js'
import { untilAborted } from '../time/abort.js'
import { formatDuration, milliseconds, type Duration } from '../time/duration.js'
import { parkedInWorker } from '../rdd/worker-mode.js'
import { describeGuarantees } from './guarantees.js'
import { openLog, type ApplicationLog, type CheckpointOptions } from './open-log.js'
import { SluiceContext, type SluiceContextOptions } from './sluice-context.js'
import { StreamInputs } from './stream-inputs.js'
import { installSignals } from './signals.js'

export interface StreamingContextOptions extends SluiceContextOptions, CheckpointOptions {
  /** How often a batch is planned; at least 10 ms. */
  readonly batchInterval: Duration
  /** Batches that may wait while one runs; further ticks wait for room. Default: 10. */
  readonly maxPendingBatches?: number | undefined
  /**
   * Caps what inputs take in by how fast batches are processed; true for the defaults. Default: false: inputs are held
   * back only when memory or the queue of batches is full.
   */
  readonly backpressure?: boolean | BackpressureOptions | undefined
  /**
   * Outputs of a batch that run at the same time. Batches never do (E2). Default: 1: in the order of their declaration.
   */
  readonly concurrentJobs?: number | undefined
  /**
   * How often a batch's outputs that failed are tried again before the context stops; those that are done are not run again
   * (E13). Sinks have a policy of their own, which comes first. Default: no retry.
   */
  readonly outputRetry?: RetryOptions | undefined
  /**
   * How long a graceful stop waits for what was received; a quarter of it is for `onStart` and for `onStop` of a receiver
   * that hangs. Default: ten batch intervals, at least 30 s.
   */
  readonly stopTimeout?: Duration | undefined
  /** Whether SIGINT and SIGTERM stop gracefully, and a second one at once. Default: true. */
  readonly signals?: boolean | undefined
  /** Shares an existing context; it is not stopped with this one. */
  readonly context?: SluiceContext | undefined
  /** Where `print` writes. Default: stdout. */
  readonly stdout?: ((text: string) => void) | undefined
}

export type StreamingState = 'initialized' | 'active' | 'stopping' | 'stopped'

const LEAST_INTERVAL_MS = 10
const LEAST_STOP_TIMEOUT_MS = 30_000
const DEFAULT_MAX_PENDING = 10

export class StreamingContext extends StreamInputs {
  readonly '~sluice' = 'streaming-context/1'
  readonly batchInterval: Duration
  readonly #options: StreamingContextOptions
  readonly #graph: StreamGraph
  readonly #bus: ListenerBus
  readonly #stopTimeoutMs: number
  readonly #maxPendingBatches: number
  readonly #outputPolicy: Pick<BatchRunnerParts, 'concurrentJobs' | 'outputRetry'>
  #state: StreamingState = 'initialized'
  #scheduler: Scheduler | undefined
  #log: BatchLog | undefined
  #starting = false
  #stopping: Promise<void> | undefined
  #finished: Promise<void> | undefined
  #failure: Error | undefined
  #awaited = false
  readonly #terminated: Promise<void>
  #resolveTerminated: () => void = () => undefined
  #removeSignals: () => void = () => undefined

  constructor(options: StreamingContextOptions) {
    requireInterval(options.batchInterval)
    const { maxPendingBatches = DEFAULT_MAX_PENDING } = options
    requireArgument(
      maxPendingBatches >= 1,
      'context',
      `maxPendingBatches must be at least 1, not ${String(maxPendingBatches)}`,
    )
    const context = options.context ?? new SluiceContext(options)
    const { logger, fileSystems } = context.engine
    const graph = new StreamGraph(options.batchInterval, context)
    const bus = new ListenerBus(logger)
    bus.add(progressListener(logger))
    const stopTimeoutMs = options.stopTimeout ?? Math.max(LEAST_STOP_TIMEOUT_MS, 10 * options.batchInterval)
    const stdout = options.stdout ?? ((text) => void process.stdout.write(text))
    super({ context, graph, bus, stopTimeoutMs, environment: { fileSystems, stdout } })
    this.#graph = graph
    this.#bus = bus
    this.#stopTimeoutMs = stopTimeoutMs
    this.#maxPendingBatches = maxPendingBatches
    this.#outputPolicy = outputPolicyOf(options)
    this.#options = options
    this.batchInterval = options.batchInterval
    this.#terminated = new Promise((resolve) => {
      this.#resolveTerminated = resolve
    })
  }

  /**
   * For people from Spark: the context that `build` makes, whose `checkpoint` must be this folder or URL; it is not started yet.
   * As no code is ever stored, `build` is always called; `start()` goes on from the checkpoint if there is one. Throws
   * `ARGUMENT_INVALID` when the context has another checkpoint, or none.
   */
  static async getOrCreate(
    checkpoint: string,
    build: (checkpoint: string) => StreamingContext | Promise<StreamingContext>,
  ): Promise<StreamingContext> {
    const context = await build(checkpoint)
    const own = context.#options.checkpoint
    if (own !== undefined && context.#pathOf(own) === context.#pathOf(checkpoint)) return context
    await context.stop()
    throw new SluiceError({
      code: 'ARGUMENT_INVALID',
      component: 'getOrCreate',
      message: `the context has ${own === undefined ? 'no checkpoint' : `the checkpoint ${own}`}, and not ${checkpoint}; give checkpoint: '${checkpoint}' to the context that you build`,
    })
  }

  #pathOf(location: string): string {
    const { path } = this.#engine.fileSystems.resolve(location)
    return path.replace(/^(?:[.]\/+)+/, '').replace(/\/+$/, '')
  }

  get #engine(): SluiceContext['engine'] {
    return this.sluiceContext.engine
  }

  get state(): StreamingState {
    return this.#state
  }

  /** Keeps the RDDs of all streams for at least this long, e.g. for `slice`. */
  remember(duration: Duration): void {
    this.#graph.requireOpen('remember')
    this.#graph.rememberMs = Math.max(this.#graph.rememberMs, duration)
  }

  /** Listeners may be added at any time. */
  addListener(listener: StreamingListener): void {
    this.#bus.add(listener)
  }

  removeListener(listener: StreamingListener): void {
    this.#bus.remove(listener)
  }

  /** Checks all that can be checked, opens sinks, starts inputs and ticks. Rejects with what is wrong; nothing runs then. */
  async start(): Promise<void> {
    const parked = parkedInWorker('start()')
    if (parked !== undefined) await parked
    this.#requireState('initialized')
    this.#graph.validate()
    this.#state = 'active'
    const { clock, logger } = this.#engine
    this.#starting = true
    try {
      const { zeroTime } = new Ticker(clock, this.batchInterval)
      this.#graph.start(zeroTime)
      const opened = await openLog(
        { context: this.sluiceContext, graph: this.#graph, inputs: this.inputs, zeroTime },
        this.#options,
      )
      if (this.state !== 'active') {
        await opened.log.close()
        throw stoppedError()
      }
      this.#log = opened.log
      const scheduler = this.#makeScheduler(opened)
      this.#scheduler = scheduler
      await this.#engine.start()
      await this.#openSinks(opened.log, scheduler.signal)
      this.#announce(opened)
      this.#controlRates()
      await scheduler.start()
    } catch (failure) {
      this.#awaited = true
      // Where somebody took over, a sink that is ahead of this log is but a sign of it (E7).
      const error = toError((await this.#log?.causeOf(failure)) ?? failure)
      await this.#endWith(error)
      throw error
    } finally {
      this.#starting = false
    }
    // A listener may have stopped it already.
    if (this.#options.signals !== false && this.state === 'active')
      this.#removeSignals = installSignals(this, logger, clock)
    this.#bus.post('onStreamingStarted', { timeMs: clock.now() })
  }

  #makeScheduler({ log, ticks, batches: resumed, inputStart }: ApplicationLog): Scheduler {
    const { clock, logger } = this.#engine
    const { appName } = this.sluiceContext
    const parts = { graph: this.#graph, inputs: this.inputs, appName, log, clock, bus: this.#bus, logger }
    const release = this.#engine.release.bind(this.#engine)
    const runner = new BatchRunner({ ...parts, ...this.#outputPolicy, host: this.#engine, release })
    return new Scheduler(
      { ...parts, runner, ticks, resumed, inputStart, fail: (error) => void this.#fail(error) },
      { maxPendingBatches: this.#maxPendingBatches },
    )
  }

  async #openSinks({ app, epoch, lastPlanned, replaced }: BatchLog, signal: AbortSignal): Promise<void> {
    const job = { app, epoch, lastPlanned, replaced, signal }
    const open = (sink: Sink<unknown> | undefined, id: string): Promise<void> =>
      sink === undefined ? Promise.resolve() : untilAborted(this.#engine.openSink(sink, id, job), signal)
    for (const { id, sink, deadLetter } of this.#graph.outputs) {
      await open(sink, id)
      await open(deadLetter, deadLetterId(id))
    }
  }

  #controlRates(): void {
    const { backpressure = false } = this.#options
    if (backpressure === false) return
    const options = backpressure === true ? {} : backpressure
    this.#bus.add(rateController(this.inputs, this.batchInterval, this.#engine.clock, options))
    if (options.initialRate !== undefined) for (const input of this.inputs) input.setRate(options.initialRate)
  }

  #announce({ log, resumed }: ApplicationLog): void {
    const { logger } = this.#engine
    const { appName } = this.sluiceContext
    logger.info(`${appName}: batches every ${formatDuration(this.batchInterval)}`)
    for (const line of describeGuarantees(this.#graph, this.inputs, log.isDurable)) logger.info(line)
    if (this.#graph.states.length > 0 && !log.isDurable) {
      logger.info('state lives in memory only and ends with this process')
    }
    if (resumed === undefined) return
    const { lastCommitted, batches, keys, lost } = resumed
    const after = lastCommitted === undefined ? 'before the first batch' : `after batch ${String(lastCommitted)}`
    logger.info(`resumed ${after}: ${String(keys)} keys of state, ${String(batches.length)} batches to run again`)
    this.#bus.post('onStreamingResumed', { lastCommitted, batches: batches.length, keys })
    for (const { input, records } of lost) {
      logger.warn(`[${input.name}] ${String(records)} records are lost: it cannot give again what batches had planned`)
      this.#bus.post('onInputLost', { streamId: input.streamId, name: input.name, records })
    }
  }

  /** Resolves when the context has stopped; rejects with the error that ended the application. With `timeout`: false when it still runs. */
  async awaitTermination(timeout?: Duration): Promise<boolean> {
    this.#awaited = true
    if (timeout === undefined) await this.#terminated
    else if (!(await this.#terminatedWithin(timeout))) return false
    if (this.#failure !== undefined) throw this.#failure
    return true
  }

  async #terminatedWithin(timeout: Duration): Promise<boolean> {
    const timer = new AbortController()
    const late = this.#engine.clock.sleep(timeout, timer.signal).then(
      () => false,
      () => false,
    )
    const ended = await Promise.race([this.#terminated.then(() => true), late])
    timer.abort()
    return ended
  }

  /**
   * Stops. Gracefully (the default): receivers end, what they stored becomes a last batch, and every planned batch runs, for
   * at most `stopTimeout`. Otherwise at once: the running batch is left uncommitted. Calling it again waits for the same
   * stop; `{ graceful: false }` cuts a graceful one short.
   */
  async stop(options: { readonly graceful?: boolean | undefined } = {}): Promise<void> {
    if (this.#state === 'initialized') {
      this.#state = 'stopped'
      this.#graph.stop()
      this.#resolveTerminated()
      await this.#closeContext()
      return
    }
    // While it starts there is nothing yet that could be ended gracefully.
    if (options.graceful === false || this.#starting) this.#stopAtOnce(stoppedError())
    else this.#stopping ??= this.#stopGracefully()
    await this.#stopping
  }

  async #stopGracefully(): Promise<void> {
    if (this.#state === 'stopped') return
    this.#state = 'stopping'
    const timer = new AbortController()
    const { clock, logger } = this.#engine
    const late = clock.sleep(this.#stopTimeoutMs, timer.signal).then(
      () => true,
      () => false,
    )
    const ended = this.#scheduler?.stopGracefully().then(() => false)
    // A stop at once cuts it short.
    const timedOut = await Promise.race([ended, late, this.#terminated.then(() => false)])
    timer.abort()
    if (timedOut === true) {
      const message = `the graceful stop has not ended within ${formatDuration(this.#stopTimeoutMs)}; raise stopTimeout`
      const error = new SluiceError({ code: 'TIMEOUT', component: 'context', message })
      logger.error(error.message)
      this.#failure ??= error
      await this.#scheduler?.stopAtOnce(error)
    }
    await this.#finish()
  }

  #stopAtOnce(reason: Error): void {
    if (this.#state === 'stopped') return
    this.#state = 'stopping'
    const ended = this.#scheduler?.stopAtOnce(reason) ?? Promise.resolve()
    this.#stopping = ended.then(() => this.#finish())
  }

  /** The first failure ends the application. */
  async #fail(error: Error): Promise<void> {
    this.#failure ??= error
    await this.#endWith(error)
    await this.#engine.clock.yield()
    if (this.#awaited) return
    // Nobody waits for the error: it must not pass unseen.
    queueMicrotask(() => {
      throw error
    })
  }

  async #endWith(error: Error): Promise<void> {
    this.#failure ??= error
    if (this.#state === 'active') this.#stopAtOnce(error)
    await this.#stopping
  }

  #finish(): Promise<void> {
    return (this.#finished ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#graph.stop()
    for (const close of [() => this.#closeContext(), () => this.#log?.close()]) {
      try {
        await close()
      } catch (error) {
        this.#engine.logger.error(`the context could not be closed: ${messageOf(error)}`)
        this.#failure ??= toError(error)
      }
    }
    this.#removeSignals()
    this.#state = 'stopped'
    this.#bus.post('onStreamingStopped', { timeMs: this.#engine.clock.now(), error: this.#failure })
    this.#resolveTerminated()
  }

  async #closeContext(): Promise<void> {
    if (this.#options.context === undefined) await this.sluiceContext.stop()
  }

  #requireState(state: StreamingState): void {
    if (this.#state === state) return
    throw new SluiceError({
      code: 'STOPPED',
      component: 'context',
      message: `start() needs a new context, this one is ${this.#state}; make another StreamingContext`,
    })
  }
}

function outputPolicyOf({
  concurrentJobs = 1,
  outputRetry,
}: StreamingContextOptions): Pick<BatchRunnerParts, 'concurrentJobs' | 'outputRetry'> {
  requireArgument(
    Number.isSafeInteger(concurrentJobs) && concurrentJobs >= 1,
    'context',
    `concurrentJobs must be a whole number of at least 1, not ${String(concurrentJobs)}`,
  )
  return { concurrentJobs, outputRetry: retryPolicy(outputRetry, 0, 'context') }
}

function requireInterval(interval: Duration): void {
  requireArgument(
    Number.isSafeInteger(interval) && interval >= LEAST_INTERVAL_MS,
    'context',
    `batchInterval must be at least ${String(LEAST_INTERVAL_MS)} ms, not ${String(interval)}; use milliseconds() or seconds()`,
  )
  milliseconds(interval)
}

function stoppedError(): SluiceError {
  return new SluiceError({ code: 'STOPPED', component: 'context', message: 'the context has been stopped' })
}
