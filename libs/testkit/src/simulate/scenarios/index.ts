/** The programs that are simulated in every test run. */
import { deadLetters, oneOutputFails } from './outputs.js'
import { plainReceiver, reliableReceiver } from './receivers.js'
import {
  asynchronous,
  boundedRoom,
  everyTick,
  failedOutputAlone,
  failingFunction,
  grouped,
  notAwaited,
  plainReceiverStops,
  releasingSource,
  resends,
  sharedState,
  sideData,
} from './rules.js'
import type { Scenario } from './scenario.js'
import { catchUpEach, catchUpOne, inverseWindow, mapState, rawWindows, stopWhileRunning, updateState } from './state.js'
import { atLeastOnce, changedProgram, join, wordCount } from './word-count.js'

export type { Scenario } from './scenario.js'

/** The smallest one first. */
export const scenarios: readonly Scenario[] = [
  wordCount,
  atLeastOnce,
  changedProgram,
  join,
  updateState,
  mapState,
  inverseWindow,
  rawWindows,
  stopWhileRunning,
  catchUpEach,
  catchUpOne,
  reliableReceiver,
  plainReceiver,
  oneOutputFails,
  deadLetters,
  sideData,
  grouped,
  asynchronous,
  failingFunction,
  sharedState,
  notAwaited,
  everyTick,
  failedOutputAlone,
  plainReceiverStops,
  releasingSource,
  resends,
  boundedRoom,
]
