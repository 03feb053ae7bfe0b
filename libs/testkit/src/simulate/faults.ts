/** What can go wrong in a simulated world, how often, and the list of what did. */
import { seedOf, seededRandom, type Random } from '@sluice/core'
import type { EventKind, EventLabel } from './event-queue.js'

/** Faults of a whole process or machine. Their probability is per batch; they come at any event within it. */
const PROCESS_FAULTS = [
  'kill',
  'powerLoss',
  'pause',
  'takeOver',
  'clockJump',
  'changeProgram',
  'stop',
  'stopAtOnce',
  'bitFlip',
] as const

/** Faults of one operation, by the kind of it. Their probability is per operation. */
const OPERATION_FAULTS = {
  disk: ['tornWrite', 'syncError', 'diskFull', 'slowDisk', 'lostAnswer'],
  sink: ['sinkFails', 'sinkAppliesThenFails', 'sinkHangs', 'lateWrite'],
  source: ['sourceFails', 'sourceHangs'],
  receiver: ['receiverDrops', 'receiverHangs'],
  call: ['callFails', 'answerIsLost', 'callHangs', 'lateCall'],
} as const

export type ProcessFault = (typeof PROCESS_FAULTS)[number]
export type OperationFault = (typeof OPERATION_FAULTS)[keyof typeof OPERATION_FAULTS][number]
export type FaultKind = ProcessFault | OperationFault

const KINDS: ReadonlySet<string> = new Set([...PROCESS_FAULTS, ...Object.values(OPERATION_FAULTS).flat()])

export function isFaultKind(text: string): text is FaultKind {
  return KINDS.has(text)
}

/** How often each thing goes wrong, from 0 (the default) to 1: per batch, or per operation on disk, source, sink or model. */
export interface Faults {
  /** Per batch: the process ends at once (`kill -9`). */
  readonly kill?: number | undefined
  /** Per batch: the machine loses its power, and the disk what was not synced, or a part of it. */
  readonly powerLoss?: number | undefined
  /** Per batch: the process stands still for a while. */
  readonly pause?: number | undefined
  /** Per batch: the process stands still, another takes its checkpoint over, and then the first wakes. */
  readonly takeOver?: number | undefined
  /** Per batch: the wall clock of the machine is set, forward or back. */
  readonly clockJump?: number | undefined
  /** Per batch: the process ends, and the next one runs another version of the program. */
  readonly changeProgram?: number | undefined
  /** Per batch: the application is stopped gracefully, and started again. */
  readonly stop?: number | undefined
  /** Per batch: the application is stopped at once, and started again. */
  readonly stopAtOnce?: number | undefined
  /** Per batch: the machine loses its power, and one bit of what its disk had synced is another one afterwards. */
  readonly bitFlip?: number | undefined
  /** Per write: the process ends in the middle of it. */
  readonly tornWrite?: number | undefined
  /** Per sync: it fails (EIO), and what it should have saved is lost. */
  readonly syncError?: number | undefined
  /** Per write: the disk is full (ENOSPC), and half of the bytes were written. */
  readonly diskFull?: number | undefined
  /** Per disk operation: it takes up to ten seconds. */
  readonly slowDisk?: number | undefined
  /** Per new file: it is made, and the answer is an error. */
  readonly lostAnswer?: number | undefined
  /** Per write to a sink: it is refused. */
  readonly sinkFails?: number | undefined
  /** Per write to a sink: it is applied, and the answer is an error. */
  readonly sinkAppliesThenFails?: number | undefined
  /** Per write to a sink: nothing happens and nobody answers. */
  readonly sinkHangs?: number | undefined
  /** Per write to a sink: nobody answers, and it lands much later, seconds or an hour (E9). */
  readonly lateWrite?: number | undefined
  /** Per call of a source. */
  readonly sourceFails?: number | undefined
  /** Per call of a source: it answers minutes later. */
  readonly sourceHangs?: number | undefined
  /** Per delivery to a receiver: the connection breaks. */
  readonly receiverDrops?: number | undefined
  /** Per delivery to a receiver: it comes minutes later. */
  readonly receiverHangs?: number | undefined
  /** Per call of a model that stands outside: it does not arrive, and the answer is an error. */
  readonly callFails?: number | undefined
  /** Per call of such a model: it takes effect, and the answer is an error. */
  readonly answerIsLost?: number | undefined
  /** Per call of such a model: nothing happens and nobody answers. */
  readonly callHangs?: number | undefined
  /** Per call of such a model: nobody answers, and it arrives seconds or minutes later. */
  readonly lateCall?: number | undefined
}

