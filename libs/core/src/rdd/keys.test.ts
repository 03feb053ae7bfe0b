import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import { encodeKey, hashKey, KeyedMap } from './keys.js'

const scalar = fc.oneof(
  fc.constantFrom<unknown>(null, NaN, 0, -0, 1, '1', '', true, false, 1n, -1n, 'n1;', 's1:1', '[', '{'),
  fc.string({ maxLength: 4 }),
  fc.integer({ min: -3, max: 3 }),
  fc.double(),
  fc.bigInt({ min: -3n, max: 3n }),
  fc.date({ noInvalidDate: false, min: new Date(0), max: new Date(3) }),
)
const { key } = fc.letrec<{ key: unknown }>((tie) => ({
  key: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    scalar,
    fc.array(tie('key'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', '1:a', ''), tie('key'), { maxKeys: 3 }),
  ),
}))

/** The rule by itself: equal by content, told from types first. */
function equal(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b || Object.is(a, b)
  if (a instanceof Date || b instanceof Date) {
    return a instanceof Date && b instanceof Date && Object.is(a.getTime(), b.getTime())
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b)) return false
    return a.length === b.length && a.every((x, i) => equal(x, b[i]))
  }
  const [left, right] = [a, b] as Record<string, unknown>[]
  const names = Object.keys(left!)
  return names.length === Object.keys(right!).length && names.every((n) => n in right! && equal(left![n], right![n]))
}

describe('keys by content', () => {
  test('two keys have one encoding if and only if they are equal', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(encodeKey(a, 'op') === encodeKey(b, 'op')).toBe(equal(a, b))
        if (equal(a, b)) expect(hashKey(a, 'op')).toBe(hashKey(b, 'op'))
      }),
      { seed: 1, numRuns: 5_000 },
    )
  })

  test('a copy has the same encoding and hash, whatever the order of its properties', () => {
    fc.assert(
      fc.property(key, (a) => {
        const copy = reordered(a)
        expect(encodeKey(copy, 'op')).toBe(encodeKey(a, 'op'))
        expect(hashKey(copy, 'op')).toBe(hashKey(a, 'op'))
      }),
      { seed: 2, numRuns: 1_000 },
    )
  })

  test.each([
    ['1 and "1"', 1, '1', false],
    ['1 and 1n', 1, 1n, false],
    ['{a,b} and {b,a}', { a: 1, b: 2 }, { b: 2, a: 1 }, true],
    ['NaN and NaN', NaN, NaN, true],
    ['-0 and 0', -0, 0, true],
    ['[-0] and [0]', [-0], [0], true],
    ['null and "null"', null, 'null', false],
    ['dates of one instant', new Date(5), new Date(5), true],
    ['a date and its number', new Date(5), 5, false],
    ['nested tuples', [[1, 'a'], 2], [[1, 'a'], 2], true],
    ['tuples cut elsewhere', ['a', 'bc'], ['ab', 'c'], false],
    ['tuples nested elsewhere', [[1], 2], [1, [2]], false],
    ['an undefined and an absent property', { a: 1, b: undefined }, { a: 1 }, true],
    ['a null and an absent property', { a: 1, b: null }, { a: 1 }, false],
    ['an object without prototype', Object.assign(Object.create(null) as object, { a: 1 }), { a: 1 }, true],
  ])('%s: %#', (_name, a, b, same) => {
    expect(encodeKey(a, 'op') === encodeKey(b, 'op')).toBe(same)
    const map = new KeyedMap<number>('op')
    map.insert(a, 1)
    expect(map.find(b)?.v).toBe(same ? 1 : undefined)
  })

  test.each([
    ['undefined', undefined, /undefined cannot be a key/],
    ['a function', () => 1, /function cannot be a key/],
    ['a symbol', Symbol('x'), /symbol cannot be a key/],
    ['a Map', new Map(), /an instance of Map/],
    ['bytes', Buffer.from('x'), /an instance of Buffer/],
    [
      'a class instance',
      new (class Point {
        readonly x = 1
      })(),
      /an instance of Point/,
    ],
    ['without constructor', Object.create(Object.create(null) as object), /an unnamed class/],
    ['undefined in a tuple', [1, undefined], /undefined cannot be a key/],
    ['a Set in an object', { a: new Set() }, /an instance of Set/],
  ])('%s is no key, and the error names the operator', (_name, invalid, message) => {
    const caught = thrownBy(() => new KeyedMap('reduceByKey-3').find(invalid))
    expect(isSluiceError(caught, 'KEY_INVALID')).toBe(true)
    expect(caught).toMatchObject({ component: 'reduceByKey-3', message: expect.stringMatching(message) })
    expect(
      isSluiceError(
        thrownBy(() => hashKey(invalid, 'op')),
        'KEY_INVALID',
      ),
    ).toBe(true)
  })
})

function reordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reordered)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, each]) => [name, reordered(each)]),
  )
}

function thrownBy(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  return undefined
}

describe('hashes', () => {
  // They say in which partition a key is, also in what was written by another version: never change them.
  test('are the same in every process and version', () => {
    const values = [
      '',
      'a',
      'word',
      'é',
      0,
      -1,
      42,
      2 ** 40,
      0.5,
      NaN,
      null,
      true,
      7n,
      new Date(0),
      [1, 'a'],
      { a: [1] },
    ]
    expect(values.map((value) => hashKey(value, 'op'))).toMatchInlineSnapshot(`
      [
        2872998923,
        444641715,
        3956802879,
        3136788073,
        0,
        3390830866,
        1716251024,
        760459136,
        136294080,
        3287162616,
        2052261803,
        3806817964,
        1504801606,
        3726983254,
        3917919046,
        2297425623,
      ]
    `)
  })

  test.each([
    ['integers', (i: number) => i],
    ['multiples of 1024', (i: number) => i * 1_024],
    ['large integers', (i: number) => i * 2 ** 32],
    ['texts', (i: number) => `user-${String(i)}`],
    ['tuples', (i: number) => ['k', i]],
    ['fractions', (i: number) => i / 7],
  ])('spread %s evenly over partitions', (_name, keyOf) => {
    for (const partitions of [2, 7, 16]) {
      const counts = new Array<number>(partitions).fill(0)
      for (let i = 0; i < 10_000; i++) counts[hashKey(keyOf(i), 'op') % partitions]!++
      const even = 10_000 / partitions
      // Six standard deviations of a binomial distribution.
      for (const count of counts) expect(Math.abs(count - even)).toBeLessThan(6 * Math.sqrt(even))
    }
  })
})

describe('KeyedMap', () => {
  test('keeps the order of first sight, also when composite keys come after primitive ones', () => {
    const map = new KeyedMap<string>('op')
    const keys = ['b', 1, [1], 'a', { x: 1 }, 2n, [0], null, -0]
    for (const each of keys) map.findOrInsert(each, () => 'new')
    for (const each of keys.toReversed()) map.findOrInsert(each, () => 'again')
    expect(Array.from(map.boxes(), ({ k }) => k)).toEqual(['b', 1, [1], 'a', { x: 1 }, 2n, [0], null, 0])
    expect(Array.from(map.boxes(), ({ v }) => v)).not.toContain('again')
    expect(map.size).toBe(keys.length)
  })

  test('is a Map of encodings, in its order', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.boolean())), (steps) => {
        const map = new KeyedMap<number>('op')
        const model = new Map<string, [unknown, number]>()
        steps.forEach(([k, deletes], i) => {
          const text = encodeKey(k, 'op')
          const box = map.find(k)
          expect(box?.v).toBe(model.get(text)?.[1])
          if (box !== undefined && deletes) {
            map.delete(box)
            model.delete(text)
          } else if (box !== undefined) {
            box.v = i
            model.get(text)![1] = i
          } else {
            map.insert(k, i)
            model.set(text, [k, i])
          }
        })
        expect(map.size).toBe(model.size)
        expect(Array.from(map.boxes(), ({ v }) => v)).toEqual(Array.from(model.values(), ([, v]) => v))
      }),
      { seed: 3, numRuns: 500 },
    )
  })
})
