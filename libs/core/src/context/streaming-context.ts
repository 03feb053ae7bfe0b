/** The entry to streams: declares the graph, starts it, stops it. */
import { volatileLog } from '../checkpoint/batch-log.js'
import type { DStream, TransformOptions } from '../dstream/dstream.js'
import { DStreamImpl, self, transformStreams, unionStreams } from '../dstream/dstream-impl.js'
import type { StreamEnvironment } from '../dstream/dstream-outputs.js'
import { StreamGraph } from '../dstream/graph.js'
import type { StreamNode } from '../dstream/stream-node.js'
import type { TransformFunction } from '../dstream/transform-stream.js'
import { messageOf, requireArgument, SluiceError, toError } from '../errors.js'
import type { InputSource } from '../input/input.js'
import { SourceInputStream, type InputStream } from '../input/input-stream.js'
import { queueSource, type absent, type QueueOptions } from '../input/queue-source.js'
import type { Receiver } from '../input/receiver.js'
import { ReceiverStream, type ReceiverStreamOptions } from '../input/receiver-stream.js'
import { ListenerBus, type StreamingListener } from '../observe/listener.js'
import { progressListener } from '../observe/progress.js'
import { BatchRunner } from '../scheduler/batch-runner.js'
import { Scheduler } from '../scheduler/scheduler.js'
import { formatDuration, milliseconds, type BatchTime, type Duration } from '../time/duration.js'
import type { Rdd } from '../rdd/rdd.js'
import type { OpOptions } from '../rdd/types.js'
import { parkedInWorker } from '../rdd/worker-mode.js'
import { describeGuarantees } from './guarantees.js'
import { SluiceContext, type SluiceContextOptions } from './sluice-context.js'
import { installSignals } from './signals.js'

