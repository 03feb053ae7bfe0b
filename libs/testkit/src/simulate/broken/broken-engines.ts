/**
 * Mistakes that a maintainer could make, at least one for each rule of EXACTNESS.md that a simulation can see broken. Where a
 * second check hides a mistake, the engine makes both: the simulator has to see it without the help of that check.
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
