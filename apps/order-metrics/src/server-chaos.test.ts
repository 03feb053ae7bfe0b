/**
 * Nothing lost, nothing twice, with a database server: the app is killed, and the server killed and started again, at random moments.
 * `SERVER_CHAOS_KILLS` (default 2) says how often, the server half as often; `CHAOS_SEED` when.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '@sluice/core'
import { describeWithInstalled, startService } from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { runServerChaos } from './testing/server-chaos.js'
import { recompute, type ExpectedTotals } from './testing/recompute.js'
import { readMysql, readPostgres, totalsFrom, totalsIn } from './testing/sql-rows.js'

const SAMPLE = fileURLToPath(new URL('../data/online-retail/', import.meta.url))
const KILLS = Number(process.env['SERVER_CHAOS_KILLS'] ?? 2)
const SEED = Number(process.env['CHAOS_SEED'] ?? 20_101_201)
const TIMEOUT_MS = 180_000 + KILLS * 30_000

const lines = readdirSync(SAMPLE)
  .filter((name) => name.endsWith('.csv'))
  .sort()
  .flatMap((name) => readFileSync(join(SAMPLE, name), 'utf8').split('\n').slice(1, -1))

const AWAY =
  /\[sink-sql\] \S+: .*; is the server up, and may this machine reach it\?|\[sink-sql\] \S+ has not done within \d+ ms|write\w+ has not ended within \d+ ms/

const expected = recompute(lines)
// Unlike those of other tests, they wait for the disk.
const postgres = { settings: { fsync: 'on' } }
const mysql = { settings: { 'innodb-flush-method': 'fsync' } }

for (const [name, read, settings] of [
  ['postgres', readPostgres, postgres],
  ['mariadb', readMysql, mysql],
  ['mysql', readMysql, mysql],
] as const) {
  await describeWithInstalled({ describe, test }, [name], name, () => {
    test(
      'E1, E8, E9, E21: app and server killed at random moments, every order counts once',
      async () => {
        const folder = await mkdtemp(join(tmpdir(), 'server-chaos-'))
        const file = join(folder, 'orders.csv')
        await writeFile(file, `${lines.join('\n')}\n`)
        const random = seededRandom(SEED)
        const log = (text: string): void => void process.stdout.write(`chaos ${name} (seed ${String(SEED)}): ${text}\n`)
        const own = await startService(name, settings)
        const began = performance.now()
        try {
          const out = join(folder, 'results')
          const counts = await runServerChaos({
            ...{
              file,
              out,
              to: ['--sql', own.values.url],
              away: AWAY,
              kills: KILLS,
              restarts: Math.ceil(KILLS / 2),
              log,
            },
            random: () => random.next(),
            restartServer: async () => own.processes[0]?.restart(),
          })
          expect(totalsIn(await read(own.values.url))).toEqual(totalsFrom(lines))
          const totals = JSON.parse(await readFile(join(out, 'totals.json'), 'utf8')) as ExpectedTotals
          expect(totals.revenueThousandths).toBe(expected.revenueThousandths)
          log(`exact after ${String(Math.round((performance.now() - began) / 1_000))} s, ${JSON.stringify(counts)}`)
        } finally {
          await own.stop()
        }
        await rm(folder, { recursive: true })
      },
      TIMEOUT_MS,
    )
  })
}
