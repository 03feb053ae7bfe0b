/**
 * Functions by name: how a task that runs in another thread or process finds the user's functions there. The app's module
 * is loaded again, registers the same names, and no closure is ever serialised.
 */
import { SluiceError } from '../errors.js'

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- any function may be a task's
export type AnyFunction = (...args: any[]) => unknown

const byName = new Map<string, AnyFunction>()
const names = new WeakMap<AnyFunction, string>()

/**
 * Registers `fn` under `name`, which must be unique in the app, and returns it. Only functions registered so (and those of
 * DStream operators, which are known by the operator's id) leave the driver; others run there.
 * The same name for another function is `ARGUMENT_INVALID`.
 */
export function task<F extends AnyFunction>(name: string, fn: F): F {
  const known = byName.get(name)
  if (known !== undefined && known !== fn) {
    throw new SluiceError({
      code: 'ARGUMENT_INVALID',
      component: 'task',
      message: `the name '${name}' stands for another function already; give each task function its own name`,
    })
  }
  byName.set(name, fn)
  names.set(fn, name)
  return fn
}

/** The registered name of a function, or undefined. */
export function nameOfFunction(fn: AnyFunction): string | undefined {
  return names.get(fn)
}

/** The function registered under `name`; throws `TASK_NOT_REGISTERED`. */
export function functionByName(name: string): AnyFunction {
  const fn = byName.get(name)
  if (fn === undefined) {
    throw new SluiceError({
      code: 'TASK_NOT_REGISTERED',
      component: 'task',
      message: `no function is registered as '${name}' here; call task('${name}', …) while the app's module loads`,
    })
  }
  return fn
}

const serials = new WeakMap<AnyFunction, number>()
let nextSerial = 0

/** A number for each function object, for keys of caches. */
export function serialOfFunction(fn: AnyFunction): number {
  let serial = serials.get(fn)
  if (serial === undefined) serials.set(fn, (serial = nextSerial++))
  return serial
}
