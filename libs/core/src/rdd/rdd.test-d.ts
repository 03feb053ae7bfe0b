/** What is inferred where nothing is annotated: one line of the signatures each. Compiled with the tests, never run. */
import { expectTypeOf } from 'vitest'
import type { SluiceContext } from '../context/sluice-context.js'
import type { Broadcast } from './broadcast.js'
import type { Rdd } from './rdd.js'
import { pair, type KeyOf, type Pair, type ValueOf } from './types.js'

declare const context: SluiceContext
declare const words: Rdd<string>
declare const counts: Rdd<Pair<string, number>>
declare const mutable: Rdd<[string, number]>
declare const mixed: Rdd<string | number | undefined>
declare const json: Rdd<ReturnType<typeof JSON.parse>>
interface User {
  id: number
  name: string
}
declare const users: Rdd<User>

// map: a pair is a tuple without `as const`, and literals widen
expectTypeOf(words.map((word) => [word, 1])).toEqualTypeOf<Rdd<[string, number]>>()
expectTypeOf(words.map((word) => ({ word, n: 1 }))).toEqualTypeOf<Rdd<{ word: string; n: number }>>()
expectTypeOf(words.map(() => undefined)).toEqualTypeOf<Rdd<undefined>>()
expectTypeOf(words.map((word) => (word === '' ? null : word.length))).toEqualTypeOf<Rdd<number | null>>()
expectTypeOf(words.flatMap((word) => word.split(' '))).toEqualTypeOf<Rdd<string>>()
expectTypeOf(words.flatMap((word) => [[word, 1]])).toExtend<Rdd<Pair<string, number>>>()
expectTypeOf(words.flatMap((word) => new Set([word.length]))).toEqualTypeOf<Rdd<number>>()

// pair(): for mappers that are declared elsewhere
const toPair = (word: string): [string, number] => pair(word, word.length)
expectTypeOf(words.map(toPair).reduceByKey((a, b) => a + b)).toEqualTypeOf<Rdd<Pair<string, number>>>()
expectTypeOf<KeyOf<[string, number]>>().toEqualTypeOf<string>()
expectTypeOf<ValueOf<Pair<string, number>>>().toEqualTypeOf<number>()
expectTypeOf<KeyOf<string>>().toEqualTypeOf<never>()

// filter: predicates narrow, also inferred ones; others keep the type
expectTypeOf(mixed.filter((x): x is string => typeof x === 'string')).toEqualTypeOf<Rdd<string>>()
expectTypeOf(mixed.filter((x) => x !== undefined)).toEqualTypeOf<Rdd<string | number>>()
expectTypeOf(words.filter((word) => word.length > 3)).toEqualTypeOf<Rdd<string>>()

// union
expectTypeOf(words.union(context.range(0, 1))).toEqualTypeOf<Rdd<string | number>>()
expectTypeOf(context.union(words, words)).toEqualTypeOf<Rdd<string>>()

// By key: inferred from `this`, on literals, mutable and readonly pairs, interfaces as keys and `any`
expectTypeOf(words.map((word) => [word, 1]).reduceByKey((a, b) => a + b)).toEqualTypeOf<Rdd<Pair<string, number>>>()
expectTypeOf(mutable.reduceByKey((a, b) => a + b)).toEqualTypeOf<Rdd<Pair<string, number>>>()
expectTypeOf(users.map((user) => [user, 1]).reduceByKey((a, b) => a + b)).toEqualTypeOf<Rdd<Pair<User, number>>>()
expectTypeOf(json.map((record) => [record.key as string, 1]).reduceByKey((a, b) => a + b)).toEqualTypeOf<
  Rdd<Pair<string, number>>
>()
expectTypeOf(counts.foldByKey(0, (a, b) => a + b)).toEqualTypeOf<Rdd<Pair<string, number>>>()
expectTypeOf(counts.groupByKey()).toEqualTypeOf<Rdd<Pair<string, number[]>>>()
expectTypeOf(users.groupBy((user) => user.name)).toEqualTypeOf<Rdd<Pair<string, User[]>>>()
expectTypeOf(users.keyBy((user) => user.id)).toEqualTypeOf<Rdd<Pair<number, User>>>()
expectTypeOf(users.keyBy((user) => [user.id, user.name])).toEqualTypeOf<Rdd<Pair<[number, string], User>>>()
expectTypeOf(counts.mapValues((n) => String(n))).toEqualTypeOf<Rdd<Pair<string, string>>>()
expectTypeOf(counts.mapValues((n) => [n, 1])).toEqualTypeOf<Rdd<Pair<string, [number, number]>>>()
expectTypeOf(counts.flatMapValues((n) => [n, n])).toEqualTypeOf<Rdd<Pair<string, number>>>()
expectTypeOf(counts.keys()).toEqualTypeOf<Rdd<string>>()
expectTypeOf(counts.values()).toEqualTypeOf<Rdd<number>>()

