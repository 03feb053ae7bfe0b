/**
 * Nothing lost, nothing twice: the app as a real process, its checkpoint, its files and its database on a real disk, killed and
 * stopped at random moments while the sender goes on. `CHAOS_EVENTS` (default 6) says how often, `CHAOS_SEED` when.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom } from '@sluice/core'
import { expect, it } from 'vitest'
import { runChaos } from './testing/chaos.js'
import { assertExact } from './testing/exact.js'
import { sampleLines as lines } from './testing/sample.js'

const EVENTS = Number(process.env['CHAOS_EVENTS'] ?? 6)
const SEED = Number(process.env['CHAOS_SEED'] ?? 20_101_201)
const TIMEOUT_MS = 120_000 + EVENTS * 60_000

it.each([
  { name: 'with SQLite, which ends those that are taken over from', database: true, events: EVENTS },
  { name: 'without, where those must see by themselves that they are fenced', database: false, events: EVENTS / 2 },
])(
  'E1, E7, E8, E9, E14: killed, stopped and taken over at random moments, every order counts once: $name',
  async ({ database, events }) => {
    const folder = await mkdtemp(join(tmpdir(), 'chaos-'))
    const file = join(folder, 'orders.csv')
    await writeFile(file, `${lines.join('\n')}\n`)
    const log = (text: string): void => void process.stdout.write(`chaos (seed ${String(SEED)}): ${text}\n`)
    const random = seededRandom(SEED)
    const began = performance.now()
    try {
      const counts = await runChaos({ folder, file, events, random: () => random.next(), database, log })
      await assertExact({ out: join(folder, 'results'), lines, database, inOrder: true })
      const tookS = Math.round((performance.now() - began) / 1_000)
      log(`exact after ${String(tookS)} s, ${JSON.stringify(counts)}`)
      expect(counts.takeOvers).toBe(Math.floor(events / 3))
      if (!database) expect(counts.fenced).toBeGreaterThan(0)
    } catch (error) {
      throw new Error(`seed ${String(SEED)}; the folder is kept: ${folder}`, { cause: error })
    }
    await rm(folder, { recursive: true })
  },
  TIMEOUT_MS,
)
