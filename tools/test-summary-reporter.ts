/**
 * Ends a test run with one plain line, `N passed, N failed, N skipped`, for people and scripts to read.
 *
 * What fails outside a test counts as a failure too: a file that does not load, a hook that throws, a stray rejection.
 */
import type { Reporter, TestModule } from 'vitest/node'

export default class TestSummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0
    let failed = unhandledErrors.length
    let skipped = 0
    for (const module of modules) {
      failed += module.errors().length
      for (const suite of module.children.allSuites()) failed += suite.errors().length
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed += 1
        else if (state === 'failed') failed += 1
        else skipped += 1
      }
    }
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
  }
}
