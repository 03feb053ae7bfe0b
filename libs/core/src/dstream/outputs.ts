/** Outputs: what is done with each batch. One output is one job per batch. */
import { formatRecord } from '../observe/format.js'
import { RddImpl } from '../rdd/rdd-impl.js'
import type { Rdd } from '../rdd/rdd.js'
import { deadLetterOf, requireOutputOptions, requireSink, type OutputOptions, type Sink } from '../sink/sink.js'
import type { BatchTime } from '../time/duration.js'
import type { OutputStream, StreamAtTimes } from './output.js'

export function foreachOutput(
  parent: StreamAtTimes,
  id: string,
  f: (rdd: Rdd<never>, time: BatchTime) => void | Promise<void>,
): OutputStream {
  return {
    id,
    parent,
    sink: undefined,
    deadLetter: undefined,
    run: async (rdd, { scope, time }) => {
      await f(new RddImpl<never>(rdd, scope), time)
    },
  }
}

const RULE = '-'.repeat(43)

/** Writes the first records of each batch to stdout, in Spark's layout. */
export function printOutput(
  parent: StreamAtTimes,
  id: string,
  limit: number,
  write: (text: string) => void,
): OutputStream {
  return foreachOutput(parent, id, async (rdd, time) => {
    const records = await rdd.take(limit + 1)
    const lines = records.slice(0, limit).map((record) => formatRecord(record))
    if (records.length > limit) lines.push('...')
    write([RULE, `Time: ${String(time)} ms`, RULE, ...lines, '', ''].join('\n'))
  })
}

export function sinkOutput(
  parent: StreamAtTimes,
  id: string,
  sink: Sink<unknown>,
  options?: OutputOptions<never>,
): OutputStream {
  requireSink(sink, id)
  requireOutputOptions(options, id)
  const deadLetter = deadLetterOf(options) as Sink<unknown> | undefined
  return { id, parent, sink, deadLetter, run: (rdd, run) => run.write(rdd, sink, options) }
}
