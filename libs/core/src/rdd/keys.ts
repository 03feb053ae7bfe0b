/**
 * Keys are values: null, strings, numbers, bigints, booleans, dates, and tuples or plain objects of them, compared by
 * content. Primitive keys are used as they are; composite ones pay for a canonical, injective encoding.
 */
import { SluiceError } from '../errors.js'

/** One key with what is kept for it. Found once and changed in place: measured at 1.1–1.4 times `Map.set`. */
export interface Box<V> {
  readonly k: unknown
  v: V
}

/** A box. A `Map` keeps 0 for -0; so does the box. */
export function plainBox<V>(key: unknown, value: V): Box<V> {
  return { k: key === 0 ? 0 : key, v: value }
}

/** Whether a key can be looked up in a `Map` as it is. */
export function isPrimitiveKey(key: unknown): key is string | number | bigint | boolean | null {
  switch (typeof key) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'bigint':
      return true
    default:
      return key === null
  }
}

/**
 * The canonical text of any key: two keys have the same text if and only if they are equal. `1` ≠ `'1'`,
 * `{a,b}` = `{b,a}`, NaN = NaN, −0 = 0; a property that is undefined counts as absent.
 * Throws `KEY_INVALID` for what is no key.
 */
export function encodeKey(key: unknown, component: string): string {
  switch (typeof key) {
    case 'string':
      return `s${String(key.length)}:${key}`
    case 'number':
      // String(-0) is '0' already.
      return `n${String(key)};`
    case 'bigint':
      return `i${String(key)};`
    case 'boolean':
      return key ? 't' : 'f'
    case 'object':
      return key === null ? 'z' : encodeComposite(key, component)
    default:
      throw invalidKey(key, component)
  }
}

function encodeComposite(key: object, component: string): string {
  if (Array.isArray(key)) {
    let text = '['
    for (let i = 0; i < key.length; i++) text += encodeKey(key[i], component)
    return `${text}]`
  }
  if (key instanceof Date) return `d${String(key.getTime())};`
  const prototype: unknown = Object.getPrototypeOf(key)
  if (prototype !== Object.prototype && prototype !== null) throw invalidKey(key, component)
  const record = key as Readonly<Record<string, unknown>>
  let text = '{'
  for (const name of Object.keys(record).sort()) {
    const value = record[name]
    if (value !== undefined) text += `${String(name.length)}:${name}${encodeKey(value, component)}`
  }
  return `${text}}`
}

function invalidKey(key: unknown, component: string): SluiceError {
  const what = typeof key === 'object' && key !== null ? `an instance of ${className(key)}` : typeof key
  return new SluiceError({
    code: 'KEY_INVALID',
    component,
    message: `${what} cannot be a key; use null, strings, numbers, bigints, booleans, dates, or tuples and plain objects of them`,
  })
}

function className(value: object): string {
  const maker: unknown = (value as { constructor?: unknown }).constructor
  return typeof maker === 'function' && maker.name !== '' ? maker.name : 'an unnamed class'
}

/** A 32-bit unsigned hash of a key, the same in every process and on every machine. */
export function hashKey(key: unknown, component: string): number {
  if (typeof key === 'string') return hashText(key, 0x811c9dc5)
  if (typeof key === 'number' && Number.isSafeInteger(key)) return hashInteger(key)
  return hashText(encodeKey(key, component), 0x2f0b4f1d)
}

function hashText(text: string, seed: number): number {
  let h = seed
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return finish(h)
}

function hashInteger(n: number): number {
  // Both halves, as integers may exceed 32 bits; -0 gives 0.
  return finish(Math.imul(n | 0, 0x9e3779b1) ^ Math.imul(Math.floor(n / 4_294_967_296) | 0, 0x85ebca6b))
}

