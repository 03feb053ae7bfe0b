/** Every example of operators.md, in its order. */
import {
  hashPartitioner,
  minutes,
  seconds,
  type BatchTime,
  type DStream,
  type Pair,
  type Sink,
  type State,
  type StreamingContext,
} from '@sluice/core'

/** What the examples use and do not define. */
export interface Outside {
  readonly ssc: StreamingContext
  look(word: string): Promise<string>
  readList(path: string): string[]
  save(words: readonly string[]): Promise<void>
  redisSink(options: { readonly key: string }): Sink<string>
}

/** Declares all of them; gives the streams by the operator they show. */
export function operators({ ssc, look, readList, save, redisSink }: Outside): Record<string, DStream<unknown>> {
  const lines = ssc.queueStream([['to be or', 'not to be'], ['be']])
  const words = lines.flatMap((line) => line.split(' '))
  const pairs = words.map((word) => [word, 1])
  const names = ssc.queueStream<Pair<string, string>>([[['be', 'verb']]])
  const allowed = words.transform((rdd, _time, blocked) => rdd.filter((word) => !blocked.includes(word)), {
    sideData: () => readList('blocked.txt'),
  })
  const lastFiveMinutes = pairs.reduceByKeyAndWindow((a, b) => a + b, {
    window: minutes(5),
    slide: seconds(10),
    inverse: (a, b) => a - b, // optional: a result costs what enters and leaves, not what is inside
    keep: (_word, count) => count > 1, // optional: leaves keys out of the result; they stay in the window
  })
  const counted = pairs.mapWithState(
    (word, one, state: State<number>) => {
      if (state.isTimingOut()) return [word, 'gone']
      state.update((state.getOption() ?? 0) + (one ?? 0))
      return [word, String(state.get())]
    },
    { timeout: minutes(10), initialState: [['be', 100]] },
  )
  words.remember(minutes(1))
  words.persist('disk')
  words.foreachRDD((_rdd, time: BatchTime) => void words.slice(time - 10_000, time))
  words.foreachRDD((rdd) => rdd.foreachPartition(save))
  words.print({ limit: 20 })
  words.saveAsTextFiles('out/words', 'batch')
  words.to(redisSink({ key: 'words' }), { name: 'words' })
  return {
    allowed,
    lastFiveMinutes,
    counted,
    map: words.map((word) => [word, 1]),
    filter: words.filter((word) => word !== ''),
    flatMap: lines.flatMap((line) => line.split(' ')),
    mapValues: pairs.mapValues((n) => n * 2),
    mapAsync: words.mapAsync((word) => look(word), { concurrency: 8 }),
    glom: words.glom(),
    mapPartitions: words.mapPartitions((records) => [records.length]),
    repartition: words.repartition(4),
    union: words.union(lines),
    count: words.count(),
    countByValue: words.countByValue(),
    reduce: words.map((word) => word.length).reduce((a, b) => a + b),
    transform: words.transform((rdd) => rdd.distinct()),
    transformWith: words.transformWith(lines, (a, b) => a.subtract(b)),
    reduceByKey: pairs.reduceByKey((a, b) => a + b),
    groupByKey: pairs.groupByKey(),
    combineByKey: pairs.combineByKey<number>({ create: (n) => n, add: (a, n) => a + n, merge: (a, b) => a + b }),
    partitionBy: pairs.partitionBy(hashPartitioner(4)),
    join: pairs.join(names),
    leftOuterJoin: pairs.leftOuterJoin(names),
    cogroup: pairs.cogroup(names),
    window: words.window(seconds(30), seconds(10)),
    countByWindow: words.countByWindow({ window: seconds(30) }),
    countByValueAndWindow: words.countByValueAndWindow({ window: seconds(30) }),
    reduceByWindow: lines.reduceByWindow((a, b) => a + b, { window: seconds(30) }),
    groupByKeyAndWindow: pairs.groupByKeyAndWindow({ window: seconds(30) }),
    updateStateByKey: pairs.updateStateByKey<number>((ones, sum = 0) => sum + ones.length),
    stateSnapshots: counted.stateSnapshots(),
  }
}
