/** A direct source: a log of events that is read by range. */
import type { InputSource } from '@sluice/core'

type Range = readonly [from: number, to: number]

export interface EventLog {
  length(): Promise<number>
  read(...range: Range): Promise<readonly string[]>
}

export function eventLogSource(log: EventLog, partitionSize = 10_000): InputSource<string, Range> {
  let next = 0
  let lastTime = 0
  let perSecond = Infinity
  return {
    '~sluice': 'input/1',
    name: 'event log',
    replayable: true,
    async start({ clock, resumed }) {
      next = (resumed?.head as number | undefined) ?? (await log.length())
      lastTime = clock.now()
    },
    async plan(time) {
      const most = Math.max(1, Math.floor((perSecond * (time - lastTime)) / 1_000))
      const [from, to] = [next, Math.min(await log.length(), next + most)]
      next = to
      lastTime = time
      return { data: [from, to], records: to - from, description: `${String(from)} to ${String(to)}`, head: to }
    },
    partitions([from, to]) {
      const ranges: Range[] = []
      for (let at = from; at < to; at += partitionSize) ranges.push([at, Math.min(to, at + partitionSize)])
      return ranges
    },
    async *read(range: Range) {
      yield await log.read(...range)
    },
    setRate(recordsPerSecond) {
      perSecond = recordsPerSecond
    },
  }
}
