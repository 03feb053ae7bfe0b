/** What a suite needs of the test runner, with deadlines that a hundred thousand keys keep on a busy machine, too. */
import { describe, test } from 'vitest'

const DEADLINE_MS = 180_000

type Run = () => Promise<void>

/** As the suites want it. */
interface PatientTest {
  (name: string, run: Run): void
  skip(name: string, run: Run): void
}

const patientTest = (name: string, run: Run): void => {
  test(name, run, DEADLINE_MS)
}
const skip = (name: string, run: Run): void => {
  test.skip(name, run)
}

export const patient: {
  readonly describe: (name: string, define: () => void) => void
  readonly test: PatientTest
  readonly deadlineMs: number
} = {
  describe: (name, define) => {
    describe(name, define)
  },
  test: Object.assign(patientTest, { skip }),
  deadlineMs: DEADLINE_MS,
}