// The last mixing of MurmurHash3 (Austin Appleby, public domain): without it low bits of FNV are poor.
function finish(h: number): number {
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** A pair of primitives, by far the most frequent composite key. */
function isTwo(key: unknown): key is readonly [unknown, unknown] {
  return Array.isArray(key) && key.length === 2 && isPrimitiveKey(key[0]) && isPrimitiveKey(key[1])
}

/** The boxes of all pairs `[p, q]` with one p. Where there is one q only, it needs no map. */
interface Seconds<V> {
  q: unknown
  box: Box<V> | undefined
  more: Map<unknown, Box<V>> | undefined
}

/**
 * A map from keys to boxes, in the order in which keys were first seen. Generated code looks into `map` itself for
 * strings and numbers, calls `findTwo` for arrays of two, and `find` for all else.
 */
export class KeyedMap<V> {
  readonly component: string
  /** Boxes of primitive keys. */
  map = new Map<unknown, Box<V>>()
  /** Boxes of pairs of primitives: looked up part by part, they need no encoding. */
  #twos = new Map<unknown, Seconds<V>>()
  #composite: Map<string, Box<V>> | undefined
  /** The composite key that was last looked for in vain, and its encoding: it is inserted next. */
  #missed: { readonly key: unknown; readonly text: string } | undefined
  // While all keys are primitive, the order is that of `map`.
  #order: Box<V>[] | undefined
  /** Deleted boxes that still stand in `#order`. */
  readonly #dead = new Set<Box<V>>()

  constructor(component: string) {
    this.component = component
  }

  get size(): number {
    return this.#order === undefined ? this.map.size : this.#order.length - this.#dead.size
  }

  find(key: unknown): Box<V> | undefined {
    if (isPrimitiveKey(key)) return this.map.get(key)
    if (isTwo(key)) return this.findTwo(key[0], key[1])
    return this.#findText(key)
  }

  /** The box of the key `[p, q]`. */
  findTwo(p: unknown, q: unknown): Box<V> | undefined {
    const seconds = this.#twos.get(p)
    if (seconds !== undefined) {
      const box = seconds.q === q ? seconds.box : seconds.more?.get(q)
      if (box !== undefined) return box
    }
    return isPrimitiveKey(p) && isPrimitiveKey(q) ? undefined : this.#findText([p, q])
  }

  #findText(key: unknown): Box<V> | undefined {
    const text = encodeKey(key, this.component)
    const box = this.#composite?.get(text)
    if (box === undefined) this.#missed = { key, text }
    return box
  }

  /** Adds a key that is known to be absent. */
  insert(key: unknown, value: V): Box<V> {
    const box = plainBox(key, value)
    this.insertBox(box)
    return box
  }

  /** Adds the box of a key that is known to be absent. */
  insertBox(box: Box<V>): void {
    const { k } = box
    if (isPrimitiveKey(k)) {
      this.map.set(k, box)
      this.#order?.push(box)
      return
    }
    if (isTwo(k)) this.#insertTwo(k[0], k[1], box)
    else (this.#composite ??= new Map()).set(this.#textOf(k), box)
    this.#order ??= [...this.map.values()]
    this.#order.push(box)
  }

  #textOf(key: unknown): string {
    const missed = this.#missed
    this.#missed = undefined
    return missed !== undefined && missed.key === key ? missed.text : encodeKey(key, this.component)
  }

  #insertTwo(p: unknown, q: unknown, box: Box<V>): void {
    const seconds = this.#twos.get(p)
    // NaN equals nothing in `findTwo`, but in a map it does.
    if (seconds === undefined && !Number.isNaN(q)) this.#twos.set(p, { q, box, more: undefined })
    else if (seconds === undefined) this.#twos.set(p, { q: undefined, box: undefined, more: new Map([[q, box]]) })
    else (seconds.more ??= new Map()).set(q, box)
  }

  #deleteTwo(p: unknown, q: unknown): void {
    const seconds = this.#twos.get(p)
    if (seconds === undefined) return
    if (seconds.q === q) seconds.q = seconds.box = undefined
    else seconds.more?.delete(q)
    if (seconds.box === undefined && (seconds.more === undefined || seconds.more.size === 0)) this.#twos.delete(p)
  }

  /** The box of a key, made with `create()` where there is none: composite keys are encoded once. */
  findOrInsert(key: unknown, create: () => V): Box<V> {
    return this.find(key) ?? this.insert(key, create())
  }

  /** Deletes the key of a box of this map. Should it come again, it comes last. */
  delete(box: Box<V>): void {
    const { k } = box
    if (isPrimitiveKey(k)) this.map.delete(k)
    else if (isTwo(k)) this.#deleteTwo(k[0], k[1])
    else this.#composite?.delete(encodeKey(k, this.component))
    if (this.#order === undefined) return
    this.#dead.add(box)
    if (this.#dead.size * 2 > this.#order.length) this.#compact()
  }

  #compact(): void {
    this.#order = this.#order?.filter((box) => !this.#dead.has(box))
    this.#dead.clear()
  }

  /** All boxes, keys first seen first. */
  boxes(): Iterable<Box<V>> {
    if (this.#dead.size > 0) this.#compact()
    return this.#order ?? this.map.values()
  }

  clear(): void {
    this.map = new Map()
    this.#twos = new Map()
    this.#composite = undefined
    this.#order = undefined
    this.#dead.clear()
  }
}