// aggregateByKey and combineByKey: one type parameter, which can be given
const average = counts.aggregateByKey(
  { sum: 0, n: 0 },
  (acc, value) => ({ sum: acc.sum + value, n: acc.n + 1 }),
  (a) => a,
)
expectTypeOf(average).toEqualTypeOf<Rdd<Pair<string, { sum: number; n: number }>>>()
expectTypeOf(
  counts.aggregateByKey(
    0,
    (a, b) => a + b,
    (a, b) => a + b,
  ),
).toEqualTypeOf<Rdd<Pair<string, number>>>()
expectTypeOf(
  counts.combineByKey<Set<number>>({
    create: (value) => new Set([value]),
    add: (set, value) => set.add(value),
    merge: (a, b) => new Set([...a, ...b]),
  }),
).toEqualTypeOf<Rdd<Pair<string, Set<number>>>>()

// Joins
declare const names: Rdd<Pair<string, User>>
expectTypeOf(counts.join(names)).toEqualTypeOf<Rdd<Pair<string, readonly [number, User]>>>()
expectTypeOf(counts.leftOuterJoin(names)).toEqualTypeOf<Rdd<Pair<string, readonly [number, User | undefined]>>>()
expectTypeOf(counts.rightOuterJoin(names)).toEqualTypeOf<Rdd<Pair<string, readonly [number | undefined, User]>>>()
expectTypeOf(counts.fullOuterJoin(names)).toEqualTypeOf<
  Rdd<Pair<string, readonly [number | undefined, User | undefined]>>
>()
expectTypeOf(counts.cogroup(names)).toEqualTypeOf<Rdd<Pair<string, readonly [number[], User[]]>>>()
expectTypeOf(counts.subtractByKey(names)).toEqualTypeOf<Rdd<Pair<string, number>>>()

// Partitions and order
expectTypeOf(words.glom()).toEqualTypeOf<Rdd<string[]>>()
expectTypeOf(words.mapPartitions((records, info) => [[info.partition, records.length]])).toExtend<
  Rdd<Pair<number, number>>
>()
expectTypeOf(words.zip(counts)).toEqualTypeOf<Rdd<Pair<string, Pair<string, number>>>>()
expectTypeOf(words.cartesian(users)).toEqualTypeOf<Rdd<Pair<string, User>>>()
expectTypeOf(words.zipWithIndex()).toEqualTypeOf<Rdd<Pair<string, number>>>()
expectTypeOf(users.sortBy((user) => [user.name, user.id])).toEqualTypeOf<Rdd<User>>()
expectTypeOf(counts.sortByKey({ descending: true })).toEqualTypeOf<Rdd<Pair<string, number>>>()
expectTypeOf(users.mapAsync(async (user) => Promise.resolve(user.id))).toEqualTypeOf<Rdd<number>>()
expectTypeOf(words.randomSplit([1, 2])).toEqualTypeOf<Rdd<string>[]>()
expectTypeOf(words.cache()).toEqualTypeOf<Rdd<string>>()

// Actions
expectTypeOf(counts.collectAsMap()).resolves.toEqualTypeOf<Map<string, number>>()
expectTypeOf(counts.countByKey()).resolves.toEqualTypeOf<Map<string, number>>()
expectTypeOf(words.countByValue()).resolves.toEqualTypeOf<Map<string, number>>()
expectTypeOf(counts.lookup('a')).resolves.toEqualTypeOf<number[]>()
expectTypeOf(counts.values().sum()).resolves.toEqualTypeOf<number>()
expectTypeOf(
  users.aggregate(
    0,
    (sum, user) => sum + user.id,
    (a, b) => a + b,
  ),
).resolves.toEqualTypeOf<number>()
expectTypeOf(context.parallelize([1, 2])).toEqualTypeOf<Rdd<number>>()
expectTypeOf(context.broadcast({ a: 1 })).toEqualTypeOf<Broadcast<{ a: number }>>()

// Rdd is covariant: an RDD of users is one of what users are.
expectTypeOf(users).toExtend<Rdd<{ id: number }>>()

// What must not compile
// @ts-expect-error -- no pairs
void words.reduceByKey((a: string) => a)
// @ts-expect-error -- no numbers
void words.sum()
// @ts-expect-error -- keys of another type
void counts.lookup(1)
// @ts-expect-error -- `f` gives another type than the values
void counts.reduceByKey((a, b) => `${String(a)}${String(b)}`)
// @ts-expect-error -- keys of different types
void counts.join(users.keyBy((user) => user.id))
// @ts-expect-error -- partitions is a number
void counts.groupByKey({ partitions: '3' })
