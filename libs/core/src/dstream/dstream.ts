/** The DStream as users see it: an RDD for every tick. */
import type { KeyOf, OpOptions, Pair, Rec, ShuffleOptions, ValueOf } from '../rdd/types.js'
import type { Rdd } from '../rdd/rdd.js'
import type { OutputOptions, Sink } from '../sink/sink.js'
import type { BatchTime, Duration } from '../time/duration.js'

export interface DStream<out T> {
  readonly '~sluice': 'dstream/1'
  /** How often this stream has a batch. */
  readonly slideDuration: Duration

  map<U extends Rec>(f: (record: T) => U, options?: OpOptions): DStream<U>
  flatMap<U extends Rec>(f: (record: T) => Iterable<U>, options?: OpOptions): DStream<U>
  filter<U extends T>(f: (record: T) => record is U, options?: OpOptions): DStream<U>
  filter(f: (record: T) => boolean, options?: OpOptions): DStream<T>
  reduceByKey<K, V>(this: DStream<Pair<K, V>>, f: (a: V, b: V) => V, options?: ShuffleOptions): DStream<Pair<K, V>>
  updateStateByKey<S>(
    this: DStream<Pair<unknown, unknown>>,
    f: (values: readonly ValueOf<T>[], state: Readonly<S> | undefined) => S | undefined,
    options?: ShuffleOptions,
  ): DStream<Pair<KeyOf<T>, S>>

  foreachRDD(f: (rdd: Rdd<T>, time: BatchTime) => void | Promise<void>, options?: OpOptions): void
  print(options?: OpOptions & { readonly limit?: number | undefined }): void
  saveAsTextFiles(
    prefix: string,
    suffix?: string,
    options?: OpOptions & { readonly skipEmpty?: boolean | undefined },
  ): void
  to(sink: Sink<T>, options?: OutputOptions): void
}
