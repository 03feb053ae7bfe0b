/** Types of signatures.md, a test for each line: `tsc` checks them, and running shows that what they promise is there. */
import { expectTypeOf, test } from 'vitest'
import { StreamingContext } from '../context/streaming-context.js'
import { pair, type KeyOf, type Pair, type Rec, type ValueOf } from '../rdd/types.js'
import type { Sink } from '../sink/sink.js'
import type { State } from '../state/map-with-state.js'
import { ManualClock } from '../testing.js'
import { seconds } from '../time/duration.js'
import type { DStream, MapWithStateDStream } from './dstream.js'

interface Order {
  readonly id: number
  readonly customer: string
  readonly total: number
}
interface Click {
  readonly kind: 'click'
}
interface View {
  readonly kind: 'view'
  readonly url: string
}

const ssc = new StreamingContext({ batchInterval: seconds(1), clock: new ManualClock(), log: 'silent', signals: false })
const words = ssc.queueStream<string>([])
const orders = ssc.queueStream<Order>([])
const pairs = ssc.queueStream<Pair<string, number>>([])
const window = seconds(10)

test('Pair, KeyOf, ValueOf and Rec', () => {
  expectTypeOf<Pair<string, number>>().toEqualTypeOf<readonly [key: string, value: number]>()
  expectTypeOf<KeyOf<readonly [string, number]>>().toEqualTypeOf<string>()
  expectTypeOf<ValueOf<[string, number]>>().toEqualTypeOf<number>()
  expectTypeOf<KeyOf<string>>().toEqualTypeOf<never>()
  expectTypeOf<null>().toExtend<Rec>()
  expectTypeOf<Order>().toExtend<Rec>()
})

test('a DStream is covariant', () => {
  expectTypeOf<DStream<'a'>>().toExtend<DStream<string>>()
  expectTypeOf<DStream<string>>().not.toExtend<DStream<'a'>>()
})

test('map: an array of two is a pair, without as const', () => {
  expectTypeOf(words.map((word) => [word, 1])).toEqualTypeOf<DStream<[string, number]>>()
  expectTypeOf(words.map((word) => word.length)).toEqualTypeOf<DStream<number>>()
  expectTypeOf(orders.map(({ customer, total }) => ({ customer, total }))).toEqualTypeOf<
    DStream<{ customer: string; total: number }>
  >()
  expectTypeOf(pairs.mapValues((n) => [n, String(n)])).toEqualTypeOf<DStream<Pair<string, [number, string]>>>()
  expectTypeOf(words.map((word) => JSON.parse(word) as unknown as Order)).toEqualTypeOf<DStream<Order>>()
})

test('flatMap: any iterable', () => {
  expectTypeOf(words.flatMap((word) => word.split(' '))).toEqualTypeOf<DStream<string>>()
  expectTypeOf(words.flatMap((word) => new Set([word.length]))).toEqualTypeOf<DStream<number>>()
  expectTypeOf(pairs.flatMapValues((n) => [n, n])).toEqualTypeOf<DStream<Pair<string, number>>>()
})

test('filter: type guards narrow, also inferred ones; other predicates keep the type', () => {
  const events = ssc.queueStream<Click | View>([])
  expectTypeOf(events.filter((event) => event.kind === 'view')).toEqualTypeOf<DStream<View>>()
  expectTypeOf(events.filter((event): event is Click => event.kind === 'click')).toEqualTypeOf<DStream<Click>>()
  expectTypeOf(orders.filter((order) => order.total > 5)).toEqualTypeOf<DStream<Order>>()
})

test('mapAsync, mapPartitions, glom, count', () => {
  expectTypeOf(words.mapAsync((word) => Promise.resolve(word.length))).toEqualTypeOf<DStream<number>>()
  expectTypeOf(words.mapPartitions((records) => [records.length])).toEqualTypeOf<DStream<number>>()
  expectTypeOf(words.glom()).toEqualTypeOf<DStream<string[]>>()
  expectTypeOf(words.count()).toEqualTypeOf<DStream<number>>()
  expectTypeOf(words.countByValue()).toEqualTypeOf<DStream<Pair<string, number>>>()
})

