/**
 * Tasks as data: from a task in the driver to bytes, and from bytes to the same task in another thread or process.
 *
 * Functions go by name. Data that the driver has (records at hand, blocks, shuffle blocks, cached partitions) goes along as
 * encoded chunks; files are read where the task runs.
 */
import type { AnyFunction } from '../rdd/functions.js'
import type { Op, TaskInfo } from '../rdd/op.js'
import type { Aggregator } from '../rdd/out.js'
import type { Pipeline, Source } from '../rdd/pipeline.js'
import type { Partitioner } from '../rdd/types.js'
import type { Task, Work } from '../rdd/work.js'
import type { StoredBlock } from '../storage/block-store.js'
import { decodeRecords, encodeRecords } from '../storage/codec.js'
import {
  DriverOnly,
  FunctionDescriber,
  FunctionRestorer,
  type AggregatorData,
  type FunctionData,
  type PartitionerData,
} from './task-codec-functions.js'

/** A value of a task, as data. */
type DataOf<V> = V extends Pipeline
  ? PipelineData
  : V extends readonly Pipeline[]
    ? readonly PipelineData[]
    : V extends Aggregator
      ? AggregatorData
      : V extends Partitioner
        ? PartitionerData
        : V extends AnyFunction
          ? FunctionData
          : V
type NodeData<N> = N extends unknown ? { readonly [F in keyof N]: DataOf<N[F]> } : never

type SourceData =
  /** In place of `records`: the number of the input that holds them. */
  { readonly kind: 'input'; readonly input: number } | NodeData<Exclude<Source, { kind: 'records' | 'driver' }>>
type WorkData = NodeData<Exclude<Work, { kind: 'driver' }>>
type OpData = Omit<Op, 'fn'> & {
  readonly fn: FunctionData | Exclude<Op['fn'], AnyFunction> | undefined
  readonly named: boolean
}

interface PipelineData {
  readonly source: SourceData
  readonly ops: readonly OpData[]
}

export interface TaskData {
  readonly pipeline: PipelineData
  readonly work: WorkData
  readonly info: TaskInfo
}

/** Fields of sources and work, by what stands in them: a new field of such a type must be named here to compile. */
type FieldsOf<N, T> = N extends unknown
  ? { [F in keyof N]-?: [NonNullable<N[F]>] extends [T] ? F : never }[keyof N]
  : never
type AnyNode = Source | Work
type FieldKind = 'pipeline' | 'pipelines' | 'function' | 'aggregator' | 'partitioner'
const pipelineFields: Record<FieldsOf<AnyNode, Pipeline>, 'pipeline'> = {
  input: 'pipeline',
  left: 'pipeline',
  right: 'pipeline',
}
const pipelinesFields: Record<FieldsOf<AnyNode, readonly Pipeline[]>, 'pipelines'> = { inputs: 'pipelines' }
type DriverFields = FieldsOf<Extract<AnyNode, { kind: 'driver' }>, AnyFunction>
const functionFields: Record<Exclude<FieldsOf<AnyNode, AnyFunction>, DriverFields>, 'function'> = {
  fn: 'function',
  f: 'function',
  compare: 'function',
}
const aggregatorFields: Record<FieldsOf<AnyNode, Aggregator>, 'aggregator'> = { aggregator: 'aggregator' }
const partitionerFields: Record<FieldsOf<AnyNode, Partitioner>, 'partitioner'> = { partitioner: 'partitioner' }
const fields = new Map<string, FieldKind>(
  Object.entries({
    ...pipelineFields,
    ...pipelinesFields,
    ...functionFields,
    ...aggregatorFields,
    ...partitionerFields,
  }),
)

/** What the description of a task may ask the driver. */
export interface DescribeHost {
  /** Whether workers have this function, as the driver has it. */
  knows(name: string): boolean
  isOnDisk(path: string): boolean
  storedBlock(id: string): StoredBlock | undefined
  storedShuffleBlocks(shuffle: string, partition: number): Iterable<StoredBlock>
}

