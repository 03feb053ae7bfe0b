/** Hand loops that several benchmarks are held against. They call the same functions that the pipelines get. */
import type { Pair } from '@sluice/core'

export interface Box<V> {
  v: V
}

/** The pairs of a map of boxes, in the order of the map. */
export function pairsOf<K, V>(boxes: ReadonlyMap<K, Box<V>>): Pair<K, V>[] {
  return Array.from(boxes, ([key, box]) => [key, box.v])
}

/** What a pipeline that ends in `reduceByKey` gives, without the engine: of each record a pair, of each key one value. */
export function reduceLoop<T, K, V>(
  records: readonly T[],
  toPair: (record: T) => Pair<K, V>,
  merge: (a: V, b: V) => V,
): Pair<K, V>[] {
  const boxes = new Map<K, Box<V>>()
  for (const record of records) {
    const pair = toPair(record)
    const box = boxes.get(pair[0])
    if (box === undefined) boxes.set(pair[0], { v: pair[1] })
    else box.v = merge(box.v, pair[1])
  }
  return pairsOf(boxes)
}
