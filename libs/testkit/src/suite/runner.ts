/** How every conformance suite is built: named rules, a bench for each, skips that carry their reason. */
import assert from 'node:assert/strict'
import { watchRejections } from './rejections.js'

/** The functions of a test runner that a suite needs; those of vitest, jest, mocha and `node:test` fit. */
export interface SuiteRunner {
  describe(name: string, define: () => void): unknown
  readonly test: TestFunction
}

export interface TestFunction {
  /** `timeoutMs` is for runners that take it there, as vitest and jest do: their own is often shorter than a suite's deadlines. */
  (name: string, run: () => Promise<void>, timeoutMs?: number): unknown
  /** Where the runner has it, left out rules are shown as skipped. */
  skip?(name: string, run: () => Promise<void>): unknown
}

/** A rule that does not apply, and why. */
export interface Skip {
  /** The rule's whole name. A name that the suite does not have fails. */
  readonly test: string
  readonly reason: string
}

/** One rule: a test with a name. */
export interface Rule<B> {
  readonly name: string
  run(bench: B): Promise<void>
}

export interface Suite<B> {
  readonly title: string
  readonly rules: readonly Rule<B>[]
  readonly skip: readonly Skip[]
  /** Makes what one test works with. */
  open(rule: Rule<B>): Promise<Opened<B>>
}

interface Opened<B> {
  readonly bench: B
  /** Called after the test, also after a failed one. */
  close(): Promise<void>
}

/** The name of the test in every suite that checks its skips. */
export const SKIPS_RULE = 'every skip names a rule and has its reason'

/** What a test runner is told, and what a suite's user may say of its steps. */
interface PatientRunner extends SuiteRunner {
  readonly deadlineMs?: number | undefined
}

const DEADLINE_MS = 30_000
/** More than one step of a rule may come near its deadline. */
const STEPS = 4

/** Defines one test for each rule. */
export function defineSuite<B>(runner: PatientRunner, suite: Suite<B>): void {
  const { describe, test, deadlineMs = DEADLINE_MS } = runner
  const reasons = new Map(suite.skip.map((skip) => [skip.test, skip.reason]))
  describe(suite.title, () => {
    test(SKIPS_RULE, () => checkSkips(suite))
    for (const rule of suite.rules) {
      const reason = reasons.get(rule.name)
      if (reason === undefined) test(rule.name, () => runRule(suite, rule), STEPS * deadlineMs)
      else skipped(test, `${rule.name} (skipped: ${reason})`)
    }
  })
}

function skipped(test: TestFunction, name: string): void {
  const nothing = (): Promise<void> => Promise.resolve()
  if (test.skip === undefined) test(name, nothing)
  else test.skip(name, nothing)
}

async function checkSkips<B>({ rules, skip }: Suite<B>): Promise<void> {
  const names = rules.map((rule) => rule.name)
  for (const { test, reason } of skip) {
    assert.ok(names.includes(test), `skip names '${test}', which is no rule; the rules are:\n${names.join('\n')}`)
    assert.notEqual(reason.trim(), '', `the skip of '${test}' needs its reason`)
  }
  await Promise.resolve()
}

async function runRule<B>(suite: Suite<B>, rule: Rule<B>): Promise<void> {
  const unhandled = await watchRejections(async () => {
    const { bench, close } = await suite.open(rule)
    try {
      await rule.run(bench)
    } finally {
      await close()
    }
  })
  assert.deepEqual(unhandled, [], 'no promise may be left to reject unhandled')
}

/** What a rule needs of the options: missing, its test fails and says so. */
export function ingredient<V>(value: V | undefined, name: string, rule: string): V {
  assert.ok(value !== undefined, `this rule needs '${name}'; give it, or skip '${rule}' with its reason`)
  return value
}
