/** What stands in a partition of the simulated cluster, for whoever reads what is committed. */
import { codecsOf } from '../codecs/codecs.js'
import { recordChunk } from '../read/record-chunk.js'
import { batchesOf } from '../read/record-batches.js'
import type { SimPartition } from './sim-partition.js'

export function committedTexts(log: SimPartition): string[] {
  const { topic, partition } = log
  const [from, to] = [0n, log.endOf('committed')]
  if (to === from) return []
  const answer = log.fetch({ offset: from, isolation: 'committed', maxBytes: Infinity })
  const range = { topic, partition, from, to, isolation: 'committed' as const }
  const { batches, position } = batchesOf(answer, range)
  const chunk = recordChunk({ range, batches, position, sizeBytes: 0, codecs: codecsOf(undefined) })
  const texts: string[] = []
  const record = chunk.records()
  while (record.next()) texts.push(record.valueText ?? 'null')
  return texts
}
