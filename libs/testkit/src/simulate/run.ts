/** One run of a program in a simulated world: its processes are started, die and are started again until all records are through. */
import { isSluiceError, type ErrorCode, type Logger, type StreamingContext } from '@sluice/core'
import { noFaults, RandomInjector, TraceInjector, type FaultKind, type Faults, type InjectedFault } from './faults.js'
import { History, ProcessHistory } from './history.js'
import type { Replay } from './replay.js'
import { SimMachine, type SimProcess } from './process.js'
import { SimDisk, type DiskLayout } from './sim-disk.js'
import { Outside, simulationOf, type Simulation } from './simulation.js'
import { World } from './world.js'

/** A program: it declares its streams on a context made with `sim.options`, and starts nothing. */
export type Build = (sim: Simulation) => StreamingContext

export interface RunOptions {
  readonly seed: number
  readonly batches: number
  /** Default: 1,000. */
  readonly intervalMs?: number | undefined
  readonly faults?: Faults | undefined
  /** These faults, instead of random ones. */
  readonly trace?: readonly InjectedFault[] | undefined
  /** These batches, and nothing goes wrong. */
  readonly replay?: Replay | undefined
  /** Default: `local`. */
  readonly layout?: DiskLayout | undefined
  /** At this time the application is stopped gracefully, and started again so much later. Default: never. */
  readonly stop?: PlannedStop | undefined
  /** For debugging: each line that a process logs, and each fault. */
  readonly log?: ((line: string) => void) | undefined
}

export interface PlannedStop {
  readonly atMs: number
  readonly downMs: number
}

/** What is wrong with a run; the oracle adds what is wrong with its results. */
export interface RunReport {
  readonly outside: Outside
  readonly world: World
  /** Why it did not come to its end. */
  readonly problem: string | undefined
  /** It ended early because of damage that was done to it, and told so. */
  readonly isCorrupt: boolean
  /** Processes that were started. */
  readonly processes: number
}

/** What clients make of a call that failed. */
const CALL_FAILED: readonly ErrorCode[] = ['CONNECTION_FAILED', 'TIMEOUT', 'BROKER_REFUSED', 'TASK_FAILED']

/** What a process may end with when such a fault came. */
const EXPLAINED: Partial<Record<FaultKind, readonly ErrorCode[]>> = {
  takeOver: ['FENCED', 'CHECKPOINT_OWNED', 'FILE_NOT_FOUND'],
  // Who wakes has waited for too long.
  pause: ['TIMEOUT'],
  syncError: ['FILE_SYSTEM_FAILED'],
  diskFull: ['FILE_SYSTEM_FAILED'],
  lostAnswer: ['FILE_SYSTEM_FAILED'],
  sinkFails: ['CONNECTION_FAILED'],
  sinkAppliesThenFails: ['CONNECTION_FAILED'],
  sinkHangs: ['TIMEOUT'],
  lateWrite: ['TIMEOUT'],
  sourceFails: ['CONNECTION_FAILED', 'TASK_FAILED'],
  sourceHangs: ['TIMEOUT'],
  bitFlip: ['DATA_CORRUPT', 'LOG_BEHIND_SINK'],
  callFails: CALL_FAILED,
  answerIsLost: CALL_FAILED,
  callHangs: CALL_FAILED,
  lateCall: CALL_FAILED,
}

/** Damage that ends an application for good. */
const CORRUPT: readonly ErrorCode[] = ['DATA_CORRUPT', 'LOG_BEHIND_SINK']

const LONGEST_RESTART_MS = 3_000
/** A run that takes longer than this after its last record and its last fault hangs. */
const LONGEST_REST_MS = 20 * 60_000
const EVENTS_PER_BATCH = 5_000
const LEAST_EVENTS = 100_000
/** New batches that the last process completes. */
const LAST_BATCHES = 1

/** A process with the application in it. */
interface App {
  readonly process: SimProcess
  readonly ssc: StreamingContext
  readonly history: ProcessHistory
  /** Simulated time at which each batch was submitted. */
  readonly submittedMs: Map<number, number>
  hasEnded: boolean
  isStopping: boolean
}

export class Run {
  readonly world: World
  readonly outside: Outside
  readonly #options: RunOptions
  readonly #build: Build
  readonly #machines: readonly SimMachine[]
  readonly #history = new History()
  #apps: App[] = []
  #version = 0
  #launches = 0
  #downUntilMs = 0
  #isDone = false
  #isEnding = false
  #isCorrupt = false
  #problem: string | undefined

