/**
 * Lines from a socket, each looked at batch by batch, against a raw socket and a loop that splits: one that lets go of each line
 * at once, and one that holds them until their half second has ended, as a batch has to. What lies between the two is the garbage
 * collector's work on lines that live that long. Connections stand from run to run, as those of a stream do; in `socket, new`
 * each run has a context and a connection of its own. `socket, count()` asks for the number of lines only, which needs none of them.
 * Each contestant is a process of its own.
 */
import type { Benchmark } from '../benchmark.js'
import { withContestants } from '../contestant.js'
import { measureTimed, type TimedContest } from '../measure.js'
import { wholeChunks } from './socket-sender.js'

const LINES = 5_000_000
const AIM = 0.8
export const socket: Benchmark = {
  name: 'socket',
  about: '5 M lines from another process through socketTextStream against net and split',
  run: async (sizes) => {
    const count = wholeChunks(sizes.count(LINES))
    return withContestants('socket-contestant', async (start) => {
      const reading = async (reader: string, kind = 'standing'): Promise<TimedContest['ours']> =>
        (await start(reader, String(count), kind)).run
      const common = { aim: AIM, noun: 'lines', count }
      const [lines, raw] = [await reading('lines'), await reading('raw')]
      const contests: TimedContest[] = [
        { ...common, name: 'socket', ours: lines, reference: raw },
        { ...common, name: 'socket, count()', ours: await reading('count'), reference: raw },
        { ...common, name: 'socket, held', ours: lines, reference: await reading('held') },
        {
          ...common,
          name: 'socket, new',
          ours: await reading('lines', 'new'),
          reference: await reading('raw', 'new'),
        },
      ]
      return measureTimed(contests, sizes.repeats({ warmUp: 4, rounds: 9 }))
    })
  },
}
