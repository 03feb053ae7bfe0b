/**
 * Nothing lost, nothing twice, in MongoDB too: the app is killed, and the server and its storage are killed and started again, at random
 * moments. `CHAOS_MONGO_KILLS` (default 2) says how often, the servers half as often; `CHAOS_SEED` when.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '@sluice/core'
import { describeWithInstalled, startService } from '@sluice/services'
import { MongoClient, type Document } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { MONGO_DATABASE, mongoCollections } from './metrics-mongo.js'
import { recompute } from './testing/recompute.js'
import { runServerChaos } from './testing/server-chaos.js'

const SAMPLE = fileURLToPath(new URL('../data/online-retail/', import.meta.url))
const KILLS = Number(process.env['CHAOS_MONGO_KILLS'] ?? 2)
const SEED = Number(process.env['CHAOS_SEED'] ?? 20_101_201)
const TIMEOUT_MS = 180_000 + KILLS * 30_000

/** What the app may end with, when its server is away; of a conflict, a fence or a refused record nothing is said here. */
const AWAY =
  /\[sink-mongo\] (no answer from .*; is the server up|\S+ takes no writes now: .*; see the server's log|.* has not ended within \d+ ms)|write\w+ has not ended within \d+ ms/

const lines = readdirSync(SAMPLE)
  .filter((name) => name.endsWith('.csv'))
  .sort()
  .flatMap((name) => readFileSync(join(SAMPLE, name), 'utf8').split('\n').slice(1, -1))

/** What MongoDB holds, in the form of the recomputation. */
async function countedIn(url: string, directory: string) {
  const client = new MongoClient(url)
  try {
    const db = client.db(MONGO_DATABASE)
    const { counters, standings } = mongoCollections(directory)
    const found = await db.collection(counters).find().toArray()
    const latest = await db.collection(standings).find({ kind: 'country' }).toArray()
    const of = (kind: string): Document[] => found.filter((each) => each['kind'] === kind)
    const sum = (kind: string, figure: string): number =>
      of(kind).reduce((total, each) => total + Number(each[figure]), 0)
    const tallies = (kind: string) =>
      Object.fromEntries(
        of(kind).map(({ name, orders, revenueThousandths }) => [
          String(name),
          { orders, revenueThousandths } as object,
        ]),
      )
    return {
      accepted: sum('all', 'lines'),
      rejected: sum('rejected', 'lines'),
      orders: sum('all', 'orders'),
      cancellations: sum('all', 'cancellations'),
      revenueThousandths: sum('all', 'revenueThousandths'),
      byCountry: tallies('country'),
      byGroup: tallies('group'),
      revenueNow: Object.fromEntries(
        latest.map(({ name, revenueThousandths }) => [String(name), Number(revenueThousandths)]),
      ),
    }
  } finally {
    await client.close(true)
  }
}

/** The same from plain loops over the lines. */
function expectedOf() {
  const { accepted, rejected, orders, cancellations, revenueThousandths, byCountry, byGroup } = recompute(lines)
  const revenueNow = Object.fromEntries(
    Object.entries(byCountry).map(([name, { revenueThousandths: revenue }]) => [name, revenue]),
  )
  return { accepted, rejected, orders, cancellations, revenueThousandths, byCountry, byGroup, revenueNow }
}

await describeWithInstalled({ describe, test }, ['mongo'], 'order-metrics and MongoDB', () => {
  test(
    'E1, E9, E20: killed at random moments, while the server is killed and started again, every order counts once',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'chaos-mongo-'))
      const file = join(folder, 'orders.csv')
      await writeFile(file, `${lines.join('\n')}\n`)
      const random = seededRandom(SEED)
      const log = (text: string): void => void process.stdout.write(`chaos mongo (seed ${String(SEED)}): ${text}\n`)
      const own = await startService('mongo')
      const began = performance.now()
      let restarts = 0
      try {
        const out = join(folder, 'results')
        const counts = await runServerChaos({
          ...{
            file,
            out,
            to: ['--mongo', own.values.url],
            away: AWAY,
            kills: KILLS,
            restarts: Math.ceil(KILLS / 2),
            log,
          },
          random: () => random.next(),
          // What speaks the protocol, and each fourth time what holds the documents.
          restartServer: async () => own.processes[++restarts % 4 === 0 ? 0 : 1]?.restart(),
        })
        const found = await countedIn(own.values.url, out)
        expect(found).toEqual(expectedOf())
        log(`exact after ${String(Math.round((performance.now() - began) / 1_000))} s, ${JSON.stringify(counts)}`)
      } finally {
        await own.stop()
      }
      await rm(folder, { recursive: true })
    },
    TIMEOUT_MS,
  )
})
