import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { isSluiceError, messageOf, requireArgument, SluiceError, toError } from './errors.js'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')

/** The members of the type, and the rows of the table. */
const inCode = [...read('./errors.ts').matchAll(/^ {2}\| '([A-Z_]+)'$/gm)].map(([, code]) => code)
const rows = [...read('../../../docs/errors.md').matchAll(/^\| `([A-Z_]+)`\s*\|([^|]+)\|([^|]+)\|$/gm)]

test('every code is in docs/errors.md, and no other, in the order of the list', () => {
  expect(inCode.length).toBeGreaterThan(30)
  expect(rows.map(([, code]) => code)).toEqual(inCode)
})

test('every code has its meaning and its remedy in docs/errors.md', () => {
  for (const [, code, meaning = '', remedy = ''] of rows) {
    expect.soft(meaning.trim(), code).toMatch(/^\S.{10,}\.$/)
    expect.soft(remedy.trim(), code).toMatch(/^\S.{10,}\.$/)
  }
})

test('a message names the component; code, cause and retryable are for programs', () => {
  const cause = new Error('below')
  const error = new SluiceError({ code: 'TIMEOUT', component: 'my-sink', message: 'too slow; wait', cause })
  expect(error.message).toBe('[my-sink] too slow; wait')
  expect(error).toMatchObject({ name: 'SluiceError', code: 'TIMEOUT', component: 'my-sink', retryable: false, cause })
  expect('cause' in new SluiceError({ code: 'TIMEOUT', component: 'x', message: 'y' })).toBe(false)
})

test('isSluiceError knows errors of another copy of core, and no others', () => {
  const foreign = Object.assign(new Error('x'), { '~sluice': 'error/1', code: 'STOPPED' })
  expect(isSluiceError(foreign)).toBe(true)
  expect(isSluiceError(foreign, 'STOPPED')).toBe(true)
  expect(isSluiceError(foreign, 'TIMEOUT')).toBe(false)
  for (const other of [undefined, null, 'STOPPED', new Error('x'), { code: 'STOPPED' }]) {
    expect(isSluiceError(other)).toBe(false)
  }
})

test('anything thrown has a message and can be made an Error', () => {
  const error = new Error('e')
  expect(toError(error)).toBe(error)
  expect([messageOf(error), messageOf('text'), messageOf(undefined)]).toEqual(['e', 'text', 'undefined'])
  expect(toError(7)).toMatchObject({ message: 'a value that is no Error was thrown: 7', cause: 7 })
})

test('requireArgument throws ARGUMENT_INVALID in the name of its component', () => {
  requireArgument(true, 'map', 'never')
  expect(() => {
    requireArgument(false, 'map', 'must be more')
  }).toThrowError('[map] must be more')
})
