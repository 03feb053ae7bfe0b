/** A simulated machine, and the processes on it: each sees a clock, a disk and its neighbours, and all of it may end at any event. */
import {
  SluiceError,
  type Clock,
  type FileSystem,
  type Host,
  type ProcessIdentity,
  type ProcessTable,
} from '@sluice/core'
import { diskView } from './disk-view.js'
import type { EventLabel } from './event-queue.js'
import type { Operate, OperationOptions } from './operation.js'
import type { SimDisk } from './sim-disk.js'
import type { Actor, Outcome, SimEvent, World } from './world.js'

const never = new Promise<never>(() => undefined)
const DEFAULT_LATENCY_MS = 0.5
const LEAST_LATENCY_MS = 0.02

export class SimMachine {
  readonly name: string
  readonly world: World
  /** What it writes to: its own disk, or one that machines share. */
  readonly disk: SimDisk
  /** How far its wall clock is off. */
  wallOffsetMs = 0
  #boots = 1
  #processes: SimProcess[] = []
  #started = 0

  constructor(world: World, name: string, disk: SimDisk) {
    this.world = world
    this.name = name
    this.disk = disk
  }

  get bootId(): string {
    return `${this.name}-boot-${String(this.#boots)}`
  }

  get nowMs(): number {
    return Math.floor(this.world.startMs + this.world.nowMs + this.wallOffsetMs)
  }

  /** Numbers of processes come again, as they do. */
  spawn(): SimProcess {
    const started = this.#started++
    let pid = 100 + (started % 3)
    while (this.#processes.some((process) => process.isAlive && process.pid === pid)) pid++
    const process = new SimProcess(this, pid, `${this.name}-${String(started)}`)
    this.#processes = [...this.#processes.filter(({ isAlive }) => isAlive), process]
    return process
  }

  living(pid: number): SimProcess | undefined {
    return this.#processes.find((process) => process.isAlive && process.pid === pid)
  }

  /** All processes end; a disk of its own forgets. */
  async powerLoss(event: number, pattern: number | undefined): Promise<void> {
    const living = this.#processes.filter(({ isAlive }) => isAlive)
    for (const process of living) await process.end(event)
    this.#boots++
    this.disk.powerLoss(event, pattern)
    for (const process of living) process.onDeath()
  }
}

export class SimProcess implements Actor {
  readonly machine: SimMachine
  readonly pid: number
  /** Unique in the run. */
  readonly name: string
  readonly clock: Clock
  readonly host: Host
  readonly fileSystem: FileSystem
  /** What the simulation does when it is dead. */
  onDeath: () => void = () => undefined
  #isAlive = true
  #isPaused = false
  #held: (() => void)[] = []
  #identities = 0

  constructor(machine: SimMachine, pid: number, name: string) {
    this.machine = machine
    this.pid = pid
    this.name = name
    this.clock = clockOf(this)
    this.host = { processes: this.#processes(), newIdentity: () => `${name}-${String(this.#identities++)}` }
    const operate: Operate = (label, effect, options) => this.operation(label, effect, options)
    this.fileSystem = diskView(operate, machine.disk)
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  get world(): World {
    return this.machine.world
  }

  /** Something that the process asks of the world. Nothing answers a dead one. */
  operation<T>(label: EventLabel, effect: () => T | Promise<T>, options: OperationOptions = {}): Promise<T> {
    if (!this.#isAlive) return never
    const { world } = this
    const id = world.takeId()
    const fault = world.isFaulty ? world.injector.onOperation(id, label) : undefined
    const faulty = fault && options.faulty?.(fault, world.randomFor('fault', id))
    if (fault !== undefined && fault !== 'tornWrite')
      world.record({ event: id, kind: fault, at: `${label.kind} ${label.what} ${label.on}` })
    const { latencyMs = DEFAULT_LATENCY_MS, tear } = options
    const delayMs =
      (options.delayMs ?? 0) + Math.max(LEAST_LATENCY_MS, world.latency(latencyMs)) + (faulty?.delayMs ?? 0)
    return new Promise<T>((resolve, reject) => {
      const settle = (outcome: Outcome): void => {
        if ('error' in outcome) reject(outcome.error as Error)
        else resolve(outcome.value as T)
      }
      world.schedule({
        delayMs,
        id,
        label,
        process: this,
        fault,
        effect: faulty?.effect ?? effect,
        tear,
        settle: faulty?.isSilent === true ? undefined : settle,
      })
    })
  }

  /** Waits; the same as an operation that does nothing. */
  wait(label: EventLabel, delayMs: number, settle: () => void): SimEvent | undefined {
    if (!this.#isAlive) return undefined
    return this.world.schedule({ delayMs, id: this.world.takeId(), label, process: this, settle })
  }

  /** Tells the process of an outcome: now, when it goes on, or never. */
  answer(settle: (outcome: Outcome) => void, outcome: Outcome): void {
    if (!this.#isAlive) return
    if (this.#isPaused) this.#held.push(() => void settle(outcome))
    else settle(outcome)
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    if (!this.#isAlive || !this.#isPaused) return
    this.#isPaused = false
    const held = this.#held
    this.#held = []
    for (const go of held) go()
  }

  /** Ends it as it is. What it had asked for may still be done, or not; it hears of nothing. */
  async kill(event: number): Promise<void> {
    if (!this.#isAlive) return
    await this.end(event)
    this.onDeath()
  }

  async end(event: number): Promise<void> {
    this.#isAlive = false
    this.#held = []
    const { world } = this
    const random = world.randomFor('death', event, this.name)
    const pending = world.pendingOf(this)
    world.drop(this)
    for (const { effect, label, at } of pending) {
      if (effect === undefined || random.next() < 0.5) continue
      // What is under way to another system arrives there by itself.
      if (label.kind === 'sink' || label.kind === 'call')
        world.after(Math.max(0, at - world.nowMs), 'arrival', () => settled(effect))
      else await settled(effect)
    }
  }

  #processes(): ProcessTable {
    const { machine, pid, name } = this
    const self: ProcessIdentity = {
      host: machine.name,
      pid,
      bootId: machine.bootId,
      pidNamespace: 'simulated',
      startTime: name,
    }
    return {
      platform: 'linux',
      self: () => Promise.resolve(self),
      startTimeOf: (other) => Promise.resolve(machine.living(other)?.name ?? 'gone'),
    }
  }
}

/** Nobody is there to hear how it ended. */
async function settled(effect: () => unknown): Promise<void> {
  try {
    await effect()
  } catch {
    // As the answer would have been.
  }
}

function clockOf(process: SimProcess): Clock {
  const { machine } = process
  return {
    '~sluice': 'clock/1',
    now: () => machine.nowMs,
    monotonic: () => machine.world.nowMs,
    sleep: (ms, signal) => sleep(process, ms, signal),
    yield: () => new Promise((resolve) => void process.wait({ kind: 'timer', what: 'yield', on: '' }, 0, resolve)),
  }
}

function sleep(process: SimProcess, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      if (event !== undefined) event.isCancelled = true
      reject(reasonOf(signal))
    }
    if (signal?.aborted === true) {
      reject(reasonOf(signal))
      return
    }
    const event = process.wait({ kind: 'timer', what: 'sleep', on: '' }, ms, () => {
      signal?.removeEventListener('abort', abort)
      resolve()
    })
    signal?.addEventListener('abort', abort, { once: true })
  })
}

function reasonOf(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason
  if (reason instanceof Error) return reason
  return new SluiceError({ code: 'ABORTED', component: 'clock', message: 'the wait was aborted', cause: reason })
}
