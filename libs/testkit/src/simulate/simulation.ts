/** What a program under simulation is given: a context's options, inputs and sinks, of one process. */
import {
  localExecutor,
  milliseconds,
  type DStream,
  type Duration,
  type Logger,
  type Rec,
  type Sink,
  type StreamingContext,
  type StreamingContextOptions,
} from '@sluice/core'
import type { Replay } from './replay.js'
import type { History, ProcessHistory } from './history.js'
import { callModel, type CallModel, type OutsideModel, type OutsideWorld } from './outside-model.js'
import type { SimProcess } from './process.js'
import { SimFeed, SimTopic, type InputShape, type MakeRecord, type Timetable } from './records.js'
import { simSink, SimStores, type SinkShape } from './stores.js'
import type { World } from './world.js'

/** What a program is given, anew for each of its processes. */
export interface Simulation {
  /** For `new StreamingContext`: simulated clock, disk and machine, a checkpoint, an interval. Others may be added. */
  readonly options: StreamingContextOptions
  /** Version of the program, from 0: another one after each fault `changeProgram`. */
  readonly version: number
  /** A source that can be read again: record `i` is `make(i, random)`. The same name is the same source in every process. */
  source<T extends Rec>(ssc: StreamingContext, name: string, make: MakeRecord<T>, shape?: InputShape): DStream<T>
  /** A receiver of a feed that numbers its records and forgets what was acknowledged; reliable, with positions (E14). */
  receiver<T extends Rec>(ssc: StreamingContext, name: string, make: MakeRecord<T>, shape?: InputShape): DStream<T>
  /** A receiver of a feed that gives each record once, whatever becomes of it (E15). */
  plainReceiver<T extends Rec>(ssc: StreamingContext, name: string, make: MakeRecord<T>, shape?: InputShape): DStream<T>
  /** A sink into the table of this name, which outlives all processes. */
  sink<T>(table: string, shape?: SinkShape): Sink<T>
  /** The model of something that outlives all processes, e.g. of a server: made when a run asks for it first, and the same for all. */
  outside<T extends OutsideModel>(name: string, make: (world: OutsideWorld) => T): T
  /** What this process asks of such a model: it arrives, and is answered, at later events, or goes wrong on the way. */
  readonly call: CallModel
}

/** Inputs and stores of a run, outside of all processes. */
export class Outside {
  readonly world: World
  readonly stores = new SimStores()
  readonly history: History
  readonly topics = new Map<string, SimTopic>()
  readonly feeds = new Map<string, SimFeed>()
  readonly intervalMs: Duration
  readonly batches: number
  /** Instead of topics and feeds. */
  readonly replay: Replay | undefined
  readonly models = new Map<string, OutsideModel>()
  readonly #plain = new Set<string>()

  constructor(world: World, history: History, intervalMs: number, batches: number, replay?: Replay) {
    this.world = world
    this.history = history
    this.replay = replay
    this.intervalMs = milliseconds(intervalMs)
    this.batches = batches
  }

  /** Simulated time at which the last record has come. */
  get endMs(): number {
    return this.intervalMs * this.batches
  }

  get #timetable(): Timetable {
    return { intervalMs: this.intervalMs, intervals: this.batches }
  }

  topic(name: string, make: MakeRecord<unknown>, shape: InputShape): SimTopic {
    const known = this.topics.get(name)
    if (known !== undefined) return known
    const topic = new SimTopic(this.world, name, this.#timetable, make, shape)
    this.topics.set(name, topic)
    return topic
  }

  feed(name: string, make: MakeRecord<unknown>, shape: InputShape, isPlain = false): SimFeed {
    if (isPlain) this.#plain.add(name)
    const known = this.feeds.get(name)
    if (known !== undefined) return known
    const feed = new SimFeed(this.world, name, this.#timetable, make, shape)
    this.feeds.set(name, feed)
    return feed
  }

  /** The model of this name. */
  model<T extends OutsideModel>(name: string, make: (world: OutsideWorld) => T): T {
    const known = this.models.get(name)
    if (known !== undefined) return known as T
    const { world, intervalMs, batches } = this
    const model = make({
      intervalMs,
      intervals: batches,
      get nowMs() {
        return world.nowMs
      },
      get lastFaultMs() {
        return world.lastFaultMs
      },
      randomFor: (...purpose) => world.randomFor(name, ...purpose),
      after: (delayMs, what, effect) => {
        world.after(delayMs, what, effect)
      },
    })
    this.models.set(name, model)
    return model
  }

  get areModelsThrough(): boolean {
    return [...this.models.values()].every((model) => model.isThrough?.(this.#rows) ?? true)
  }

  /** What is wrong with the models. */
  problems(): string[] {
    return [...this.models].flatMap(([name, model]) => {
      const problem = model.problem?.(this.#rows)
      return problem === undefined ? [] : [`${name}: ${problem}`]
    })
  }

  readonly #rows = (table: string): readonly unknown[] => this.stores.rows(table).map(({ record }) => record)

  isPlain(feed: string): boolean {
    return this.#plain.has(feed)
  }
}

export interface SimulationParts {
  readonly outside: Outside
  readonly process: SimProcess
  readonly history: ProcessHistory
  readonly version: number
  readonly takeOver: boolean
  readonly logger: Logger
}

export function simulationOf(parts: SimulationParts): Simulation {
  const { outside, process, history, version, takeOver, logger } = parts
  const { stores, replay } = outside
  const operate: SimProcess['operation'] = (label, effect, options) => process.operation(label, effect, options)
  /** The input as it was. */
  const again = (ssc: StreamingContext, name: string): DStream<never> | undefined => {
    const onPlan = (time?: number): void => {
      process.machine.wallOffsetMs = replay?.offsetAfter(time) ?? 0
    }
    return replay && (ssc.inputStream(replay.source(name, onPlan), { name }) as DStream<never>)
  }
  return {
    version,
    options: {
      batchInterval: outside.intervalMs,
      checkpoint: 'ckpt',
      clock: process.clock,
      host: process.host,
      localFileSystem: process.fileSystem,
      // Without generated code a process starts at once.
      executor: localExecutor({ stages: 'closures' }),
      takeOver,
      logger,
      signals: false,
      stdout: () => undefined,
    },
    source: (ssc, name, make, shape = {}) =>
      again(ssc, name) ?? ssc.inputStream(outside.topic(name, make, shape).source(operate, history) as never, { name }),
    receiver: (ssc, name, make, shape = {}) =>
      again(ssc, name) ??
      ssc.receiverStream(outside.feed(name, make, shape).receiver(operate, true) as never, { name, reliable: true }),
    plainReceiver: (ssc, name, make, shape = {}) =>
      again(ssc, name) ??
      ssc.receiverStream(outside.feed(name, make, shape, true).receiver(operate, false) as never, { name }),
    outside: (name, make) => outside.model(name, make),
    call: callModel(operate),
    sink: (table, shape = {}) => simSink({ operate, stores, history: outside.history, process: history }, table, shape),
  }
}
