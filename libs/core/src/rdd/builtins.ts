/** The engine's own operator functions that keep something per task: named, so that they can be sent as data. */
import { SluiceError } from '../errors.js'
import { seededRandom, seedOf } from '../time/random.js'
import type { AnyFunction } from './functions.js'
import type { Builtin, TaskInfo } from './op.js'

type Maker = (args: readonly unknown[], id: string, info: TaskInfo) => AnyFunction

const makers: Readonly<Record<string, Maker>> = {
  /** args: fraction, seed. Keeps each record with that probability. */
  sample: ([fraction, seed], id, info) => {
    const random = seededRandom(seedOf(id, seed as number, info.batchTime ?? 0, info.partition))
    return () => random.next() < (fraction as number)
  },
  /** args: mean, seed. Repeats each record a Poisson-distributed number of times: sampling with replacement. */
  sampleWithReplacement: ([mean, seed], id, info) => {
    const random = seededRandom(seedOf(id, seed as number, info.batchTime ?? 0, info.partition))
    return (record: unknown) => new Array<unknown>(poisson(mean as number, () => random.next())).fill(record)
  },
  /** args: low, high, seed. Keeps a record when its number lies in [low, high): the parts of a split share the numbers. */
  split: ([low, high, seed], _id, info) => {
    const random = seededRandom(seedOf('split', seed as number, info.partition))
    return () => {
      const x = random.next()
      return x >= (low as number) && x < (high as number)
    }
  },
  /** args: first index of each partition. */
  zipWithIndex: ([starts], _id, info) => {
    let index = (starts as readonly number[])[info.partition] ?? 0
    return (record: unknown) => [record, index++]
  },
  /** args: number of partitions. Deals records out in turn, from a start that differs by partition, as Spark does. */
  deal: ([partitions], id, info) => {
    let next = seededRandom(seedOf(id, info.batchTime ?? 0, info.partition)).integer(partitions as number)
    return (record: unknown) => [next++ % (partitions as number), record]
  },
  /** Pair of the record and nothing. */
  withNull: () => (record: unknown) => [record, null],
}

/** A new instance of a builtin for one task. */
export function builtinFunction(builtin: Builtin, id: string, info: TaskInfo): AnyFunction {
  const maker = makers[builtin.builtin]
  if (maker === undefined) {
    throw new SluiceError({
      code: 'TASK_NOT_REGISTERED',
      component: id,
      message: `no builtin is named '${builtin.builtin}'; driver and worker run different versions of @sluice/core`,
    })
  }
  return maker(builtin.args, id, info)
}

// Knuth's method; means are small.
function poisson(mean: number, next: () => number): number {
  const limit = Math.exp(-mean)
  let count = 0
  for (let p = next(); p > limit; p *= next()) count++
  return count
}
