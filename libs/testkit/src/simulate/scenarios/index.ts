/** The programs that are simulated in every test run. */
import type { Scenario } from './scenario.js'
import { wordCount } from './word-count.js'

export const scenarios: readonly Scenario[] = [wordCount]