export interface StreamingContextOptions extends SluiceContextOptions {
  /** How often a batch is planned; at least 10 ms. */
  readonly batchInterval: Duration
  /** Folder or URL of the batch log. Not available yet: giving it is an error. */
  readonly checkpoint?: string | undefined
  /** Batches that may wait while one runs; further ticks wait for room. Default: 10. */
  readonly maxPendingBatches?: number | undefined
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

export class StreamingContext {
  readonly '~sluice' = 'streaming-context/1'
  readonly batchInterval: Duration
  readonly sluiceContext: SluiceContext
  readonly #options: StreamingContextOptions
  readonly #graph: StreamGraph
  readonly #bus: ListenerBus
  readonly #inputs: InputStream[] = []
  readonly #environment: StreamEnvironment
  readonly #stopTimeoutMs: number
  readonly #maxPendingBatches: number
  #state: StreamingState = 'initialized'
  #scheduler: Scheduler | undefined
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
    requireNoCheckpoint(options.checkpoint)
    const { maxPendingBatches = DEFAULT_MAX_PENDING } = options
    requireArgument(
      maxPendingBatches >= 1,
      'context',
      `maxPendingBatches must be at least 1, not ${String(maxPendingBatches)}`,
    )
    this.#maxPendingBatches = maxPendingBatches
    this.#options = options
    this.batchInterval = options.batchInterval
    this.sluiceContext = options.context ?? new SluiceContext(options)
    this.#graph = new StreamGraph(options.batchInterval, this.sluiceContext)
    this.#bus = new ListenerBus(this.#engine.logger)
    this.#bus.add(progressListener(this.#engine.logger))
    this.#environment = {
      fileSystems: this.#engine.fileSystems,
      stdout: options.stdout ?? ((text) => void process.stdout.write(text)),
    }
    this.#stopTimeoutMs = options.stopTimeout ?? Math.max(LEAST_STOP_TIMEOUT_MS, 10 * options.batchInterval)
    this.#terminated = new Promise((resolve) => {
      this.#resolveTerminated = resolve
    })
  }

  get #engine(): SluiceContext['engine'] {
    return this.sluiceContext.engine
  }

  get state(): StreamingState {
    return this.#state
  }

  /** A stream of what a receiver pushes, or several alike. */
  receiverStream<T>(receiver: Receiver<T> | readonly Receiver<T>[], options: ReceiverStreamOptions = {}): DStream<T> {
    const receivers = Array.isArray(receiver) ? (receiver as readonly Receiver<T>[]) : [receiver as Receiver<T>]
    requireArgument(receivers.length > 0, 'receiverStream', 'at least one receiver is needed')
    const id = this.#graph.opId('receiverStream', optionsWithName(options.name))
    // What remains of the time is for the batches of what the receiver stored.
    const stopTimeoutMs = Math.floor(this.#stopTimeoutMs / 4)
    const environment = { blocks: this.#engine.blocks, bus: this.#bus, stopTimeoutMs }
    return this.#input(new ReceiverStream(this.#graph, id, this.#inputs.length, receivers, options, environment))
  }

  /** A stream of a direct source: one that is asked what each batch covers. */
  inputStream<T>(source: InputSource<T>, options?: OpOptions): DStream<T> {
    const version: string = source['~sluice']
    if (version !== 'input/1') {
      throw new SluiceError({
        code: 'CONTRACT_VERSION',
        component: 'inputStream',
        message: `the source says it is '${version}', and this core knows 'input/1'; install versions that belong together`,
      })
    }
    const id = this.#graph.opId('inputStream', options)
    return this.#input(new SourceInputStream(this.#graph, id, this.#inputs.length, source))
  }

  /** Each array of `queue` becomes a batch; for tests and examples. */
  queueStream<T>(queue: readonly (readonly T[] | typeof absent)[], options: QueueOptions = {}): DStream<T> {
    return this.inputStream<T>(queueSource(queue, options), optionsWithName(options.name))
  }

  /** The records of all streams, one after another. All need the same slide. */
  union<S extends readonly [DStream<unknown>, ...DStream<unknown>[]]>(
    ...streams: S
  ): DStream<S[number] extends DStream<infer T> ? T : never> {
    return unionStreams(
      streams.map((stream) => self(stream).node),
      this.#environment,
    )
  }

  /** A stream made batch by batch from the RDDs of several, in the driver. */
  transform<U, D = undefined>(
    streams: readonly [DStream<unknown>, ...DStream<unknown>[]],
    f: (rdds: readonly Rdd<never>[], time: BatchTime, sideData: D) => Rdd<U> | Promise<Rdd<U>>,
    options?: TransformOptions<D>,
  ): DStream<U> {
    requireArgument(typeof f === 'function', 'transform', 'the argument must be a function')
    const nodes = streams.map((stream) => self(stream).node)
    const apply: TransformFunction = (rdds, time, side) => f(rdds, time, side as D)
    return transformStreams<U>(nodes, this.#environment, apply, 'transform', options)
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
    const log = volatileLog()
    const { clock, logger } = this.#engine
    const parts = { graph: this.#graph, inputs: this.#inputs, log, clock, bus: this.#bus, logger }
    const release = this.#engine.release.bind(this.#engine)
    const batches = new BatchRunner({ ...parts, host: this.#engine, release })
    const scheduler = new Scheduler(
      { ...parts, runner: batches, fail: (error) => void this.#fail(error) },
      { maxPendingBatches: this.#maxPendingBatches },
    )
    this.#scheduler = scheduler
    this.#graph.start(scheduler.zeroTime)
    this.#starting = true
    try {
      await this.#engine.start()
      await this.#openSinks(log.app, scheduler.signal)
      this.#announce()
      await scheduler.start()
    } catch (error) {
      this.#awaited = true
      await this.#endWith(toError(error))
      throw error
    } finally {
      this.#starting = false
    }
    // A listener may have stopped it already.
    if (this.#options.signals !== false && this.state === 'active') this.#removeSignals = installSignals(this, logger)
    this.#bus.post('onStreamingStarted', { timeMs: clock.now() })
  }

  async #openSinks(app: string, signal: AbortSignal): Promise<void> {
    for (const { id, sink } of this.#graph.outputs) {
      if (sink !== undefined) await untilAborted(this.#engine.openSink(sink, id, { app, signal }), signal)
    }
  }

  #announce(): void {
    const { logger } = this.#engine
    const { appName } = this.sluiceContext
    logger.info(`${appName}: batches every ${formatDuration(this.batchInterval)}`)
    for (const line of describeGuarantees(this.#graph.outputs)) logger.info(line)
    if (this.#graph.states.length > 0) logger.info('state lives in memory only and ends with this process')
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
    this.#removeSignals()
    try {
      await this.#closeContext()
    } catch (error) {
      this.#engine.logger.error(`the context could not be closed: ${messageOf(error)}`)
      this.#failure ??= toError(error)
    }
    this.#state = 'stopped'
    this.#bus.post('onStreamingStopped', { timeMs: this.#engine.clock.now(), error: this.#failure })
    this.#resolveTerminated()
  }

  async #closeContext(): Promise<void> {
    if (this.#options.context === undefined) await this.sluiceContext.stop()
  }

  #input<T>(stream: InputStream): DStream<T> {
    this.#inputs.push(stream)
    return this.#stream(stream)
  }

  #stream<T>(node: StreamNode): DStream<T> {
    return new DStreamImpl<T>(node, this.#environment)
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

function optionsWithName(name: string | undefined): OpOptions | undefined {
  return name === undefined ? undefined : { name }
}

function requireInterval(interval: Duration): void {
  requireArgument(
    Number.isSafeInteger(interval) && interval >= LEAST_INTERVAL_MS,
    'context',
    `batchInterval must be at least ${String(LEAST_INTERVAL_MS)} ms, not ${String(interval)}; use milliseconds() or seconds()`,
  )
  milliseconds(interval)
}

function requireNoCheckpoint(checkpoint: string | undefined): void {
  if (checkpoint === undefined) return
  throw new SluiceError({
    code: 'CHECKPOINT_UNAVAILABLE',
    component: 'context',
    message:
      'this version has no batch log yet; leave checkpoint out, and state and received records end with the process',
  })
}

/** `work`, or the signal's reason as soon as it is aborted: what does not heed the signal is left behind. */
async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let onAbort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => {
      reject(toError(signal.reason))
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    signal.throwIfAborted()
    await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function stoppedError(): SluiceError {
  return new SluiceError({ code: 'STOPPED', component: 'context', message: 'the context has been stopped' })
}
