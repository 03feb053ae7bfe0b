import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseCsvLine } from './csv.js'
import { splitFields } from './testing/recompute.js'

const write = (fields: readonly string[]): string => fields.map((field) => `"${field.replaceAll('"', '""')}"`).join(',')
const plain = fc.string().filter((text) => !/[",]/.test(text))

describe('parseCsvLine', () => {
  it.each([
    ['', ['']],
    [',', ['', '']],
    ['a,b,', ['a', 'b', '']],
    ['"a,b",c', ['a,b', 'c']],
    ['"RECORD FRAME 7"" SINGLE SIZE ",6', ['RECORD FRAME 7" SINGLE SIZE ', '6']],
    ['"",""', ['', '']],
    ['""""', ['"']],
    ['7" FRAME, x ', ['7" FRAME', ' x ']],
  ])('reads %s', (line, fields) => {
    expect(parseCsvLine(line)).toEqual(fields)
  })

  it.each(['"', '"a', 'a,"b', '"a"b', '"a" ,b', '"a""'])('tells no fields where quotes do not match: %s', (line) => {
    expect(parseCsvLine(line)).toBeUndefined()
  })

  it('reads back any fields that were written in quotes', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), (fields) => {
        expect(parseCsvLine(write(fields))).toEqual(fields)
      }),
    )
  })

  it('reads back any fields without quotes and commas as they are', () => {
    fc.assert(
      fc.property(fc.array(plain, { minLength: 1 }), (fields) => {
        expect(parseCsvLine(fields.join(','))).toEqual(fields)
      }),
    )
  })

  it('agrees with a regular expression on any mixture of both', () => {
    const field = fc.oneof(
      plain,
      fc.string().map((text) => write([text])),
    )
    fc.assert(
      fc.property(fc.array(field, { minLength: 1 }), (fields) => {
        const line = fields.join(',')
        expect(parseCsvLine(line)).toEqual(splitFields(line))
      }),
    )
  })

  it('never throws', () => {
    const unit = fc.constantFrom('"', ',', 'a', ' ')
    fc.assert(
      fc.property(fc.string({ unit }), (line) => {
        const fields = parseCsvLine(line)
        if (fields !== undefined) expect(parseCsvLine(write(fields))).toEqual(fields)
      }),
    )
  })
})
