/** The closure form of a stage: slower than generated code, and the oracle that it is held against. */
import type { AnyFunction } from './functions.js'
import type { Op, OpKind } from './op.js'
import { asPair, refuseAsyncIterable, refusePromise, type Out } from './out.js'

type Emit = (record: unknown) => void
type Step = (fn: AnyFunction, id: string, next: Emit) => Emit

const steps: Readonly<Record<OpKind, Step>> = {
  map: (fn, id, next) => (record) => {
    next(refusePromise(fn(record), id))
  },
  filter: (fn, id, next) => (record) => {
    if (refusePromise(fn(record), id)) next(record)
  },
  flatMap: (fn, id, next) => (record) => {
    for (const each of refuseAsyncIterable(fn(record), id)) next(each)
  },
  mapValues: (fn, id, next) => (record) => {
    const [key, value] = asPair(record, id)
    next([key, refusePromise(fn(value), id)])
  },
  flatMapValues: (fn, id, next) => (record) => {
    const [key, value] = asPair(record, id)
    for (const each of refuseAsyncIterable(fn(value), id)) next([key, each])
  },
  keyBy: (fn, id, next) => (record) => {
    next([refusePromise(fn(record), id), record])
  },
  keys: (_fn, id, next) => (record) => {
    next(asPair(record, id)[0])
  },
  values: (_fn, id, next) => (record) => {
    next(asPair(record, id)[1])
  },
}

/** An error together with the place in the stage where it happened. */
export class StageFailure {
  readonly error: unknown
  /** Index of the stage's input record in the chunk. */
  readonly index: number
  /** Operator that failed, where it is known already. */
  readonly operator: string | undefined

  constructor(error: unknown, index: number, operator?: string) {
    this.error = error
    this.index = index
    this.operator = operator
  }
}

class Located {
  readonly error: unknown
  readonly operator: string

  constructor(error: unknown, operator: string) {
    this.error = error
    this.operator = operator
  }
}

/** Each step catches only what its own function throws, not what comes from further down. */
function located(step: Emit, operator: string): Emit {
  return (record) => {
    try {
      step(record)
    } catch (error) {
      throw error instanceof Located ? error : new Located(error, operator)
    }
  }
}

export type StageFunction = (data: readonly unknown[], from: number, to: number, out: Out) => void

/** A stage as a chain of closures; every function's result is checked for promises, every pair for being one. */
export function closureStage(ops: readonly Op[], functions: readonly (AnyFunction | undefined)[]): StageFunction {
  return (data, from, to, out) => {
    let next: Emit = located((record) => {
      out.emit(record)
    }, out.operator)
    for (let i = ops.length - 1; i >= 0; i--) {
      const op = ops[i] as Op
      next = located(steps[op.kind](functions[i] as AnyFunction, op.id, next), op.id)
    }
    for (let i = from; i < to; i++) {
      try {
        next(data[i])
      } catch (error) {
        const { error: cause, operator } = error as Located
        throw new StageFailure(cause, i, operator)
      }
    }
  }
}