/** Data that a task reads. */
interface TaskInputs {
  /** Records at hand, by number. */
  readonly records: readonly (readonly unknown[])[]
  /** Blocks by id. */
  readonly blocks: ReadonlyMap<string, StoredBlock>
  /** Blocks of shuffle partitions by {@link shuffleKey}. */
  readonly shuffles: ReadonlyMap<string, readonly StoredBlock[]>
}

export function shuffleKey(shuffle: string, partition: number): string {
  return `${shuffle}/${String(partition)}`
}

/** A task as data with what it reads; or why it must run in the driver. */
export type Described =
  | { readonly data: TaskData; readonly inputs: TaskInputs; readonly driverOnly?: never }
  | { readonly driverOnly: string }

export function describeTask(task: Task, host: DescribeHost): Described {
  try {
    return new TaskDescriber(host, task.info.operator).task(task)
  } catch (error) {
    if (error instanceof DriverOnly) return { driverOnly: error.message }
    throw error
  }
}

class TaskDescriber {
  readonly #host: DescribeHost
  readonly #operator: string
  readonly #functions: FunctionDescriber
  readonly #records: (readonly unknown[])[] = []
  readonly #blocks = new Map<string, StoredBlock>()
  readonly #shuffles = new Map<string, readonly StoredBlock[]>()

  constructor(host: DescribeHost, operator: string) {
    this.#host = host
    this.#operator = operator
    this.#functions = new FunctionDescriber((name) => host.knows(name))
  }