  constructor(build: Build, options: RunOptions) {
    const { seed, batches, intervalMs = 1_000, layout = 'local', faults, trace, replay } = options
    const random = faults === undefined ? noFaults : new RandomInjector(faults, seed)
    this.#options = options
    this.#build = build
    const injector = trace === undefined ? random : new TraceInjector(trace)
    this.world = new World({ seed, injector, startMs: replay?.zeroTime })
    this.outside = new Outside(this.world, this.#history, intervalMs, batches, replay)
    const disk = new SimDisk(this.world, layout)
    const names = layout === 'local' ? ['one'] : ['one', 'two']
    this.#machines = names.map((name) => new SimMachine(this.world, name, disk))
    this.world.onFault = (fault, { name }) => this.#onFault(fault, name)
  }

  async run(): Promise<RunReport> {
    this.#launch(false)
    this.#everyInterval()
    this.#planStop()
    await this.#until(() => this.#isDone)
    if (!this.#isOver && this.outside.replay === undefined) await this.#end()
    const { world, outside } = this
    return { world, outside, problem: this.#problem, isCorrupt: this.#isCorrupt, processes: this.#launches }
  }

  get #isOver(): boolean {
    return this.#problem !== undefined || this.#isCorrupt
  }

  get #intervalMs(): number {
    return this.outside.intervalMs
  }

  #everyInterval(): void {
    const { world } = this
    world.after(this.#intervalMs, 'interval', () => {
      // Chance would never leave it in peace; a trace has an end, which may be in the recovery from its last fault but one.
      if (world.nowMs <= this.outside.endMs + this.#intervalMs) {
        world.injector.onInterval()
        this.#everyInterval()
      } else if (this.#options.trace === undefined) world.isFaulty = false
    })
  }

  #planStop(): void {
    const { stop } = this.#options
    if (stop === undefined) return
    this.world.after(stop.atMs, 'stop', () => {
      const app = this.#apps.find(({ process }) => !process.isPaused)
      if (app === undefined || this.#isEnding) return
      this.#downUntilMs = this.world.nowMs + stop.downMs
      this.#stopSoon(app, true)
    })
  }

