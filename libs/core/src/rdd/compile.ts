/**
 * Stages as generated code: one function per pipeline, made from fixed templates, so that every call site sees one function
 * only and V8 inlines through it. The source holds operator kinds and numbers, never names or text of users.
 *
 * Each operator has a line of its own: the line of a stack frame tells which one failed, at no cost while nothing fails.
 */
import { compileFunction } from 'node:vm'
import { closureStage, StageFailure, type StageFunction } from './closures.js'
import { serialOfFunction, type AnyFunction } from './functions.js'
import { isBareId, type Op, type OpKind } from './op.js'
import {
  asPair,
  oneOfEach,
  refuseAsyncIterable,
  refusePromise,
  type CombineOut,
  type Out,
  type OutKind,
} from './out.js'

/**
 * A template gives one line; `{` that it leaves open are counted in `opens`. `f` gives the call of the operator's function,
 * `x` is the input, `y` the result.
 */
type Template = (f: (argument: string) => string, x: string, y: string) => string

const templates: Readonly<Record<OpKind, Template>> = {
  map: (f, x, y) => `const ${y} = ${f(x)}`,
  filter: (f, x, y) => `if (!${f(x)}) continue; const ${y} = ${x}`,
  flatMap: (f, x, y) => `for (const ${y} of ${f(x)}) {`,
  mapValues: (f, x, y) => `const ${y} = [${x}[0], ${f(`${x}[1]`)}]`,
  flatMapValues: (f, x, y) => `for (const ${y}v of ${f(`${x}[1]`)}) { const ${y} = [${x}[0], ${y}v]`,
  keyBy: (f, x, y) => `const ${y} = [${f(x)}, ${x}]`,
  keys: (_f, x, y) => `const ${y} = ${x}[0]`,
  values: (_f, x, y) => `const ${y} = ${x}[1]`,
}

const opens: ReadonlySet<OpKind> = new Set<OpKind>(['flatMap', 'flatMapValues'])
const takesPairs: ReadonlySet<OpKind> = new Set<OpKind>(['mapValues', 'flatMapValues', 'keys', 'values'])

/** What becomes of a value, by the shape of a `CombineOut`: the first of its key, and a further one. */
const combined = (x: string): Readonly<Record<string, readonly [first: string, further: string]>> => ({
  create: [`create(${x}[1])`, `${x}[1]`],
  list: [`create(${x}[1])`, `${x}[1]`],
  copy: [`out.copy(${x}[1])`, `out.copy(${x}[1])`],
  value: [`${x}[1]`, `${x}[1]`],
})

/** How records end: what is at hand before a loop over them, what becomes of each, and what is left to do after the loop. */
interface OutTemplate {
  readonly enter?: string
  readonly each: (x: string, shape: string) => string
  readonly leave?: string
  /** The boxes of the stage with this number. */
  readonly box?: (stage: number) => string
}

const outTemplates: Readonly<Record<OutKind, OutTemplate>> = {
  collect: { enter: 'const records = out.records', each: (x) => `records.push(${x})` },
  count: { enter: 'let n = 0', each: () => 'n++', leave: 'out.count += n' },
  combine: { enter: 'let map = out.keyed.map', each: combineTemplate, box: boxTemplate },
  bucket: {
    each: (x, shape) =>
      shape === 'one'
        ? `out.buckets[0].push(${x})`
        : `const q = out.buckets[out.partitioner.partitionOf(${x}[0])]; if (q === undefined) out.misplaced(${x}[0]); q.push(${x})`,
  },
  fold: {
    enter: 'let acc = out.acc, has = out.has',
    each: (x) => `if (has) acc = f(acc, ${x}); else { has = true; acc = ${x} }`,
    leave: 'out.acc = acc; out.has = has',
  },
  each: { each: (x) => `f(${x})` },
}

/**
 * Boxes of each stage have a field of their own, `s0`, so that V8 gives them a hidden class of their own: it keeps numbers
 * in a field as they are while no object of the class had anything else there. And they are literals: V8 forgets the hidden
 * class of other objects, and all code that was made for it, when a collection finds none of them.
 */
function boxTemplate(stage: number): string {
  // A Map keeps 0 for -0; so does the box.
  return `(k, v) => ({ s${String(stage)}: 0, k: k === 0 ? 0 : k, v })`
}

