/**
 * Mistakes that a maintainer could make, at least one for each rule of EXACTNESS.md that a simulation can see broken. Where a
 * second check hides a mistake, the engine makes both: the simulator has to see it without the help of that check.
 *
 * What no simulation here shows, and tests with the rule's number do:
 * - E1: a digest that is not compared. It takes a lost plan, a ledger whose newest batch is not looked at and a clock that is set
 *   back, so that a time comes again.
 * - E3: partition counts that differ on a re-run are refused; no whole engine ever runs a program that would show it.
 * - E7: an epoch taken after the log is read, or from an owner that lives: that is an order of the start, whose files have names by
 *   epoch, so that no small piece of code decides it alone; the simulator starts a second owner only with `takeOver`.
 * - E11: names that are asked for, and state ids that swap: the program is refused before it runs.
 * - E13: marks of finished outputs that are ignored after a restart: outputs run again, as they may.
 * - E15: `amend` is a command for people. E16: spilling, and the budget of blocks, are not simulated.
 * - E19 to E23 are of one system each, and E24 of worker threads: neither is simulated.
 */
import type { BrokenEngine, Replacement } from './broken-engine.js'
import { brokenLogs } from './broken-log.js'
import { brokenOutputs } from './broken-outputs.js'
import { brokenStreams } from './broken-streams.js'

export const brokenEngines: readonly BrokenEngine[] = [...brokenOutputs, ...brokenLogs, ...brokenStreams]

/** No mistakes: other constants, with which even small logs are cut into segments and trimmed, and snapshots written. */
export const tuning: readonly Replacement[] = [
  {
    file: 'checkpoint/checkpoint.js',
    find: 'const LEAST_LOG_BYTES = 16 * 2 ** 20;',
    replace: 'const LEAST_LOG_BYTES = 1;',
  },
  {
    file: 'checkpoint/segment-log.js',
    find: 'const DEFAULT_SEGMENT_BYTES = 2 ** 26;',
    replace: 'const DEFAULT_SEGMENT_BYTES = 1;',
  },
]
