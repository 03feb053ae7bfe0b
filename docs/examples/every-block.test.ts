/** Every block of the pages that users read is of a known kind, compiles if it is code, and is run by a test. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  blockNamed,
  blocksOf,
  callsIn,
  exportsOf,
  isCode,
  pages,
  problemsOfTypes,
  ROOT,
  testFiles,
  type Block,
} from '@sluice/doc-blocks'
import { expect, test } from 'vitest'

const LANGUAGES = ['console', 'js', 'mermaid', 'sh', 'text', 'ts']

const blocks = pages().flatMap((page) => blocksOf(page))
const code = blocks.filter(isCode)
const title = ({ page, line }: Pick<Block, 'page' | 'line'>): string => `${page}:${String(line)}`
const files = testFiles().map((file) => ({ file, ...callsIn(file, readFileSync(join(ROOT, file), 'utf8')) }))
const calls = files.flatMap((file) => file.calls)

/** The block that a call runs, by its title; what is wrong where it is not there. */
const ranBy = (call: (typeof calls)[number]): string => {
  try {
    return title(blockNamed(call.page, call.name))
  } catch (error) {
    return `${title({ page: call.file, line: call.line })}: ${(error as Error).message}`
  }
}

test('every block says what it is', () => {
  expect(pages().length).toBeGreaterThan(30)
  expect(blocks.length).toBeGreaterThan(80)
  expect(blocks.filter(({ language }) => !LANGUAGES.includes(language)).map(title)).toEqual([])
})

test('every block of code is run by a test, which uses all that it exports', () => {
  const problems = code.flatMap((block) => {
    const { isTypesOnly, values } = exportsOf(block)
    if (isTypesOnly) return []
    const running = files.filter((file) => file.calls.some((call) => ranBy(call) === title(block)))
    if (running.length === 0) return [`${title(block)} is run by no test`]
    const unused = values.filter((name) => !running.some(({ used }) => used.has(name)))
    return unused.map((name) => `${title(block)}: no test that runs it uses ${name}`)
  })
  expect(problems).toEqual([])
})

test('every run of a block is one of a block that is there', () => {
  const there = new Set(code.map(title))
  expect(calls.map(ranBy).filter((each) => !there.has(each))).toEqual([])
  expect(files.flatMap(({ problems }) => problems)).toEqual([])
})

test('every block of code compiles, strictly, with what is installed', () => {
  // Fragments are compiled in the module that has them, by the build.
  const quoted = new Set(calls.filter((call) => call.function === 'quotedBlock').map(ranBy))
  expect(problemsOfTypes(code.filter((block) => !quoted.has(title(block))))).toEqual([])
}, 120_000)