/** Boxes are found once and changed in place. A pair as key is taken apart at once: unless it is new, V8 never makes it. */
function combineTemplate(x: string, shape: string): string {
  const [first, further] = combined(x)[shape] as readonly [string, string]
  const count = shape === 'list' ? '; if (--out.room <= 0) map = out.handOver()' : ''
  const found = (key: string): string =>
    `if (b === undefined) map = out.insert(box(${key}, ${first})); else { b.v = add(b.v, ${further})${count} }`
  return (
    `const k = ${x}[0]; if (typeof k === 'string' || typeof k === 'number') { const b = map.get(k); ${found('k')} } ` +
    `else if (Array.isArray(k) && k.length === 2) { const p = k[0], q = k[1], b = out.keyed.findTwo(p, q); ${found('[p, q]')} } ` +
    `else { const b = out.keyed.find(k); ${found('k')} }`
  )
}

interface Made {
  readonly run: StageFunction
  readonly box: CombineOut['box'] | undefined
}

type Make = (...functions: readonly unknown[]) => Made

interface Compiled {
  readonly filename: string
  readonly make: Make
  makeWatched: Make | undefined
  lastFunctions: readonly unknown[]
  lastStage: Made | undefined
}

const fail = (error: unknown, index: number): StageFailure =>
  error instanceof StageFailure ? error : new StageFailure(error, index)

/** First line of the first operator in generated source. */
const FIRST_OP_LINE = 4

let nextStage = 0

/**
 * A stage ready to run. Promises and records that are no pairs must be noticed where they first come up, which may be late
 * behind a filter: until a record has come through to the end, the checked form runs, after some records the watched one.
 */
export interface Stage {
  /** Generated code without checks. */
  readonly run: StageFunction
  /** Closures; checks all. */
  readonly checked: StageFunction
  /** Generated code that checks all; compiled when it is first wanted. */
  watched(): StageFunction
  /** The operator that an error of `run` comes from, by its stack; undefined when the stack does not tell. */
  operatorOf(error: unknown): string | undefined
}

/** How stages run: generated code, or closures only (for comparison, and where code generation is forbidden). */
export type StageMode = 'fused' | 'closures'

/** Compiled stages by the operators they hold, so that nothing is compiled twice for later batches. */
export class StageCache {
  readonly #mode: StageMode
  readonly #limit: number
  readonly #compiled = new Map<string, Compiled>()
  readonly #kept = oneOfEach()

  /** Keeps up to `limit` compiled stages, the most recently used. */
  constructor(mode: StageMode = 'fused', limit = 1_000) {
    this.#mode = mode
    this.#limit = limit
  }

  get size(): number {
    return this.#compiled.size
  }

