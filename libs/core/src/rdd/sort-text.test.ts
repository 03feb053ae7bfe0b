import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RADIX, type Entry } from './radix.js'
import { sortByText } from './sort-text.js'

function finished<R>(steps: Generator<undefined, R>): R {
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value
}

const up = (a: Entry, b: Entry): number => (String(a[0]) < String(b[0]) ? -1 : String(a[0]) > String(b[0]) ? 1 : 0)

/** Sorts both ways, and holds every entry against what the built-in, stable sort gives. */
function expectSorted(keys: readonly string[]): void {
  const entries = keys.map((key, i): Entry => [key, i])
  for (const descending of [false, true]) {
    const expected = [...entries].sort(descending ? (a, b) => up(b, a) : up)
    const found = finished(sortByText([...entries], descending))
    // Not toEqual on the arrays: they are large, and a difference would be printed whole.
    const wrong = expected.findIndex((entry, i) => found[i] !== entry)
    expect(expected[wrong], `${descending ? 'descending' : 'ascending'}, place ${String(wrong)}`).toBeUndefined()
    expect(found).toHaveLength(expected.length)
  }
}

/** A number below `below` for each `i`, the same in each run, without order. */
const mixed = (i: number, below: number): number => (Math.imul(i + 1, 0x9e3779b1) >>> 0) % below
const made = (n: number, key: (i: number) => string): string[] => Array.from({ length: n }, (_, i) => key(i))

test('any strings are sorted as Array.sort sorts them, equal ones as they came', () => {
  const unit = fc.constantFrom('', '\0', ' ', 'a', 'b', 'z', 'é', '\u00ff', '\u0100', '\ud800', '😀', '\uffff')
  const text = fc.oneof(
    fc.array(unit, { maxLength: 40 }).map((units) => units.join('')),
    fc.string({ unit: 'binary', maxLength: 40 }),
  )
  const keys = fc.tuple(text, fc.array(text, { minLength: 1, maxLength: 200 }), fc.integer({ min: 1, max: 3 }))
  fc.assert(
    fc.property(keys, ([prefix, texts, times]) => {
      expectSorted(made(times * texts.length, (i) => prefix + String(texts[i % texts.length])))
    }),
    { seed: 31, numRuns: 300 },
  )
})

const LARGE = 5 * RADIX
const cases: readonly [string, readonly string[]][] = [
  ['one key', ['a']],
  ['keys with one long start', made(LARGE, (i) => `https://example.org/customers/${String(mixed(i, LARGE))}`)],
  [
    'groups of many keys, each with a long start of its own',
    made(LARGE, (i) => `${'group'.repeat(5)}${String(i % 3).repeat(50)}/${String(mixed(i, 10_000))}`),
  ],
  ['equal keys', made(LARGE, () => 'x'.repeat(100))],
  ['equal keys but the last', made(LARGE, (i) => (i === LARGE - 1 ? 'x' : 'x'.repeat(100)))],
  ['empty strings', made(LARGE, () => '')],
  ['some empty strings', made(LARGE, (i) => (i % 3 === 0 ? '' : String(mixed(i, 100))))],
  ['keys of one unit, longer and longer', made(LARGE, (i) => 'a'.repeat(mixed(i, 300)))],
  ['keys that go on with the least unit', made(LARGE, (i) => 'a' + '\0'.repeat(mixed(i, 50)))],
  ['keys of all units', made(LARGE, (i) => String.fromCharCode(mixed(i, 65_536), mixed(i + 7, 65_536)).repeat(2))],
  ['very long keys', made(RADIX, (i) => 'long '.repeat(5_000) + String(mixed(i, 1_000)))],
  ['keys in order', made(LARGE, (i) => String(i).padStart(30, '0'))],
  ['keys in opposite order', made(LARGE, (i) => String(LARGE - i).padStart(30, '0'))],
  [
    'keys that differ behind what one round looks at',
    made(LARGE, (i) => `${String(i % 2)}${'-'.repeat(40)}${String(i)}`),
  ],
]

test.each(cases)('%s', (_name, keys) => {
  expectSorted(keys)
})
