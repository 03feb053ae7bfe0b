/** Sets the rate of each input by how its batches go. */
import { requireArgument } from '../errors.js'
import type { InputStream } from '../input/input-stream.js'
import type { StreamingListener } from '../observe/listener.js'
import type { Clock } from '../time/clock.js'
import { PidEstimator, type PidOptions } from './pid-estimator.js'

export interface BackpressureOptions extends PidOptions {
  /** Records per second of each stream until the first batches have shown what can be done. Default: no limit. */
  readonly initialRate?: number | undefined
}

/** A listener that hands a new rate to the inputs after each batch that tells one. Throws `ARGUMENT_INVALID`. */
export function rateController(
  inputs: readonly InputStream[],
  intervalMs: number,
  clock: Clock,
  options: BackpressureOptions,
): StreamingListener {
  const { initialRate } = options
  requireArgument(
    initialRate === undefined || initialRate > 0,
    'backpressure',
    `initialRate must be above 0, not ${String(initialRate)}; leave it out for no limit`,
  )
  const estimators = new Map(
    inputs.map((input) => [input.streamId, { input, pid: new PidEstimator(intervalMs, options) }]),
  )
  return {
    onBatchCompleted({ processingDelayMs, schedulingDelayMs, inputs: infos }) {
      if (processingDelayMs === undefined || schedulingDelayMs === undefined) return
      // Not the batch's own time, which is the wall clock's: set back, that would stop the control until it is there again.
      const endedMs = clock.monotonic()
      for (const { streamId, records } of infos) {
        const estimator = estimators.get(streamId)
        const rate = estimator?.pid.next({ endedMs, records, processingDelayMs, schedulingDelayMs })
        if (rate !== undefined) estimator?.input.setRate(Math.floor(rate))
      }
    },
  }
}