test('union: of both types', () => {
  expectTypeOf(words.union(orders)).toEqualTypeOf<DStream<string | Order>>()
  expectTypeOf(ssc.union(words, orders, pairs)).toEqualTypeOf<DStream<string | Order | Pair<string, number>>>()
})

test('reduceByKey: key and value are inferred from the stream', () => {
  const counts = words.map((word) => [word, 1]).reduceByKey((a, b) => a + b)
  expectTypeOf(counts).toEqualTypeOf<DStream<Pair<string, number>>>()
  const byCustomer = orders.map((order) => [order.customer, order]).reduceByKey((a, b) => (a.total > b.total ? a : b))
  expectTypeOf(byCustomer).toEqualTypeOf<DStream<Pair<string, Order>>>()
  // @ts-expect-error -- words are no pairs
  void (() => words.reduceByKey((a: number, b: number) => a + b))
})

test('join and its kin', () => {
  const names = ssc.queueStream<Pair<string, Order>>([])
  expectTypeOf(pairs.join(names)).toEqualTypeOf<DStream<Pair<string, readonly [number, Order]>>>()
  expectTypeOf(pairs.leftOuterJoin(names)).toEqualTypeOf<DStream<Pair<string, readonly [number, Order | undefined]>>>()
  expectTypeOf(pairs.rightOuterJoin(names)).toEqualTypeOf<DStream<Pair<string, readonly [number | undefined, Order]>>>()
  expectTypeOf(pairs.fullOuterJoin(names)).toEqualTypeOf<
    DStream<Pair<string, readonly [number | undefined, Order | undefined]>>
  >()
  expectTypeOf(pairs.cogroup(names)).toEqualTypeOf<DStream<Pair<string, readonly [number[], Order[]]>>>()
  expectTypeOf(pairs.groupByKey()).toEqualTypeOf<DStream<Pair<string, number[]>>>()
})

test('reduceByKeyAndWindow: functions are typed by the stream', () => {
  const sums = pairs.reduceByKeyAndWindow((a, b) => a + b, {
    window,
    slide: seconds(2),
    inverse: (a, b) => a - b,
    keep: (key, value) => key.length + value > 0,
  })
  expectTypeOf(sums).toEqualTypeOf<DStream<Pair<string, number>>>()
  expectTypeOf(pairs.groupByKeyAndWindow({ window })).toEqualTypeOf<DStream<Pair<string, number[]>>>()
  expectTypeOf(words.countByValueAndWindow({ window })).toEqualTypeOf<DStream<Pair<string, number>>>()
  expectTypeOf(words.countByWindow({ window })).toEqualTypeOf<DStream<number>>()
  expectTypeOf(words.reduceByWindow((a, b) => a + b, { window })).toEqualTypeOf<DStream<string>>()
  expectTypeOf(orders.window(window)).toEqualTypeOf<DStream<Order>>()
  // @ts-expect-error -- a window has a unit
  void (() => pairs.reduceByKeyAndWindow((a, b) => a + b, { window: 5 }))
})

test('updateStateByKey: the state is the only type parameter', () => {
  const sums = pairs.updateStateByKey<number>((values, sum = 0) => values.reduce((a, b) => a + b, sum))
  expectTypeOf(sums).toEqualTypeOf<DStream<Pair<string, number>>>()
  const last = orders
    .map((order) => [order.id, order])
    .updateStateByKey<{ order: Order }>((values, state) => {
      expectTypeOf(values).toEqualTypeOf<readonly Order[]>()
      expectTypeOf(state).toEqualTypeOf<Readonly<{ order: Order }> | undefined>()
      return state
    })
  expectTypeOf(last).toEqualTypeOf<DStream<Pair<number, { order: Order }>>>()
})

test('combineByKey: the combiner is the only type parameter', () => {
  const sets = pairs.combineByKey<Set<number>>({
    create: (value) => new Set([value]),
    add: (set, value) => set.add(value),
    merge: (a, b) => new Set([...a, ...b]),
  })
  expectTypeOf(sets).toEqualTypeOf<DStream<Pair<string, Set<number>>>>()
})

