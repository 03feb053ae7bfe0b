/** What `sluice-checkpoint amend` tells. */
import type { Amended } from '../checkpoint/amend.js'
import { timeText } from './text.js'

export function amendText({ app, time, dropped, digest, isCommitted, outputs }: Amended): string {
  const lines = [
    `batch ${timeText(time)} goes on without ${dropped.join(', ')}`,
    `application ${app}, plan digest ${digest}: a ledger entry with both, of this batch, counts as applied`,
    ...(outputs.length === 0
      ? ['the batch has not started: nothing of it was written']
      : outputs.map((output) => outputLine(output))),
    ...(outputs.length === 0
      ? []
      : [
          'What was written before stays as it is and is not written again: it may hold records of what was dropped, which state and later',
          'batches will not know. Remove such records by hand where that matters, and leave the ledger as it is.',
        ]),
    ...(isCommitted ? ['The batch is committed: only windows that still read it will lack these records.'] : []),
  ]
  return `${lines.join('\n')}\n`
}

function outputLine({ output, partitions, isDone }: Amended['outputs'][number]): string {
  const range = partitions === 1 ? 'partition 0' : `partitions 0 to ${String(partitions - 1)}`
  return isDone
    ? `  output ${output}, ${range}: written`
    : `  output ${output}, ${range}: written where the ledger of its sink says so; the others are written without what was dropped`
}
