/** What a suite needs of the test runner, with deadlines that a hundred thousand keys keep on a busy machine, too. */
import type { SuiteRunner } from '@sluice/testkit'
import { describe, test } from 'vitest'

const DEADLINE_MS = 180_000

const patientTest = (name: string, run: () => Promise<void>): void => {
  test(name, run, DEADLINE_MS)
}

export const patient: SuiteRunner & { readonly deadlineMs: number } = {
  describe,
  test: Object.assign(patientTest, { skip: test.skip }),
  deadlineMs: DEADLINE_MS,
}
