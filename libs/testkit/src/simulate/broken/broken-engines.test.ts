/** The simulator is tested itself: engines with a mistake are found, and the whole one is not. They run the build of core. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { broken, coreDist } from './broken-engine.js'
import { brokenEngines, tuning } from './broken-engines.js'
import { hunts } from './hunts.js'

interface Found {
  readonly runs: number
  readonly problem?: string
  readonly cpuMs: number
}

const MAIN = fileURLToPath(new URL('../../../dist/simulate/broken/broken-main.js', import.meta.url))

/** Rejects when the program fails: that is no finding. */
async function hunted(...args: readonly string[]): Promise<Found> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...args])
  return JSON.parse(stdout) as Found
}

test.each([...brokenEngines, { name: 'tuning', replacements: tuning }])(
  '$name: the pieces that it replaces stand in the engine, once each',
  ({ replacements }) => {
    for (const file of new Set(replacements.map((each) => each.file))) {
      const source = readFileSync(new URL(file, coreDist), 'utf8')
      expect(broken(source, file, replacements)).not.toBe(source)
    }
  },
)

test('a piece that is not there, or more than once, is told', () => {
  const piece = { file: 'a.js', find: 'x', replace: 'y' }
  expect(broken('axb', 'a.js', [piece])).toBe('ayb')
  expect(broken('axb', 'b.js', [piece])).toBe('axb')
  expect(() => broken('ab', 'a.js', [piece])).toThrow(/stands not in a.js/)
  expect(() => broken('axbx', 'a.js', [piece])).toThrow(/more than once in a.js/)
})

test('every rule that a simulation can see has an engine that breaks it', () => {
  const rules = new Set(brokenEngines.map(({ rule }) => rule))
  expect([...rules].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)))).toEqual(
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 25].map((rule) => `E${String(rule)}`),
  )
  expect(new Set(brokenEngines.map(({ name }) => name)).size).toBe(brokenEngines.length)
  expect(Object.keys(hunts).filter((name) => brokenEngines.every(({ hunt }) => hunt !== name))).toEqual([])
})

const rows: string[] = []

test.each(brokenEngines)('$rule: it is found that $mistake ($name)', { timeout: 120_000 }, async (engine) => {
  const { problem, runs, cpuMs } = await hunted(engine.name)
  expect(problem).toMatch(engine.finds)
  const [what = ''] = problem?.split('\n') ?? []
  rows.push(
    `${engine.rule.padEnd(4)}${engine.name.padEnd(38)}${engine.hunt.padEnd(34)}${String(runs).padStart(4)} runs ${String(cpuMs).padStart(6)} ms  ${what.slice(0, 60)}`,
  )
})

test.each(Object.keys(hunts))('nothing is found in the whole engine: %s', { timeout: 120_000 }, async (name) => {
  const { runs, problem, cpuMs } = await hunted('whole', name)
  expect(problem).toBeUndefined()
  rows.push(
    `    the whole engine${' '.repeat(22)}${name.padEnd(34)}${String(runs).padStart(4)} runs ${String(cpuMs).padStart(6)} ms`,
  )
})

test('what was found', () => {
  process.stdout.write(`${rows.join('\n')}\n`)
  expect(rows.length).toBe(brokenEngines.length + Object.keys(hunts).length)
})
