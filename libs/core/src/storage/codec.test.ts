import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import { decodeRecords, encodeRecords } from './codec.js'

const leaf = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(fc.integer({ min: 0xd700, max: 0xe000 }), { maxLength: 4 }).map((units) => String.fromCharCode(...units)),
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt(),
  fc.constantFrom<unknown>(null, undefined, true, false, -0, NaN, Infinity, -Infinity, '', '__proto__'),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array(),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.float64Array(),
)
const key = fc.oneof(
  fc.string(),
  fc.constantFrom('__proto__', 'constructor', 'toJSON', 'then', '\ud800', '7', 'a', 'b'),
)
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => new Set(items)),
  ),
}))

function roundTrip(records: readonly unknown[]): unknown[] {
  return decodeRecords(encodeRecords(records))
}

function failureOf(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

test('what was encoded is decoded to the same', () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 8 }), (records) => {
      deepStrictEqual(roundTrip(records), records)
    }),
    { numRuns: 1_500, seed: 1 },
  )
})

test('objects of many shapes in one block keep their keys in order', () => {
  const shape = fc.uniqueArray(
    fc.integer({ min: 0, max: 300 }).map((n) => `k${String(n)}`),
    { maxLength: 6 },
  )
  fc.assert(
    fc.property(fc.array(shape, { minLength: 50, maxLength: 200 }), (shapes) => {
      const records = shapes.map((keys) => Object.fromEntries(keys.map((name, i) => [name, i])))
      const decoded = roundTrip(records) as Record<string, unknown>[]
      deepStrictEqual(
        decoded.map((record) => Object.keys(record)),
        shapes,
      )
      deepStrictEqual(decoded, records)
    }),
    { numRuns: 60, seed: 2 },
  )
})

test('every block decodes by itself, in any order', () => {
  const blocks = Array.from({ length: 50 }, (_, i) => [
    { [`a${String(i % 7)}`]: i, b: 1 },
    { b: 2, c: [{ d: i }] },
  ])
  const encoded = blocks.map((block) => encodeRecords(block))
  for (const [i, bytes] of [...encoded.entries()].reverse()) deepStrictEqual(decodeRecords(bytes), blocks[i])
})

test('an invalid date, large integers and long strings are kept', () => {
  expect(roundTrip([new Date(NaN)])).toEqual([new Date(NaN)])
  const records = [2 ** 53, -(2 ** 53), 2 ** 32, 10n ** 400n, -(2n ** 63n), 'x'.repeat(100_000), 'ü😀'.repeat(40_000)]
  deepStrictEqual(roundTrip(records), records)
})

test('decoded bytes do not refer to the block that they were in', () => {
  const encoded = encodeRecords([Buffer.from('hello')])
  const [decoded] = decodeRecords(encoded) as [Buffer]
  encoded.fill(0)
  expect(decoded.toString()).toBe('hello')
})

test('encoded blocks own their bytes', () => {
  const first = encodeRecords(['first'])
  const copy = Uint8Array.from(first)
  encodeRecords(['second', 'block'])
  deepStrictEqual(Uint8Array.from(first), copy)
  expect(first.buffer.byteLength).toBe(first.byteLength)
})

test('an object without prototype comes back as a plain one', () => {
  const bare = Object.assign(Object.create(null) as object, { a: -0 })
  deepStrictEqual(roundTrip([bare]), [{ a: -0 }])
})

class Order {
  readonly id = 1
}

test.each([
  ['a function', [1, 2, 3, { callback: () => 1 }], '[3].callback is a function'],
  ['a symbol', [{ tag: [Symbol('x')] }], '[0].tag[0] is a symbol'],
  ['an instance', [[1, new Order()]], '[0][1] is an instance of Order'],
  ['a map value', [new Map([['k', Math.max]])], '[0].get(k) is a function'],
  ['a map key', [new Map([[Symbol('x'), 1]])], '[0].<key> is a symbol'],
  ['a member of a set', [new Set([new Order()])], '[0].<member> is an instance of Order'],
  ['a regular expression', [/x/], '[0] is an instance of RegExp'],
  ['an error', [new TypeError('x')], '[0] is an instance of TypeError'],
  ['a promise', [Promise.resolve()], '[0] is an instance of Promise'],
  ['a subclass of Array', [new (class Rows extends Array {})()], '[0] is an instance of Rows'],
])('%s is refused with its path', (_, records, message) => {
  const error = failureOf(() => encodeRecords(records))
  expect(isSluiceError(error, 'UNSERIALIZABLE')).toBe(true)
  expect(String(error)).toContain(message)
})

test('a value that contains itself is refused, and the next block is not harmed', () => {
  const loop: Record<string, unknown> = { a: 1 }
  loop['self'] = loop
  const error = failureOf(() => encodeRecords([loop]))
  expect(isSluiceError(error, 'UNSERIALIZABLE')).toBe(true)
  expect(String(error)).toContain('contains itself')
  deepStrictEqual(roundTrip([{ a: 1 }]), [{ a: 1 }])
})

test('damaged bytes are DATA_CORRUPT or other records, never another error', () => {
  const bytes = encodeRecords([{ a: 1, b: 'text' }, ['x', 2], new Map([[1, 2]])])
  for (let length = 0; length < bytes.length; length++) {
    const error = failureOf(() => decodeRecords(bytes.subarray(0, length)))
    expect(isSluiceError(error, 'DATA_CORRUPT')).toBe(true)
  }
  expect(
    isSluiceError(
      failureOf(() => decodeRecords(Buffer.from([1]))),
      'DATA_CORRUPT',
    ),
  ).toBe(true)
  deepStrictEqual(roundTrip([{ a: 1 }]), [{ a: 1 }])
})
