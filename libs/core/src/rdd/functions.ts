/**
 * Functions by name: how a task that runs in another thread or process finds the user's functions there. The app's module
 * is loaded again, registers the same names, and no closure is ever serialised.
 *
 * The engine's own functions are known under reserved names, and those that the engine makes of others (a fold's start, a
 * turned order) by their maker and what it was given.
 */
import { requireArgument, SluiceError } from '../errors.js'

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- any function may be a task's
export type AnyFunction = (...args: any[]) => unknown

/** How a function can be made again elsewhere: a maker of the engine's, and its arguments: functions or plain data. */
export interface FunctionOrigin {
  readonly maker: string
  readonly args: readonly unknown[]
}

interface Registry {
  readonly byName: Map<string, AnyFunction>
  readonly names: WeakMap<AnyFunction, string>
  readonly origins: WeakMap<AnyFunction, FunctionOrigin>
}

const REGISTRY = Symbol.for('@sluice/core/functions/1')
const RESERVED = 'sluice:'

// One for all copies of this package in the thread: the app's may not be that of the executor.
const shared = globalThis as { [REGISTRY]?: Registry }
const registry = (shared[REGISTRY] ??= { byName: new Map(), names: new WeakMap(), origins: new WeakMap() })
/** The engine's functions of this copy. */
const engineFunctions = new Map<string, AnyFunction>()
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each maker knows its own arguments
const makers = new Map<string, (...args: any[]) => AnyFunction>()

/**
 * Registers `fn` under `name`, which must be unique in the app, and returns it. Only functions registered so (and those of
 * DStream operators, which are known by the operator's id) leave the driver; others run there. Workers know what is
 * registered while the app's module loads, before its first action or `start()`.
 * The same name for another function is `ARGUMENT_INVALID`, as is one that begins with `sluice:`.
 */
export function task<F extends AnyFunction>(name: string, fn: F): F {
  requireArgument(
    !name.startsWith(RESERVED),
    'task',
    `names that begin with '${RESERVED}' are the engine's; choose another`,
  )
  const known = registry.byName.get(name)
  if (known !== undefined && known !== fn) {
    throw new SluiceError({
      code: 'ARGUMENT_INVALID',
      component: 'task',
      message: `the name '${name}' stands for another function already; give each task function its own name`,
    })
  }
  registry.byName.set(name, fn)
  registry.names.set(fn, name)
  return fn
}

/** A function of the engine that tasks may hold, under a reserved name that is the same everywhere. */
export function engineFunction<F extends AnyFunction>(name: string, fn: F): F {
  engineFunctions.set(RESERVED + name, fn)
  registry.names.set(fn, RESERVED + name)
  return fn
}

/**
 * A maker of functions: what it returns can be sent as the maker's name and its arguments. Arguments are functions or
 * plain data.
 */
export function engineMaker<A extends readonly unknown[], F extends AnyFunction>(
  name: string,
  make: (...args: A) => F,
): (...args: A) => F {
  makers.set(RESERVED + name, (...args) => make(...(args as unknown as A)))
  return (...args) => {
    const fn = make(...args)
    registry.origins.set(fn, { maker: RESERVED + name, args })
    return fn
  }
}

/** The registered name of a function, or undefined. */
export function nameOfFunction(fn: AnyFunction): string | undefined {
  return registry.names.get(fn)
}

/** How a function was made by a maker of the engine, or undefined. */
export function originOfFunction(fn: AnyFunction): FunctionOrigin | undefined {
  return registry.origins.get(fn)
}

/** Whether the name is one of the engine's own functions. */
export function isEngineName(name: string): boolean {
  return name.startsWith(RESERVED)
}

/** The function registered under `name`; throws `TASK_NOT_REGISTERED`. */
export function functionByName(name: string): AnyFunction {
  const fn = isEngineName(name) ? engineFunctions.get(name) : registry.byName.get(name)
  if (fn === undefined) throw notRegistered(name)
  return fn
}

/** Makes a function again; throws `TASK_NOT_REGISTERED`. */
export function functionOfOrigin({ maker, args }: FunctionOrigin): AnyFunction {
  const make = makers.get(maker)
  if (make === undefined) throw notRegistered(maker)
  const fn = make(...args)
  registry.origins.set(fn, { maker, args })
  return fn
}

function notRegistered(name: string): SluiceError {
  const message = isEngineName(name)
    ? `the engine has no function '${name}' here; driver and worker run different versions of @sluice/core`
    : `no function is registered as '${name}' here; call task('${name}', …) while the app's module loads`
  return new SluiceError({ code: 'TASK_NOT_REGISTERED', component: 'task', message })
}

/** All functions that the app has registered, by name. */
export function registeredFunctions(): ReadonlyMap<string, AnyFunction> {
  return registry.byName
}

const serials = new WeakMap<AnyFunction, number>()
let nextSerial = 0

/** A number for each function object, for keys of caches. */
export function serialOfFunction(fn: AnyFunction): number {
  let serial = serials.get(fn)
  if (serial === undefined) serials.set(fn, (serial = nextSerial++))
  return serial
}
