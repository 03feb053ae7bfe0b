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
import type { Out, OutKind } from './out.js'

/** A template gives one line; `{` that it leaves open are counted in `opens`. `f` is the function, `x` the input, `y` the result. */
type Template = (f: string, x: string, y: string) => string

const templates: Readonly<Record<OpKind, Template>> = {
  map: (f, x, y) => `const ${y} = ${f}(${x})`,
  filter: (f, x, y) => `if (!${f}(${x})) continue; const ${y} = ${x}`,
  flatMap: (f, x, y) => `for (const ${y} of ${f}(${x})) {`,
  mapValues: (f, x, y) => `const ${y} = [${x}[0], ${f}(${x}[1])]`,
  flatMapValues: (f, x, y) => `for (const ${y}v of ${f}(${x}[1])) { const ${y} = [${x}[0], ${y}v]`,
  keyBy: (f, x, y) => `const ${y} = [${f}(${x}), ${x}]`,
  keys: (_f, x, y) => `const ${y} = ${x}[0]`,
  values: (_f, x, y) => `const ${y} = ${x}[1]`,
}

const opens: ReadonlySet<OpKind> = new Set<OpKind>(['flatMap', 'flatMapValues'])

const outTemplates: Readonly<Record<OutKind, (x: string, out: Out) => string>> = {
  collect: (x) => `out.records.push(${x})`,
  count: () => 'out.count++',
  combine: (x, out) =>
    `const k = ${x}[0]; const b = typeof k === 'string' || typeof k === 'number' ? out.keyed.map.get(k) : out.keyed.find(k); ` +
    `if (b === undefined) out.insert(k, ${out.functions['create'] === undefined ? `${x}[1]` : `create(${x}[1])`}); else b.v = add(b.v, ${x}[1])`,
  bucket: (x) => `out.buckets[partitionOf(${x})].push(${x})`,
  fold: (x) => `if (out.has) out.acc = f(out.acc, ${x}); else { out.has = true; out.acc = ${x} }`,
  each: (x) => `f(${x})`,
}

interface Compiled {
  readonly filename: string
  readonly make: (...functions: readonly unknown[]) => StageFunction
  lastFunctions: readonly unknown[]
  lastStage: StageFunction | undefined
}

const fail = (error: unknown, index: number): StageFailure =>
  error instanceof StageFailure ? error : new StageFailure(error, index)

/** First line of the first operator in generated source. */
const FIRST_OP_LINE = 4

let nextStage = 0

/** A stage ready to run: the fused function, and the checked form that runs a task's first record. */
export interface Stage {
  readonly run: StageFunction
  readonly checked: StageFunction
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
    if (this.#mode === 'closures') return { run: checked, checked, operatorOf: () => undefined }
    const compiled = this.#compile(ops, functions, out)
    const all = [...functions, ...outFunctions(out)]
    if (compiled.lastStage === undefined || !sameElements(all, compiled.lastFunctions)) {
      compiled.lastStage = compiled.make(...all, fail)
      compiled.lastFunctions = all
    }
    return {
      run: compiled.lastStage,
      checked,
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
// stand for their functions.
function keyOf(ops: readonly Op[], functions: readonly (AnyFunction | undefined)[], out: Out): string {
  let key = out.kind + identityOf(out.operator, Object.values(out.functions))
  for (const [name, fn] of Object.entries(out.functions)) key += fn === undefined ? `-${name}` : `+${name}`
  ops.forEach((op, i) => {
    key += `|${op.kind}${identityOf(op.id, typeof op.fn === 'function' ? [functions[i]] : [])}`
  })
  return key
}

function identityOf(id: string, functions: readonly (AnyFunction | undefined)[]): string {
  if (!isBareId(id)) return `:${id}`
  return functions.map((fn) => (fn === undefined ? '' : `#${String(serialOfFunction(fn))}`)).join('')
}

function compile(ops: readonly Op[], out: Out): Compiled {
  const filename = `sluice-stage-${String(nextStage++)}`
  const parameters = [...ops.map((_, i) => `f${String(i)}`), ...Object.keys(out.functions), 'fail']
  const make = compileFunction(sourceOf(ops, out), parameters, { filename }) as Compiled['make']
  return { filename, make, lastFunctions: [], lastStage: undefined }
}

/** The source of a stage; exported for tests. */
export function sourceOf(ops: readonly Op[], out: Out): string {
  const lines = [
    'return function (data, from, to, out) {',
    'let i = from',
    'try { for (; i < to; i++) { const v0 = data[i]',
  ]
  let open = 0
  ops.forEach((op, i) => {
    lines.push(templates[op.kind](`f${String(i)}`, `v${String(i)}`, `v${String(i + 1)}`))
    if (opens.has(op.kind)) open++
  })
  lines.push(outTemplates[out.kind](`v${String(ops.length)}`, out))
  lines.push(`${'}'.repeat(open)} } } catch (e) { throw fail(e, i) } }`)
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
