/** What each output promises as the application runs: the weakest of input, lineage, log and sink (E15). */
import type { StreamGraph } from '../dstream/graph.js'
import type { OutputStream, StreamAtTimes } from '../dstream/output.js'
import type { InputStream } from '../input/input-stream.js'
import { deadLetterId } from '../sink/sink.js'

/** One line per output, and one for its dead letters. */
export function describeGuarantees(graph: StreamGraph, inputs: readonly InputStream[], isDurable: boolean): string[] {
  const all = graph.outputs.flatMap(({ id, parent, sink, deadLetter }) =>
    deadLetter === undefined
      ? [{ id, parent, sink }]
      : [
          { id, parent, sink },
          { id: deadLetterId(id), parent, sink: deadLetter },
        ],
  )
  return all.map((output) => {
    const { id, sink } = output
    const where = sink === undefined ? '' : ` → ${sink.name} ${sink.target}`
    return `output ${id}${where}: ${isDurable ? withLog(output, inputs) : WITHOUT_LOG}`
  })
}

/** Without a batch log nothing is run again after a crash: what was under way then is lost. */
const WITHOUT_LOG = 'at-most-once across a crash (no checkpoint), each batch once while the process lives'

function withLog({ parent, sink }: Pick<OutputStream, 'parent' | 'sink'>, inputs: readonly InputStream[]): string {
  const above = new Set([parent, ...ancestors(parent)])
  const lossy = inputs.filter((input) => above.has(input) && !input.isReliable).map(({ name }) => name)
  const loss = lossy.length === 0 ? '' : `; what ${lossy.join(', ')} gave and was not committed is lost in a crash`
  return `${effective(parent, sink)}${loss}`
}

function effective(parent: StreamAtTimes, sink: OutputStream['sink']): string {
  if (sink === undefined) return 'at-least-once (a function of the program: a batch may be run again)'
  const { level, condition } = sink.guarantee
  if (level === 'at-least-once') return `at-least-once (${condition})`
  const free = nondeterministic(parent)
  if (free !== undefined)
    return `at-least-once (${free} may answer differently when a batch is run again; checkpoint() it)`
  return `${level} (${condition})`
}

/** An operator above whose answer is not made durable before it is written. */
function nondeterministic(stream: StreamAtTimes): string | undefined {
  if (stream.isCheckpointed) return undefined
  if (stream.isNondeterministic) return stream.id
  for (const parent of stream.parents) {
    const found = nondeterministic(parent)
    if (found !== undefined) return found
  }
  return undefined
}

function ancestors({ parents }: StreamAtTimes): StreamAtTimes[] {
  return parents.flatMap((parent) => [parent, ...ancestors(parent)])
}
