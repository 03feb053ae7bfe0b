/**
 * Lines from a socket, each looked at batch by batch, against a raw socket and a loop that splits: one that lets go of each line
 * at once, and one that holds them until their half second has ended, as a batch has to. What lies between the two is the garbage
 * collector's work on lines that live that long. Connections stand from run to run, as those of a stream do; in `socket, new`
 * each run has a context and a connection of its own. `socket, count()` asks for the number of lines only, which needs none of them.
 * Each contestant is a process of its own.
 */
import type { Benchmark } from '../benchmark.js'
import { Contestant } from '../contestant.js'
import { measureTimed, type TimedContest } from '../measure.js'
import { wholeChunks } from './socket-sender.js'

const LINES = 5_000_000
const AIM = 0.8
/** The compiled one, also where a test runs the sources. */
const PROGRAM = new URL('../../dist/benchmarks/socket-contestant.js', import.meta.url)

export const socket: Benchmark = {
  name: 'socket',
  about: '5 M lines from another process through socketTextStream against net and split',
  run: async (sizes) => {
    const count = wholeChunks(sizes.count(LINES))
    const contestants: Contestant[] = []
    const started = async (reader: string, kind = 'standing'): Promise<Contestant> => {
      const contestant = await Contestant.start(PROGRAM, reader, String(count), kind)
      contestants.push(contestant)
      return contestant
    }
    const contest = (name: string, ours: Contestant, reference: Contestant): TimedContest => {
      return { name, aim: AIM, noun: 'lines', count, ours: () => ours.run(), reference: () => reference.run() }
    }
    try {
      const [lines, raw] = [await started('lines'), await started('raw')]
      const contests = [
        contest('socket', lines, raw),
        contest('socket, count()', await started('count'), raw),
        contest('socket, held', lines, await started('held')),
        contest('socket, new', await started('lines', 'new'), await started('raw', 'new')),
      ]
      return await measureTimed(contests, sizes.repeats({ warmUp: 4, rounds: 9 }))
    } finally {
      for (const contestant of contestants) await contestant.stop()
    }
  },
}