  async #until(condition: () => boolean): Promise<void> {
    const mostEvents = this.world.events + LEAST_EVENTS + EVENTS_PER_BATCH * this.outside.batches
    const begunMs = this.world.nowMs
    while (!condition() && !this.#isOver) {
      const { world } = this
      if (!(await world.step())) this.#fail('hangs: nothing is left that could happen')
      else if (world.events > mostEvents) this.#fail('hangs: it is busy and does not come to its end')
      else if (world.nowMs > Math.max(this.outside.endMs, world.lastFaultMs, begunMs) + LONGEST_REST_MS)
        this.#fail('hangs: it does not come to its end')
    }
  }

  #fail(problem: string): void {
    this.#problem ??= problem
  }

  // ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────

  #launch(takeOver: boolean): void {
    const number = this.#launches++
    const random = this.world.randomFor('launch', number)
    const machine = this.#machines[random.integer(this.#machines.length)] as SimMachine
    const process = machine.spawn()
    const { intervalMs } = this.outside
    const history = new ProcessHistory(process.name, Math.floor(machine.nowMs / intervalMs) * intervalMs)
    this.#history.processes.push(history)
    this.#tell(`${process.name} is started${takeOver ? ' to take over' : ''}`)
    const version = this.#version
    const sim = simulationOf({ ...this, history, process, version, takeOver, logger: this.#loggerOf(process.name) })
    const ssc = this.#build(sim)
    const app: App = { process, ssc, history, submittedMs: new Map(), hasEnded: false, isStopping: false }
    this.#apps.push(app)
    process.onDeath = () => {
      this.#onDeath(app)
    }
    this.#watch(app)
  }

  #watch(app: App): void {
    const { ssc, history } = app
    ssc.addListener({
      onBatchSubmitted: ({ batchTime, inputs }) => {
        history.submitted.set(batchTime, inputs)
        app.submittedMs.set(batchTime, this.world.nowMs)
      },
      onBatchCompleted: ({ batchTime }) => {
        history.completed.push(batchTime)
        this.#onCompleted(app, batchTime)
      },
      onInputLost: ({ records }) => {
        this.#history.lost += records
      },
    })
    const onEnd = (error?: unknown): void => {
      if (app.hasEnded || !app.process.isAlive) return
      app.hasEnded = true
      this.#onEnd(app, error)
    }
    // An error of the start that ends nothing, because nothing had begun, is told by the start only.
    ssc.start().catch(onEnd)
    ssc.awaitTermination().then(() => {
      onEnd()
    }, onEnd)
  }

  #loggerOf(name: string): Logger {
    const at = (level: string) => (message: string) => {
      this.#tell(`${name} ${level}: ${message}`)
    }
    return { debug: () => undefined, info: at('info'), warn: at('warn'), error: at('error') }
  }

  #tell(line: string): void {
    this.#options.log?.(`${this.world.nowMs.toFixed(1)} ${line}`)
  }

  /** It has ended by itself, or because it was stopped. */
  #onEnd(app: App, error: unknown): void {
    const { process } = app
    this.#tell(`${process.name} ends${error === undefined ? '' : `: ${textOf(error)}`}`)
    if (error === undefined ? !app.isStopping : !this.#isExplained(error, app)) {
      const why = error === undefined ? 'without a reason' : `with ${textOf(error)}`
      this.#fail(`a process ended by itself ${why}`)
    } else if (isSluiceError(error) && CORRUPT.includes(error.code)) this.#isCorrupt = true
    // As `process.exit`: whatever is left of it goes with it.
    this.world.after(0, 'exit', () => process.kill(this.world.events))
  }

  #isExplained(error: unknown, { isStopping }: App): boolean {
    // One that is stopped while it starts.
    if (isStopping && isSluiceError(error, 'STOPPED')) return true
    const kinds = new Set(this.world.trace.map(({ kind }) => kind))
    const isReplaced = this.#apps.length > 1 || kinds.has('takeOver')
    if (isSluiceError(error, 'FENCED') || isSluiceError(error, 'CHECKPOINT_OWNED')) return isReplaced
    return [...kinds].some((kind) => EXPLAINED[kind]?.some((code) => isSluiceError(error, code)))
  }

  #onDeath(app: App): void {
    this.#apps = this.#apps.filter((other) => other !== app)
    if (this.#isEnding || this.#apps.some(({ process }) => !process.isPaused)) return
    const random = this.world.randomFor('restart', app.process.name)
    const downMs = Math.max(0, this.#downUntilMs - this.world.nowMs)
    this.world.after(downMs + 50 + random.next() * LONGEST_RESTART_MS, 'restart', () => {
      if (!this.#isEnding && !this.#apps.some(({ process }) => !process.isPaused)) this.#launch(this.#apps.length > 0)
    })
  }

  /** All is through when a batch is committed that was planned after the last record had come. */
  #onCompleted(app: App, time: number): void {
    const { replay } = this.outside
    if (replay !== undefined) {
      this.#isDone = time === replay.lastTime
      return
    }
    const feeds = [...this.outside.feeds.values()]
    const drainedMs = Math.max(this.outside.endMs, ...feeds.map((feed) => feed.acknowledgedMs))
    const submittedMs = app.submittedMs.get(time) ?? 0
    const isThrough = feeds.every((feed) => feed.isDrained) && this.outside.areModelsThrough
    if (isThrough && submittedMs > drainedMs + this.#intervalMs) this.#isDone = true
  }

  // ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────

  async #onFault(fault: InjectedFault, name: string): Promise<void> {
    const app = this.#apps.find(({ process }) => process.name === name)
    if (app === undefined) return
    this.#tell(`fault ${fault.kind} ${fault.when ?? ''} event ${String(fault.event)}: ${fault.at ?? ''}`)
    const { process } = app
    const random = this.world.randomFor('fault', fault.event)
    switch (fault.kind) {
      case 'changeProgram':
        this.#version++
        return process.kill(fault.event)
      case 'powerLoss':
        return process.machine.powerLoss(fault.event, fault.pattern)
      case 'bitFlip':
        await process.machine.powerLoss(fault.event, fault.pattern)
        return process.machine.disk.flipBit('ckpt', fault.event)
      case 'pause':
        return this.#pause(app, random.next() * 20_000)
      case 'takeOver':
        this.#pause(app, 100 + random.next() * 60_000)
        return this.world.after(random.next() * 2_000, 'take-over', () => {
          if (!this.#isEnding) this.#launch(true)
        })
      case 'clockJump':
        process.machine.wallOffsetMs += Math.round((random.next() - 0.4) * 20_000)
        return
      case 'stop':
      case 'stopAtOnce':
        this.#stopSoon(app, fault.kind === 'stop')
        return
      default:
        return process.kill(fault.event)
    }
  }

  #stopSoon(app: App, graceful: boolean): void {
    app.isStopping = true
    // It may be starting still: then it is the start that rejects.
    app.ssc.stop({ graceful }).catch(() => undefined)
  }

  #pause({ process }: App, forMs: number): void {
    process.pause()
    this.world.after(forMs, 'resume', () => {
      this.#tell(`${process.name} goes on`)
      process.resume()
    })
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The application is stopped or dies once more; what it left serves a last process, which then stops. */
  async #end(): Promise<void> {
    const { world } = this
    world.isFaulty = false
    world.lastFaultMs = world.nowMs
    this.#isDone = false
    for (const { process } of this.#apps) process.resume()
    await this.#until(() => this.#apps.length === 1)
    const [app] = this.#apps
    if (this.#isOver || app === undefined) return
    this.#isEnding = true
    const choice = world.randomFor('end').integer(3)
    if (choice === 0) await this.#stop(app)
    else if (choice === 1) await app.process.kill(world.events)
    else await app.process.machine.powerLoss(world.events, 0)
    if (this.#isOver) return
    this.#launch(false)
    const [last] = this.#apps
    if (last === undefined) return
    const begunMs = world.nowMs
    const isNew = (time: number): boolean => (last.submittedMs.get(time) ?? 0) > begunMs
    await this.#until(() => last.history.completed.filter(isNew).length >= LAST_BATCHES)
    if (!this.#isOver) await this.#stop(last)
    // Writes that are under way land.
    while (!this.#isOver && (await world.step()));
  }

  async #stop(app: App): Promise<void> {
    app.isStopping = true
    app.ssc.stop().catch((error: unknown) => {
      this.#fail(`the stop failed with ${textOf(error)}`)
    })
    await this.#until(() => !app.process.isAlive)
  }
}

function textOf(error: unknown): string {
  return isSluiceError(error) ? `${error.code}: ${error.message}` : String(error)
}
