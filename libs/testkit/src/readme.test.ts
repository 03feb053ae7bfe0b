import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  fileSystemConformance,
  inputConformance,
  logConformance,
  offsetStoreConformance,
  receiverConformance,
  sinkConformance,
  type SuiteRunner,
} from './index.js'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

function namesOf(define: (runner: SuiteRunner) => void): string[] {
  const names: string[] = []
  define({
    describe: (_name, inner) => {
      inner()
    },
    test: (name) => void names.push(name),
  })
  return names.slice(1)
}

const never = (): never => {
  throw new Error('nothing runs here')
}

const suites: Record<string, string[]> = {
  sinkConformance: namesOf((runner) => {
    sinkConformance({ ...runner, name: '', open: never, record: never })
  }),
  receiverConformance: namesOf((runner) => {
    receiverConformance({ ...runner, name: '', open: never, record: never })
  }),
  inputConformance: namesOf((runner) => {
    inputConformance({ ...runner, name: '', open: never, record: never })
  }),
  offsetStoreConformance: namesOf((runner) => {
    offsetStoreConformance({ ...runner, name: '', open: never })
  }),
  fileSystemConformance: namesOf((runner) => {
    fileSystemConformance({ ...runner, name: '', open: never })
  }),
  logConformance: namesOf((runner) => {
    logConformance({ ...runner, name: '', open: never })
  }),
}

test.each(Object.entries(suites))('the README lists the rules of %s', (name, rules) => {
  const section = readme.split(`### \`${name}\``)[1]?.split('\n### ')[0] ?? ''
  expect(section.match(/^- .*/gm)).toEqual(rules.map((rule) => `- ${rule}`))
})

test('no two rules of a suite have the same name', () => {
  for (const rules of Object.values(suites)) expect(new Set(rules).size).toBe(rules.length)
})
