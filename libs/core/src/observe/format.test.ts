import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatRecord, jsonOf } from './format.js'

class Money {
  readonly cents: bigint
  constructor(cents: bigint) {
    this.cents = cents
  }
  toJSON(): string {
    return `${String(this.cents)} ct`
  }
}

test.each<readonly [unknown, string]>([
  ['as "it" is', 'as "it" is'],
  [['word', 3], '(word,3)'],
  [[['a', 1], 2n], '((a,1),2)'],
  [['k', { n: 1 }], '(k,{"n":1})'],
  [[1, 2, 3], '[1,2,3]'],
  [[], '[]'],
  [-0, '0'],
  [NaN, 'NaN'],
  [12_345_678_901_234_567_890n, '12345678901234567890'],
  [true, 'true'],
  [null, 'null'],
  [undefined, 'null'],
  [{ big: 1n, none: undefined, day: new Date(0) }, '{"big":1,"day":"1970-01-01T00:00:00.000Z"}'],
  [new Date(1), '1970-01-01T00:00:00.001Z'],
  [new Date(NaN), 'Invalid Date'],
  [Buffer.from('grün'), 'grün'],
  [Uint8Array.of(0xff, 0xfe), '//4='],
  [{ raw: Buffer.from('x') }, '{"raw":"x"}'],
  [new Map([['a', new Set([1])]]), '[["a",[1]]]'],
  [{ price: new Money(5n) }, '{"price":"5 ct"}'],
  [new URL('http://host/path'), '"http://host/path"'],
  [() => 1, '"[function]"'],
  [Symbol('s'), '"[symbol]"'],
  ['\ud800', '\ud800'],
])('%s is written as %s', (record, text) => {
  expect(formatRecord(record)).toBe(text)
})

test('a circle is named, not followed; the same value twice is no circle', () => {
  const self: Record<string, unknown> = {}
  self['self'] = self
  expect(jsonOf(self)).toBe('{"self":"[circular]"}')
  const shared = { n: 1 }
  expect(jsonOf([shared, shared])).toBe('[{"n":1},{"n":1}]')
})

test('a toJSON that gives the value itself is not asked for ever', () => {
  const odd = {
    n: 1,
    toJSON(): unknown {
      return this
    },
  }
  expect(jsonOf(odd)).toBe('{"n":1,"toJSON":"[function]"}')
})

test('of plain data it is JSON', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(jsonOf(value)).toBe(JSON.stringify(value))
    }),
  )
})
