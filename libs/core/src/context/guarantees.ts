/** What each output promises as the application runs: the weakest of input, lineage, log and sink (E15). */
import { deadLetterId } from '../sink/sink.js'
import type { OutputStream } from '../dstream/output.js'

/** One line per output. Without a batch log nothing is run again after a crash: what was under way then is lost. */
export function describeGuarantees(outputs: readonly OutputStream[]): string[] {
  const all = outputs.flatMap(({ id, sink, deadLetter }) =>
    deadLetter === undefined
      ? [{ id, sink }]
      : [
          { id, sink },
          { id: deadLetterId(id), sink: deadLetter },
        ],
  )
  return all.map(({ id, sink }) => {
    const where = sink === undefined ? '' : ` → ${sink.name} ${sink.target}`
    return `output ${id}${where}: at-most-once across a crash (no checkpoint), each batch once while the process lives`
  })
}
