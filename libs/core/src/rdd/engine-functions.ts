/** The engine's own functions that tasks hold: named, so that they can be sent as data like those of users. */
import { linesOf } from '../storage/lines.js'
import { deepCopy } from './copy.js'
import {
  engineFunction,
  engineMaker,
  functionByName,
  functionOfOrigin,
  type AnyFunction,
  type FunctionOrigin,
} from './functions.js'
import { compareNatural, type Compare } from './order.js'
import type { Aggregator } from './out.js'

engineFunction('compareNatural', compareNatural)

export const keepFirst = engineFunction('keepFirst', (a: unknown): unknown => a)

export const firstOfPair = engineFunction(
  'firstOfPair',
  (record: unknown): unknown => (record as readonly unknown[])[0],
)

export const textOfBytes = engineFunction('textOfBytes', (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8'))

/**
 * The `unpack` of receivers that store lines as bytes: whole lines of UTF-8 text, the last one with its line end, too. A CR
 * before the LF is taken off; bytes that are no UTF-8 become U+FFFD.
 */
export const unpackLines: (bytes: Uint8Array) => readonly string[] = engineFunction('unpackLines', linesOf)

/** Values of a key as a list. */
export const grouping: Aggregator = {
  create: engineFunction('group.create', (value: unknown) => [value]),
  add: engineFunction('group.add', (list: unknown[], value: unknown) => {
    list.push(value)
    return list
  }),
  merge: engineFunction('group.merge', (a: unknown[], b: readonly unknown[]) => {
    for (const value of b) a.push(value)
    return a
  }),
}

/** How often each key occurs. */
export const counting: Aggregator = {
  create: engineFunction('count.create', () => 1),
  add: engineFunction('count.add', (n: number) => n + 1),
  merge: engineFunction('count.merge', (a: number, b: number) => a + b),
}

type Grouped = readonly [key: unknown, lists: readonly [readonly unknown[], readonly unknown[]]]

export const inBoth = engineFunction('inBoth', ([key, [left, right]]: Grouped): readonly unknown[] =>
  left.length > 0 && right.length > 0 ? [key] : [],
)

export const inLeftOnly = engineFunction('inLeftOnly', ([key, [left, right]]: Grouped): readonly unknown[] =>
  right.length > 0 ? [] : left.map(() => key),
)

export const leftWithoutRight = engineFunction(
  'leftWithoutRight',
  ([key, [left, right]]: Grouped): readonly unknown[] => (right.length > 0 ? [] : left.map((value) => [key, value])),
)

const foldCreate = engineMaker(
  'fold.create',
  (zero: unknown, add: AnyFunction) =>
    (value: unknown): unknown =>
      add(deepCopy(zero), value),
)

/** Folds the values of a key from a copy of `zero`. */
export function foldAggregator(zero: unknown, add: AnyFunction, merge: AnyFunction): Aggregator {
  return { create: foldCreate(zero, add), add, merge }
}

/** The order turned round. */
export const reversed = engineMaker(
  'reversed',
  (compare: Compare<unknown>): Compare<unknown> =>
    (a, b) =>
      compare(b, a),
)

// Those that look functions up do it here, so that the engine's are loaded wherever tasks run, also in a bundle.

/** The function of this name, the engine's or the app's; throws `TASK_NOT_REGISTERED`. */
export function functionNamed(name: string): AnyFunction {
  return functionByName(name)
}

/** A function of a maker of the engine's; throws `TASK_NOT_REGISTERED`. */
export function functionMade(origin: FunctionOrigin): AnyFunction {
  return functionOfOrigin(origin)
}