  /** The stage of these operators, whose functions are `functions` (one per operator), ending in `out`. */
  stage(ops: readonly Op[], functions: readonly (AnyFunction | undefined)[], out: Out): Stage {
    const checked = closureStage(ops, functions)
    if (this.#mode === 'closures') return { run: checked, checked, watched: () => checked, operatorOf: () => undefined }
    const compiled = this.#compile(ops, functions, out)
    const all = [...functions, ...outFunctions(out)]
    if (compiled.lastStage === undefined || !sameElements(all, compiled.lastFunctions)) {
      compiled.lastStage = compiled.make(...all, fail)
      compiled.lastFunctions = all
    }
    const { run, box } = compiled.lastStage
    if (box !== undefined) (out as CombineOut).box = box
    return {
      run,
      checked,
      watched: () => watchedStage(compiled, ops, all, out),
      operatorOf: (error) => operatorAtLine(lineIn(error, compiled.filename), ops, out),
    }
  }

  #compile(ops: readonly Op[], functions: readonly (AnyFunction | undefined)[], out: Out): Compiled {
    const key = keyOf(ops, functions, out)
    let compiled = this.#compiled.get(key)
    if (compiled === undefined) compiled = compile(ops, out)
    else this.#compiled.delete(key)
    this.#compiled.set(key, compiled)
    if (this.#compiled.size > this.#limit) this.#compiled.delete(this.#compiled.keys().next().value as string)
    return compiled
  }
}

function outFunctions(out: Out): unknown[] {
  return Object.values(out.functions)
}

// Ids of stream operators are stable, also of those inside `transform`; those of bare RDDs are new with every RDD, and
// stand for their functions. No id may run into what stands beside it, whatever its name is.
function keyOf(ops: readonly Op[], functions: readonly (AnyFunction | undefined)[], out: Out): string {
  let key = `${out.kind}.${out.shape ?? ''}${identityOf(out.operator, Object.values(out.functions))}`
  ops.forEach((op, i) => {
    const builtin = typeof op.fn === 'object' ? `.${op.fn.builtin}` : ''
    key += `|${op.kind}${builtin}${identityOf(op.id, builtin === '' ? [functions[i]] : [])}`
  })
  return key
}

function identityOf(id: string, functions: readonly (AnyFunction | undefined)[]): string {
  if (!isBareId(id)) return `:${String(id.length)}:${id}`
  return functions.map((fn) => (fn === undefined ? '' : `#${String(serialOfFunction(fn))}`)).join('')
}

function compile(ops: readonly Op[], out: Out): Compiled {
  const stage = nextStage++
  const filename = `sluice-stage-${String(stage)}`
  const make = compileFunction(sourceOf(ops, out, false, stage), parametersOf(ops, out), { filename }) as Make
  return { filename, make, makeWatched: undefined, lastFunctions: [], lastStage: undefined }
}

/** What a stage calls its functions. */
function functionNames(ops: readonly Op[], out: Out): string[] {
  return [...ops.map((_, i) => `f${String(i)}`), ...Object.keys(out.functions), 'fail']
}

const parametersOf = (ops: readonly Op[], out: Out): string[] => functionNames(ops, out).map((name) => `_${name}`)

/** Code of its own, so that what runs for few records leaves no trace in the feedback of what runs for all. */
function watchedStage(compiled: Compiled, ops: readonly Op[], functions: readonly unknown[], out: Out): StageFunction {
  compiled.makeWatched ??= compileFunction(sourceOf(ops, out, true), [...parametersOf(ops, out), 'check', 'pair'], {
    filename: compiled.filename,
  }) as Make
  const check = (value: unknown, index: number): unknown => {
    const { kind, id } = ops[index] as Op
    return opens.has(kind) ? refuseAsyncIterable(value, id) : refusePromise(value, id)
  }
  const pair = (record: unknown, index: number): unknown => asPair(record, (ops[index] as Op).id)
  return compiled.makeWatched(...functions, fail, check, pair).run
}

/** The source of a stage, `watched` with all checks; exported for tests. */
export function sourceOf(ops: readonly Op[], out: Out, watched = false, stage = 0): string {
  const { enter = '', each, leave = '', box } = outTemplates[out.kind]
  // V8 takes a `const` for what it is; a parameter might change.
  const constants = functionNames(ops, out).map((name) => `${name} = _${name}`)
  const lines = [
    `const ${constants.join(', ')}, box = ${box?.(stage) ?? 'undefined'}; return { box, run(data, from, to, out) {`,
    `let i = from; ${watched ? '' : enter}`,
    'try { for (; i < to; i++) { const v0 = data[i]',
  ]
  let open = 0
  ops.forEach((op, i) => {
    const x = `v${String(i)}`
    const call = (argument: string): string => {
      const plain = `f${String(i)}(${argument})`
      return watched ? `check(${plain}, ${String(i)})` : plain
    }
    const pair = watched && takesPairs.has(op.kind) ? `pair(${x}, ${String(i)}); ` : ''
    lines.push(pair + templates[op.kind](call, x, `v${String(i + 1)}`))
    if (opens.has(op.kind)) open++
  })
  const last = `v${String(ops.length)}`
  lines.push(watched ? `out.emit(${last})` : each(last, out.shape ?? ''))
  lines.push(`${'}'.repeat(open)} } ${watched ? '' : leave} } catch (e) { throw fail(e, i) } } }`)
  return lines.join('\n')
}

function lineIn(error: unknown, filename: string): number | undefined {
  const stack = error instanceof Error ? error.stack : undefined
  if (stack === undefined) return undefined
  const at = stack.indexOf(`${filename}:`)
  if (at < 0) return undefined
  return Number.parseInt(stack.slice(at + filename.length + 1), 10)
}

function operatorAtLine(line: number | undefined, ops: readonly Op[], out: Out): string | undefined {
  if (line === undefined) return undefined
  const index = line - FIRST_OP_LINE
  return index === ops.length ? out.operator : ops[index]?.id
}

function sameElements(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((element, i) => element === b[i])
}