  task({ pipeline, work, info }: Task): Described {
    // What stays in the driver for its kind is found before any block is read.
    if (work.kind === 'driver') throw new DriverOnly(`${this.#operator}: its work belongs to the driver`)
    const data = { work: this.#node(work, this.#operator) as WorkData, pipeline: this.#pipeline(pipeline), info }
    return { data, inputs: { records: this.#records, blocks: this.#blocks, shuffles: this.#shuffles } }
  }

  #pipeline({ source, ops }: Pipeline): PipelineData {
    return { ops: ops.map((op) => this.#op(op)), source: this.#source(source) }
  }

  #op(op: Op): OpData {
    if (typeof op.fn !== 'function') return { ...op, fn: op.fn, named: false }
    return { ...op, fn: this.#functions.fn(op.fn, op.id), named: true }
  }

  #source(source: Source): SourceData {
    switch (source.kind) {
      case 'driver':
        throw new DriverOnly(`${this.#operator}: its source belongs to the driver`)
      case 'records':
        return { kind: 'input', input: this.#records.push(source.records) - 1 }
      case 'text':
      case 'bytes':
        if (!this.#host.isOnDisk(source.path)) throw new DriverOnly(`${source.path} is not on this machine's disk`)
        return source
      case 'shuffle':
        this.#shuffle(source.shuffle, source.partition)
        return source
      case 'block':
        this.#block(source.id)
        return source
      case 'cached':
        // What is kept already needs not be described, or its operators might hold the task in the driver.
        if (this.#block(source.block)) return { kind: 'block', id: source.block }
        break
      case 'unpack':
        this.#block(source.block)
        break
      default:
    }
    return this.#node(source, 'operator' in source ? source.operator : this.#operator) as SourceData
  }

  #block(id: string): boolean {
    if (this.#blocks.has(id)) return true
    const block = this.#host.storedBlock(id)
    if (block !== undefined) this.#blocks.set(id, watched(block))
    return block !== undefined
  }

  #shuffle(shuffle: string, partition: number): void {
    const key = shuffleKey(shuffle, partition)
    if (this.#shuffles.has(key)) return
    this.#shuffles.set(key, Array.from(this.#host.storedShuffleBlocks(shuffle, partition), watched))
  }

  #node(node: object, operator: string): object {
    return Object.fromEntries(
      Object.entries(node).map(([field, value]) => [field, this.#field(field, value as unknown, operator)]),
    )
  }

  #field(field: string, value: unknown, operator: string): unknown {
    if (value === undefined) return undefined
    switch (fields.get(field)) {
      case 'pipeline':
        return this.#pipeline(value as Pipeline)
      case 'pipelines':
        return (value as readonly Pipeline[]).map((each) => this.#pipeline(each))
      case 'function':
        return this.#functions.fn(value as AnyFunction, operator)
      case 'aggregator':
        return this.#functions.aggregator(value as Aggregator, operator)
      case 'partitioner':
        return this.#functions.partitioner(value as Partitioner, operator)
      case undefined:
        return value
    }
  }
}

// It may be that the task is found to stay in the driver: then nobody awaits what was begun to be read.
function watched(block: StoredBlock): StoredBlock {
  if (block.records instanceof Promise) block.records.catch(() => undefined)
  return block
}

/** Where the chunks of each input stand among those that go with the task. */
interface InputTable {
  readonly records: readonly ChunkRange[]
  readonly blocks: readonly (readonly [id: string, range: ChunkRange])[]
  readonly shuffles: readonly (readonly [key: string, range: ChunkRange])[]
}

/** From the first chunk up to, not including, the last. */
export type ChunkRange = readonly [from: number, to: number]

/** The head of a task's message; its chunks follow. */
export interface TaskHeader {
  readonly task: TaskData
  readonly inputs: InputTable
  readonly spillRecords: number
}

/** Throws `UNSERIALIZABLE` where an argument of an operator is no plain data. */
export function encodeHeader(header: TaskHeader): Uint8Array<ArrayBuffer> {
  return encodeRecords([header]) as Uint8Array<ArrayBuffer>
}

export function decodeHeader(bytes: Uint8Array): TaskHeader {
  return decodeRecords(bytes)[0] as TaskHeader
}

/** Makes tasks of data. One for each thread: it keeps the functions that it makes. */
export class TaskRestorer {
  readonly #functions = new FunctionRestorer((data) => Buffer.from(encodeRecords([data])).toString('latin1'))

  /** Throws `TASK_NOT_REGISTERED` for a function that is unknown here. */
  task({ pipeline, work, info }: TaskData, recordsOf: (input: number) => readonly unknown[]): Task {
    return {
      pipeline: this.#pipeline(pipeline, recordsOf),
      work: this.#node(work, recordsOf) as unknown as Work,
      info,
    }
  }

  #pipeline({ source, ops }: PipelineData, recordsOf: (input: number) => readonly unknown[]): Pipeline {
    return {
      source:
        source.kind === 'input'
          ? { kind: 'records', records: recordsOf(source.input) }
          : (this.#node(source, recordsOf) as unknown as Source),
      ops: ops.map(({ named, ...op }) =>
        named ? { ...op, fn: this.#functions.fn(op.fn as FunctionData) } : (op as Op),
      ),
    }
  }

  #node(node: object, recordsOf: (input: number) => readonly unknown[]): object {
    const entries = Object.entries(node).map(([field, value]) => [
      field,
      this.#field(field, value as unknown, recordsOf),
    ])
    return Object.fromEntries(entries) as object
  }

  #field(field: string, value: unknown, recordsOf: (input: number) => readonly unknown[]): unknown {
    if (value === undefined) return undefined
    switch (fields.get(field)) {
      case 'pipeline':
        return this.#pipeline(value as PipelineData, recordsOf)
      case 'pipelines':
        return (value as readonly PipelineData[]).map((each) => this.#pipeline(each, recordsOf))
      case 'function':
        return this.#functions.fn(value as FunctionData)
      case 'aggregator':
        return this.#functions.aggregator(value as AggregatorData)
      case 'partitioner':
        return this.#functions.partitioner(value as PartitionerData)
      case undefined:
        return value
    }
  }
}
