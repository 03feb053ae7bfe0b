/** The methods of a stream: each checks its arguments and adds a node or an output to the graph. */
import { requireArgument } from '../errors.js'
import { aggregated, NarrowNode } from '../rdd/lineage.js'
import type { AnyFunction } from '../rdd/functions.js'
import type { Op, OpKind } from '../rdd/op.js'
import { hashPartitioner } from '../rdd/partitioner.js'
import type { Rdd } from '../rdd/rdd.js'
import type { KeyOf, OpOptions, Pair, Partitioner, Rec, ShuffleOptions, ValueOf } from '../rdd/types.js'
import type { OutputOptions, Sink } from '../sink/sink.js'
import { textFileSink } from '../sink/text-file-sink.js'
import type { UpdateFunction } from '../state/update-state.js'
import type { BatchTime, Duration } from '../time/duration.js'
import type { DStream } from './dstream.js'
import { foreachOutput, printOutput, sinkOutput } from './outputs.js'
import { UpdateStateStream } from './state-stream.js'
import { DerivedStream, type StreamNode } from './stream-node.js'
import type { FileSystems } from '../storage/paths.js'

/** What outputs need of the outside. */
export interface StreamEnvironment {
  readonly fileSystems: FileSystems
  stdout(text: string): void
}

export class DStreamImpl<out T> implements DStream<T> {
  readonly '~sluice' = 'dstream/1'
  readonly node: StreamNode
  readonly environment: StreamEnvironment

  constructor(node: StreamNode, environment: StreamEnvironment) {
    this.node = node
    this.environment = environment
  }

  get slideDuration(): Duration {
    return this.node.slideDuration
  }

  map<U extends Rec>(f: (record: T) => U, options?: OpOptions): DStream<U> {
    return this.#narrow('map', f, options)
  }

  flatMap<U extends Rec>(f: (record: T) => Iterable<U>, options?: OpOptions): DStream<U> {
    return this.#narrow('flatMap', f, options)
  }

  filter(f: (record: T) => boolean, options?: OpOptions): DStream<never> {
    return this.#narrow('filter', f, options, true)
  }

  reduceByKey<K, V>(this: DStream<Pair<K, V>>, f: (a: V, b: V) => V, options?: ShuffleOptions): DStream<Pair<K, V>> {
    const me = self(this)
    const id = me.#opId('reduceByKey', f, options)
    const partitioner = me.#partitioner(options)
    const aggregator = { create: undefined, add: f, merge: f }
    return me.#derived(id, (rdd) => aggregated(rdd, id, aggregator, partitioner, true))
  }

  updateStateByKey<S>(
    this: DStream<Pair<unknown, unknown>>,
    f: (values: readonly ValueOf<T>[], state: Readonly<S> | undefined) => S | undefined,
    options?: ShuffleOptions,
  ): DStream<Pair<KeyOf<T>, S>> {
    const me = self(this)
    const id = me.#opId('updateStateByKey', f, options)
    return me.#of(new UpdateStateStream(me.node, id, f as UpdateFunction, me.#partitioner(options)))
  }

  foreachRDD(f: (rdd: Rdd<T>, time: BatchTime) => void | Promise<void>, options?: OpOptions): void {
    const id = this.#opId('foreachRDD', f, options)
    this.node.graph.addOutput(foreachOutput(this.node, id, f as Parameters<typeof foreachOutput>[2]))
  }

  print(options?: OpOptions & { readonly limit?: number | undefined }): void {
    const limit = options?.limit ?? 10
    const id = this.node.graph.opId('print', options)
    requireArgument(
      Number.isSafeInteger(limit) && limit >= 0,
      id,
      `limit must be a whole number of at least 0, not ${String(limit)}`,
    )
    this.node.graph.addOutput(
      printOutput(this.node, id, limit, (text) => {
        this.environment.stdout(text)
      }),
    )
  }

  saveAsTextFiles(
    prefix: string,
    suffix?: string,
    options?: OpOptions & { readonly skipEmpty?: boolean | undefined },
  ): void {
    const { fileSystem, path } = this.environment.fileSystems.resolve(prefix)
    const sink = textFileSink<T>({ prefix: path, suffix, skipEmpty: options?.skipEmpty, fileSystem })
    this.#addSink('saveAsTextFiles', sink, options)
  }

  to(sink: Sink<T>, options?: OutputOptions): void {
    this.#addSink('to', sink, options)
  }

  #addSink(kind: string, sink: Sink<T>, options: OutputOptions | undefined): void {
    const { graph } = this.node
    const id = graph.opId(kind, options)
    graph.addOutput(sinkOutput(this.node, id, sink as Sink<unknown>, options))
  }

  #narrow<U>(kind: OpKind, fn: AnyFunction, options: OpOptions | undefined, keepsPartitioner = false): DStream<U> {
    const op: Op = { kind, id: this.#opId(kind, fn, options), fn }
    return this.#derived(op.id, (rdd) => new NarrowNode(rdd, op, keepsPartitioner))
  }

  #opId(kind: string, fn: AnyFunction, options: OpOptions | undefined): string {
    requireArgument(typeof fn === 'function', kind, 'the argument must be a function')
    return this.node.graph.opId(kind, options)
  }

  #partitioner(options: ShuffleOptions | undefined): Partitioner {
    return options?.partitioner ?? hashPartitioner(options?.partitions ?? this.node.graph.owner.parallelism)
  }

  #derived<U>(id: string, derive: ConstructorParameters<typeof DerivedStream>[2]): DStream<U> {
    return this.#of(new DerivedStream(this.node, id, derive))
  }

  #of<U>(node: StreamNode): DStream<U> {
    return new DStreamImpl<U>(node, this.environment)
  }
}

/** The implementation behind the interface. There is one only. */
export function self<T>(stream: DStream<T>): DStreamImpl<T> {
  return stream as DStreamImpl<T>
}