/** How a process dies at an event: before it, after it and before its answer, or in the middle of a write. */
export type DeathTime = 'before' | 'after' | 'torn'

/** One thing that went wrong. */
export interface InjectedFault {
  /** Number of the event at which it came. */
  readonly event: number
  readonly kind: FaultKind
  /** Of process faults. */
  readonly when?: DeathTime | undefined
  /** Of a loss of power, what survives: 0: what was synced, 1: half of each file besides, and all names. Default: by the seed. */
  readonly pattern?: number | undefined
  /** For people: the event. */
  readonly at?: string | undefined
}

/** A fault of a process, without its event. */
type ProcessFaultAt = Pick<InjectedFault, 'kind' | 'when' | 'pattern'>

/** What the world asks at each event. */
export interface Injector {
  /** A process has begun an operation: what goes wrong with it. */
  onOperation(event: number, label: EventLabel): OperationFault | undefined
  /** The event takes place: what becomes of its process, or of its machine. */
  onEvent(event: number, label: EventLabel): ProcessFaultAt | undefined
  /** A batch interval has passed. */
  onInterval(): void
}

/** Which faults an operation can have. */
function possible({ kind, what }: EventLabel): readonly OperationFault[] {
  if (kind === 'disk') return OPERATION_FAULTS.disk.filter((fault) => isPossibleOnDisk(fault, what))
  if (kind === 'sink') return what === 'write' ? OPERATION_FAULTS.sink : ['sinkFails']
  return kind === 'source' || kind === 'receiver' || kind === 'call' ? OPERATION_FAULTS[kind] : []
}

function isPossibleOnDisk(fault: OperationFault, what: string): boolean {
  switch (fault) {
    case 'tornWrite':
      return what === 'append'
    case 'syncError':
      return what === 'sync' || what === 'syncDirectory'
    case 'diskFull':
      return what === 'append' || what === 'create' || what === 'makeDirectory'
    case 'lostAnswer':
      return what === 'create'
    default:
      return true
  }
}

const IO: ReadonlySet<EventKind> = new Set(['disk', 'sink', 'source', 'receiver', 'call'])

export function isIo({ kind }: EventLabel): boolean {
  return IO.has(kind)
}

/** Chooses by probabilities. */
export class RandomInjector implements Injector {
  readonly #faults: Faults
  readonly #random: Random
  /** Process faults of this interval, each after so many events. */
  #armed: { readonly kind: ProcessFault; after: number }[] = []
  #events = 0
  #eventsPerInterval = 30

  constructor(faults: Faults, seed: number) {
    this.#faults = faults
    this.#random = seededRandom(seedOf(seed, 'faults'))
  }

  onOperation(_event: number, label: EventLabel): OperationFault | undefined {
    return possible(label).find((fault) => this.#comes(this.#faults[fault]))
  }

  onEvent(): ProcessFaultAt | undefined {
    this.#events++
    for (const armed of this.#armed) armed.after--
    const due = this.#armed.find(({ after }) => after <= 0)
    if (due === undefined) return undefined
    this.#armed = this.#armed.filter((armed) => armed !== due)
    return { kind: due.kind, when: this.#random.next() < 0.5 ? 'before' : 'after' }
  }

  onInterval(): void {
    this.#eventsPerInterval = Math.max(10, this.#events)
    this.#events = 0
    for (const kind of PROCESS_FAULTS)
      if (this.#comes(this.#faults[kind]))
        this.#armed.push({ kind, after: 1 + this.#random.integer(this.#eventsPerInterval) })
  }

  #comes(probability = 0): boolean {
    return probability > 0 && this.#random.next() < probability
  }
}

/** Repeats a trace. */
export class TraceInjector implements Injector {
  readonly #byEvent: ReadonlyMap<number, readonly InjectedFault[]>

  constructor(trace: readonly InjectedFault[]) {
    const events = new Set(trace.map(({ event }) => event))
    this.#byEvent = new Map([...events].map((event) => [event, trace.filter((fault) => fault.event === event)]))
  }

  onOperation(event: number, label: EventLabel): OperationFault | undefined {
    const kinds = this.#byEvent.get(event)?.map(({ kind }) => kind)
    return kinds && possible(label).find((fault) => kinds.includes(fault))
  }

  onEvent(event: number): ProcessFaultAt | undefined {
    const isOfProcess = ({ kind }: InjectedFault): boolean => (PROCESS_FAULTS as readonly string[]).includes(kind)
    return this.#byEvent.get(event)?.find(isOfProcess)
  }

  onInterval(): void {
    // A trace knows its events by number.
  }
}

export const noFaults: Injector = new TraceInjector([])
