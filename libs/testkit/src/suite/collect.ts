/** Runs a suite without any test runner and gives what became of each test: how suites themselves are tested. */
import type { SuiteRunner } from './runner.js'

export interface SuiteResult {
  readonly name: string
  readonly outcome: 'passed' | 'failed' | 'skipped'
  readonly error?: unknown
}

export interface CollectOptions {
  /** Runs only this test. Default: all. */
  readonly only?: string | undefined
}

/** Defines a suite by `define` and runs its tests one after another, in this process. */
export async function collectSuite(
  define: (runner: SuiteRunner) => void,
  { only }: CollectOptions = {},
): Promise<SuiteResult[]> {
  const tests: { readonly name: string; run(): Promise<void> }[] = []
  const skipped: string[] = []
  const test = (name: string, run: () => Promise<void>): void => void tests.push({ name, run })
  define({
    describe: (_name, inner) => {
      inner()
    },
    test: Object.assign(test, { skip: (name: string) => void skipped.push(name) }),
  })
  const results: SuiteResult[] = skipped.map((name) => ({ name, outcome: 'skipped' }))
  for (const { name, run } of tests) {
    if (only !== undefined && name !== only) continue
    try {
      await run()
      results.push({ name, outcome: 'passed' })
    } catch (error) {
      results.push({ name, outcome: 'failed', error })
    }
  }
  return results
}
