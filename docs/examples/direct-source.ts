/** A direct source: a log of events that is read by range. */
import type { InputSource } from '@sluice/core'

export interface EventLog {
  length(): Promise<number>
  read(from: number, to: number): Promise<readonly string[]>
}

interface Range {
  readonly from: number
  readonly to: number
}

export function eventLogSource(log: EventLog, partitions = 2): InputSource<string, Range> {
  let next = 0
  let lastTime = 0
  let perSecond = Infinity
  return {
    '~sluice': 'input/1',
    name: 'event log',
    replayable: true,
    async start({ clock }) {
      next = await log.length()
      lastTime = clock.now()
    },
    async plan(time) {
      const most = Math.floor((perSecond * (time - lastTime)) / 1_000)
      const range = { from: next, to: Math.min(await log.length(), next + Math.max(1, most)) }
      next = range.to
      lastTime = time
      return { data: range, records: range.to - range.from, description: `${String(range.from)} to ${String(range.to)}` }
    },
    partitions({ from, to }) {
      const step = Math.max(1, Math.ceil((to - from) / partitions))
      const ranges: Range[] = []
      for (let at = from; at < to; at += step) ranges.push({ from: at, to: Math.min(to, at + step) })
      return ranges
    },
    async *read({ from, to }: Range, signal) {
      for (let at = from; at < to; at += 1_000) {
        signal?.throwIfAborted()
        yield await log.read(at, Math.min(to, at + 1_000))
      }
    },
    setRate(recordsPerSecond) {
      perSecond = recordsPerSecond
    },
  }
}
