/** What the codec can keep: one walk over the records before they are encoded. */

/** How deep records may nest. A value that contains itself is found by this, before the stack ends. */
export const MAX_DEPTH = 400

/** Thrown by {@link hasExotic}: something cannot be encoded. Where, is looked for only then. */
export class OffenderFound extends Error {}

/** A string whose methods are those of ES2024, which Node 20 has. */
interface ModernText {
  isWellFormed(): boolean
}

/** Whether msgpackr would change the key (`__proto__`) or take the object for an instance of a class (`constructor`). */
export function isExoticKey(key: string): boolean {
  return key === '__proto__' || key === 'constructor' || isExoticText(key)
}

/** Whether UTF-8 would change the string: it holds half of a surrogate pair. */
export function isExoticText(text: string): boolean {
  return !(text as unknown as ModernText).isWellFormed()
}

/** Whether an object was made by `{}` or `Object.create(null)`, in this realm or another. */
export function plainPrototype(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null
}

/**
 * Whether plain data holds a value that needs a stand-in (see codec.ts). Throws {@link OffenderFound} when it holds one
 * that cannot be encoded.
 */
export function hasExotic(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
      return isExoticText(value)
    case 'number':
      return value === 0 && Object.is(value, -0)
    case 'object':
      return value !== null && objectHasExotic(value, depth)
    case 'function':
    case 'symbol':
      throw new OffenderFound()
    default:
      return false
  }
}

// No early return: what cannot be encoded must be found too.
function objectHasExotic(value: object, depth: number): boolean {
  if (depth > MAX_DEPTH) throw new OffenderFound()
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Array.prototype) return arrayHasExotic(value as unknown[], depth + 1)
  if (prototype === Object.prototype) return fieldsHaveExotic(value as Record<string, unknown>, depth + 1)
  if (prototype === Map.prototype) return mapHasExotic(value as Map<unknown, unknown>, depth + 1)
  if (prototype === Set.prototype) return arrayHasExotic([...(value as Set<unknown>)], depth + 1)
  if (isKeptWhole(value, prototype)) return false
  if (!plainPrototype(value)) throw new OffenderFound()
  // Plain, but not by the test of msgpackr, which would look for a `toJSON` in it. Its stand-in is an ordinary object.
  fieldsHaveExotic(value as Record<string, unknown>, depth + 1)
  return true
}

function isKeptWhole(value: object, prototype: unknown): boolean {
  if (prototype === Date.prototype || prototype === Buffer.prototype || prototype === ArrayBuffer.prototype) return true
  // Subclasses of typed arrays would come back as what they extend.
  return ArrayBuffer.isView(value) && BINARY.has(prototype)
}

const BINARY = new Set<unknown>(
  [
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
    DataView,
  ].map((type) => type.prototype),
)

function arrayHasExotic(values: readonly unknown[], depth: number): boolean {
  let exotic = false
  for (let i = 0; i < values.length; i++) exotic = hasExotic(values[i], depth) || exotic
  return exotic
}

// The last good key at each position: objects of one shape follow each other, and comparing is cheaper than checking.
const goodKeys: string[] = []
const MAX_GOOD_KEYS = 64

function fieldsHaveExotic(value: Readonly<Record<string, unknown>>, depth: number): boolean {
  let exotic = false
  let position = 0
  for (const key of Object.keys(value)) {
    if (hasExotic(value[key], depth)) exotic = true
    if (goodKeys[position] !== key) {
      if (isExoticKey(key)) exotic = true
      else if (position < MAX_GOOD_KEYS) goodKeys[position] = key
    }
    position++
  }
  return exotic
}

function mapHasExotic(map: ReadonlyMap<unknown, unknown>, depth: number): boolean {
  let exotic = false
  for (const [key, value] of map) {
    exotic = hasExotic(key, depth) || exotic
    exotic = hasExotic(value, depth) || exotic
  }
  return exotic
}

export interface Offender {
  /** From the array of records, e.g. `[3].callback`. */
  readonly path: string
  /** What stands there: `a function`, `an instance of Order`; `depth` where the nesting does not end. */
  readonly what: string
}

/** The first value that cannot be encoded. */
export function findOffender(value: unknown, path = '', depth = 0): Offender | undefined {
  if (typeof value === 'function') return { path, what: 'a function' }
  if (typeof value === 'symbol') return { path, what: 'a symbol' }
  if (typeof value !== 'object' || value === null) return undefined
  if (depth > MAX_DEPTH) return { path, what: 'depth' }
  for (const [step, item] of childrenOf(value) ?? []) {
    const offender = findOffender(item, path + step, depth + 1)
    if (offender !== undefined) return offender
  }
  return isForeign(value) ? { path, what: `an instance of ${classOf(value)}` } : undefined
}

function isForeign(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (childrenOf(value) !== undefined || isKeptWhole(value, prototype)) return false
  return true
}

/** Undefined for what has no children that are looked at. */
function childrenOf(value: object): Iterable<readonly [step: string, item: unknown]> | undefined {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Array.prototype) return (value as unknown[]).map((item, i) => [`[${String(i)}]`, item])
  if (prototype === Set.prototype) return Array.from(value as Set<unknown>, (item) => ['.<member>', item])
  if (prototype === Map.prototype) return mapChildren(value as Map<unknown, unknown>)
  if (isKeptWhole(value, prototype) || !plainPrototype(value)) return undefined
  return Object.entries(value).map(([key, item]) => [`.${key}`, item])
}

function mapChildren(map: ReadonlyMap<unknown, unknown>): [string, unknown][] {
  return Array.from(map).flatMap(([key, item]) => [
    ['.<key>', key],
    [`.get(${typeof key === 'symbol' ? 'symbol' : String(key)})`, item],
  ])
}

function classOf(value: object): string {
  const constructor: unknown = (value as { constructor?: unknown }).constructor
  return typeof constructor === 'function' && constructor.name !== '' ? constructor.name : 'a class without name'
}
