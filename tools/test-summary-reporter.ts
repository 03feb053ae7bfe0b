/**
 * Ends a test run with one plain line, `N passed, N failed, N skipped`, for people and scripts to read.
 *
 * What fails outside a test counts as a failure too: a file that does not load, a hook that throws, a stray rejection.
 * The lines before it name each failure once more, in short: logs are often kept from their end only.
 */
import type { Reporter, TestModule } from 'vitest/node'

const MESSAGE_LENGTH = 300

export default class TestSummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    let passed = 0
    let skipped = 0
    const failures = unhandledErrors.map((error) => shortly('outside of tests', error))
    for (const module of modules) {
      const { relativeModuleId: file } = module
      failures.push(...module.errors().map((error) => shortly(file, error)))
      for (const suite of module.children.allSuites()) {
        failures.push(...suite.errors().map((error) => shortly(`${file} > ${suite.fullName}`, error)))
      }
      for (const test of module.children.allTests()) {
        const { state, errors } = test.result()
        if (state === 'passed') passed += 1
        else if (state === 'failed') failures.push(shortly(`${file} > ${test.fullName}`, errors[0]))
        else skipped += 1
      }
    }
    for (const failure of failures) console.log(`failed: ${failure}`)
    console.log(`${passed} passed, ${failures.length} failed, ${skipped} skipped`)
  }
}

function shortly(where: string, error: unknown): string {
  const { message } = (error ?? {}) as { readonly message?: unknown }
  return `${where}: ${String(message ?? error)
    .replaceAll(/\s+/g, ' ')
    .slice(0, MESSAGE_LENGTH)}`
}
