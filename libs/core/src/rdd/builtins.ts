/** The engine's own operator functions that keep something per task: named, so that they can be sent as data. */
import { SluiceError } from '../errors.js'
import { recordsOfFrames } from '../storage/frames.js'
import { seededRandom, seedOf, type Random } from '../time/random.js'
import type { AnyFunction } from './functions.js'
import type { Builtin, TaskInfo } from './op.js'

/** Where one instance works: the partition is the operator's own, whatever task computes it. */
interface Place {
  readonly id: string
  readonly batchTime: number
  readonly partition: number
}

type Maker = (args: readonly unknown[], place: Place) => AnyFunction

const makers: Readonly<Record<string, Maker>> = {
  /** args: fraction, seed. Keeps each record with that probability. */
  sample: ([fraction, seed], place) => {
    const random = randomOf(place, seed)
    return () => random.next() < (fraction as number)
  },
  /** args: mean, seed. Repeats each record a Poisson-distributed number of times: sampling with replacement. */
  sampleWithReplacement: ([mean, seed], place) => {
    const random = randomOf(place, seed)
    return (record: unknown) => new Array<unknown>(poisson(mean as number, () => random.next())).fill(record)
  },
  /** args: low, high, seed. Keeps a record when its number lies in [low, high): the parts of a split share the numbers. */
  split: ([low, high, seed], { batchTime, partition }) => {
    const random = seededRandom(seedOf('split', seed as number, batchTime, partition))
    return () => {
      const x = random.next()
      return x >= (low as number) && x < (high as number)
    }
  },
  /** args: first index of each partition. */
  zipWithIndex: ([starts], { partition }) => {
    let index = (starts as readonly number[])[partition] ?? NaN
    return (record: unknown) => [record, index++]
  },
  /** args: number of partitions. Deals records out in turn, from a start that differs by partition, as Spark does. */
  deal: ([partitions], { id, batchTime, partition }) => {
    let next = seededRandom(seedOf(id, batchTime, partition)).integer(partitions as number)
    return (record: unknown) => [next++ % (partitions as number), record]
  },
  /** Pair of the record and nothing. */
  withNull: () => (record: unknown) => [record, null],
  /** The records of an object file, given as pair of path and bytes. */
  objects: () => (file: readonly [path: string, bytes: Uint8Array]) => recordsOfFrames(file[1], file[0]),
}

// The user's seed, or the operator's own: then two samples of one RDD differ (E10).
function randomOf({ id, batchTime, partition }: Place, seed: unknown): Random {
  return seededRandom(seedOf((seed as number | undefined) ?? id, batchTime, partition))
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
  return maker(builtin.args, { id, batchTime: info.batchTime ?? 0, partition: builtin.partition ?? info.partition })
}

/** A sum of Poisson-distributed numbers is one, too: large means are cut, as their powers of e would be 0. */
const LARGEST_MEAN = 64

// Knuth's method.
function poisson(mean: number, next: () => number): number {
  if (mean > LARGEST_MEAN) return poisson(LARGEST_MEAN, next) + poisson(mean - LARGEST_MEAN, next)
  const limit = Math.exp(-mean)
  let count = 0
  for (let p = next(); p > limit; p *= next()) count++
  return count
}