test('mapWithState: the user annotates the state; undefined is left out of the result', () => {
  const mapped = pairs.mapWithState((key, value, state: State<number>) => {
    expectTypeOf(key).toEqualTypeOf<string>()
    expectTypeOf(value).toEqualTypeOf<number | undefined>()
    return value === undefined ? undefined : [key, state.exists()]
  })
  expectTypeOf(mapped).toEqualTypeOf<MapWithStateDStream<string, number, [string, boolean]>>()
  expectTypeOf(mapped.stateSnapshots()).toEqualTypeOf<DStream<Pair<string, number>>>()
  pairs.mapWithState((_key, _value, state: State<Order>) => state.get().total, {
    initialState: [['a', { id: 1, customer: 'a', total: 2 }]],
    timeout: seconds(5),
  })
  pairs.mapWithState((_key, _value, state: State<Order>) => state.get().total, {
    // @ts-expect-error -- a state of another type
    initialState: [['a', 5]],
  })
})

test('transform: side data are typed by what reads them', () => {
  const allowed = words.transform(
    (rdd, time, list) => {
      expectTypeOf(time).toEqualTypeOf<number>()
      expectTypeOf(list).toEqualTypeOf<Set<string>>()
      return rdd.filter((word) => !list.has(word))
    },
    { sideData: () => Promise.resolve(new Set(['a'])) },
  )
  expectTypeOf(allowed).toEqualTypeOf<DStream<string>>()
  expectTypeOf(words.transform((rdd) => rdd.map((word) => [word, 1]))).toEqualTypeOf<DStream<[string, number]>>()
  expectTypeOf(words.transformWith(pairs, (left, right) => left.map((word) => [word, right.partitions]))).toEqualTypeOf<
    DStream<[string, number]>
  >()
})

test('to: the sink takes the records of the stream, or more', () => {
  const sink = <T>(): Sink<T> => ({
    '~sluice': 'sink/1',
    name: 'none',
    target: 'nowhere',
    guarantee: { level: 'at-least-once', condition: 'it is a test' },
    writePartition: () => Promise.resolve(),
  })
  words.to(sink<string>(), { name: 'words' })
  words.to(sink<unknown>(), { name: 'anything' })
  // A sink that is made in place is typed by the stream.
  const keyedSink = <T>(_options: { key: (record: T) => string }): Sink<T> => sink<T>()
  orders.to(keyedSink({ key: (order) => order.customer }), { name: 'orders' })
  const refused = (): void => {
    // @ts-expect-error -- orders are no strings
    orders.to(sink<string>())
  }
  expectTypeOf(refused).returns.toBeVoid()
})

test('pair: for mappers that are declared elsewhere', () => {
  const toPair = (word: string) => pair(word, 1)
  expectTypeOf(toPair).returns.toEqualTypeOf<[string, number]>()
  expectTypeOf(words.map(toPair).reduceByKey((a, b) => a + b)).toEqualTypeOf<DStream<Pair<string, number>>>()
})

test('generic helpers keep their types', () => {
  const countBy = <T, K extends Rec>(stream: DStream<T>, key: (record: T) => K): DStream<Pair<K, number>> =>
    stream.map((record): Pair<K, number> => [key(record), 1]).reduceByKey((a, b) => a + b)
  expectTypeOf(countBy(orders, (order) => order.customer)).toEqualTypeOf<DStream<Pair<string, number>>>()
})

test('every stream is a DStream<unknown>, that of mapWithState too', () => {
  const mapped = pairs.mapWithState((key, value, _state: State<number>) => [key, value ?? 0])
  expectTypeOf(mapped).toExtend<DStream<unknown>>()
  expectTypeOf(mapped).toExtend<DStream<Pair<string, number>>>()
  expectTypeOf(ssc.union(mapped, words)).toEqualTypeOf<DStream<[string, number] | string>>()
  expectTypeOf(mapped.reduceByKey((a, b) => a + b)).toEqualTypeOf<DStream<Pair<string, number>>>()
})

test('levels and remembering keep the kind of stream', () => {
  const mapped = pairs.mapWithState((key, _value, _state: State<number>) => key)
  expectTypeOf(mapped.cache().remember(seconds(5)).persist('disk')).toEqualTypeOf<
    MapWithStateDStream<string, number, string>
  >()
})
