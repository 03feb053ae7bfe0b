/**
 * The simulated world: one queue of everything that can happen, one clock, one seed. Each event is one point at which a process
 * waits; between two events all that was set going runs to its next wait. So a run is a function of its seed.
 */
import { seedOf, seededRandom, systemClock, type Random } from '@sluice/core'
import { EventQueue, type EventLabel, type Scheduled } from './event-queue.js'
import { isIo, type InjectedFault, type Injector, type OperationFault } from './faults.js'

/** A process, as the world knows it. */
export interface Actor {
  /** Unique in the run. */
  readonly name: string
  readonly isAlive: boolean
  readonly isPaused: boolean
  /** Tells it of an outcome: now, when it goes on, or never. */
  answer(settle: (outcome: Outcome) => void, outcome: Outcome): void
}

/** What an operation came to. */
export type Outcome = { readonly value: unknown } | { readonly error: unknown }

/** Something that will happen. */
export interface SimEvent extends Scheduled {
  readonly label: EventLabel
  /** Whose it is: it does not happen when that process is dead. */
  readonly process: Actor | undefined
  readonly fault: OperationFault | undefined
  isCancelled: boolean
  /** What it does outside of the process. */
  effect?: (() => unknown) | undefined
  /** What is left of that where the process dies in the middle. */
  tear?: (() => unknown) | undefined
  /** How the process learns of it; undefined: never. */
  settle?: ((outcome: Outcome) => void) | undefined
}

/** An event as it is put into the queue. */
export type NewEvent = Pick<SimEvent, 'label' | 'process' | 'effect' | 'tear' | 'settle'> & {
  readonly delayMs: number
  readonly id: number
  readonly fault?: OperationFault | undefined
}

/** What the world does when a process fault comes. */
export type FaultHandler = (fault: InjectedFault, process: Actor) => void | Promise<void>

export interface WorldOptions {
  readonly seed: number
  readonly injector: Injector
  /** Wall-clock time of the beginning, in ms since the epoch. Default: one second and a half. */
  readonly startMs?: number | undefined
}

export class World {
  readonly seed: number
  readonly injector: Injector
  readonly startMs: number
  /** Everything that went wrong so far. */
  readonly trace: InjectedFault[] = []
  /** Numbers of the events that were I/O of a process, with what they were: where a process can die. */
  readonly ioEvents: { readonly event: number; readonly label: EventLabel }[] = []
  readonly #queue = new EventQueue<SimEvent>()
  readonly #order: Random
  #nowMs = 0
  #nextId = 1
  #events = 0
  /** Simulated time of the last fault. */
  lastFaultMs = 0
  /** Whether things still go wrong. */
  isFaulty = true
  onFault: FaultHandler = () => undefined

  constructor({ seed, injector, startMs = 1_500 }: WorldOptions) {
    this.seed = seed
    this.injector = injector
    this.startMs = startMs
    this.#order = seededRandom(seedOf(seed, 'order'))
  }

  /** Simulated milliseconds since the beginning. */
  get nowMs(): number {
    return this.#nowMs
  }

  get events(): number {
    return this.#events
  }

  /** Number of the next event. */
  takeId(): number {
    return this.#nextId++
  }

  /** The same numbers for the same purpose, whatever else goes on. */
  randomFor(...purpose: readonly (string | number)[]): Random {
    return seededRandom(seedOf(this.seed, ...purpose))
  }

  /** How long something takes. */
  latency(mostMs: number): number {
    return this.#order.next() * mostMs
  }

  schedule({ delayMs, id, label, process, fault, effect, tear, settle }: NewEvent): SimEvent {
    const at = this.#nowMs + Math.max(0, delayMs)
    const tie = this.#order.next()
    const event: SimEvent = { id, at, tie, label, process, fault, isCancelled: false, effect, tear, settle }
    this.#queue.push(event)
    return event
  }

  /** Something that nobody waits for. */
  after(delayMs: number, what: string, effect: () => unknown): void {
    this.schedule({ delayMs, id: this.takeId(), label: { kind: 'world', what, on: '' }, process: undefined, effect })
  }

  /** What the process waits for. */
  pendingOf(process: Actor): SimEvent[] {
    return this.#queue.all.filter((event) => event.process === process).sort((a, b) => a.id - b.id)
  }

  drop(process: Actor): void {
    this.#queue.retain((event) => event.process !== process)
  }

  /** Notes a fault. */
  record(fault: InjectedFault): void {
    this.trace.push(fault)
    this.lastFaultMs = this.#nowMs
  }

  /** Lets all that was set going run to its next wait: microtasks only, as nothing else is outside of the queue. */
  settle(): Promise<void> {
    return systemClock.yield()
  }

  /** Makes the next thing happen; false when nothing is left that could. */
  async step(): Promise<boolean> {
    await this.settle()
    let event = this.#queue.pop()
    while (event?.isCancelled === true) event = this.#queue.pop()
    if (event === undefined) return false
    this.#nowMs = Math.max(this.#nowMs, event.at)
    this.#events++
    await this.#happen(event)
    return true
  }

  async #happen(event: SimEvent): Promise<void> {
    const { process, label, id } = event
    if (process === undefined) {
      await event.effect?.()
      return
    }
    if (this.isFaulty && isIo(label)) this.ioEvents.push({ event: id, label })
    const fault = this.isFaulty && !process.isPaused ? this.#faultAt(event) : undefined
    if (fault !== undefined && fault.when !== 'after') {
      if (fault.when === 'torn') await event.tear?.()
      await this.#inject(fault, process)
      // A process that only stands still does it with its answer held.
      if (!process.isAlive) return
    }
    const outcome = await outcomeOf(event.effect)
    if (fault?.when === 'after') await this.#inject(fault, process)
    if (event.settle !== undefined) process.answer(event.settle, outcome)
  }

  #faultAt(event: SimEvent): InjectedFault | undefined {
    const { id, label } = event
    const at = `${label.kind} ${label.what}${label.on === '' ? '' : ` ${label.on}`}`
    if (event.fault === 'tornWrite') return { event: id, kind: 'tornWrite', when: 'torn', at }
    const chosen = this.injector.onEvent(id, label)
    return chosen && { event: id, kind: chosen.kind, when: chosen.when ?? 'before', pattern: chosen.pattern, at }
  }

  async #inject(fault: InjectedFault, process: Actor): Promise<void> {
    this.record(fault)
    await this.onFault(fault, process)
  }
}

async function outcomeOf(effect: (() => unknown) | undefined): Promise<Outcome> {
  try {
    return { value: await effect?.() }
  } catch (error) {
    return { error }
  }
}
