/**
 * Nothing lost, nothing twice, in files on HDFS and S3: the app is killed, and the server killed and started again, at random moments.
 * `SERVER_CHAOS_KILLS` (default 2) says how often, the server half as often; `CHAOS_SEED` when.
 */
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '@sluice/core'
import { describeWithInstalled, startService, type ServerProcess } from '@sluice/services'
import { committedFiles, hdfs } from '@sluice/sink-hdfs'
import { s3 } from '@sluice/sink-hdfs/s3'
import { describe, expect, test } from 'vitest'
import { filesOf, type FilePlace } from './metrics-files.js'
import { recompute } from './testing/recompute.js'
import { runServerChaos } from './testing/server-chaos.js'

const SAMPLE = fileURLToPath(new URL('../data/online-retail/', import.meta.url))
const KILLS = Number(process.env['SERVER_CHAOS_KILLS'] ?? 2)
const SEED = Number(process.env['CHAOS_SEED'] ?? 20_101_201)
const TIMEOUT_MS = 240_000 + KILLS * 60_000
const AWAY =
  /\[(hdfs|s3)\] cannot .* (can they|can it) be reached from here\?|\w+ has not ended within \d+ ms|raise retryForMs/

const lines = readdirSync(SAMPLE)
  .filter((name) => name.endsWith('.csv'))
  .sort()
  .flatMap((name) => readFileSync(join(SAMPLE, name), 'utf8').split('\n').slice(1, -1))

interface Row {
  readonly by: string
  readonly name: string
  readonly lines: number
  readonly orders: number
  readonly cancellations: number
  readonly revenueThousandths: number
}

/** What all listed files say together, in the shape of the recomputed totals. */
async function totalsIn(path: string, { fileSystem: { fileSystem } }: Pick<FilePlace, 'fileSystem'>) {
  const rows: Row[] = []
  for (const file of await committedFiles(path, fileSystem)) {
    const text = Buffer.from(await fileSystem.read(file.path)).toString()
    for (const line of text.split('\n')) if (line !== '') rows.push(JSON.parse(line) as Row)
  }
  const of = (by: string) => rows.filter((row) => row.by === by)
  const sum = (by: string, figure: 'lines' | 'orders' | 'cancellations' | 'revenueThousandths') =>
    of(by).reduce((total, row) => total + row[figure], 0)
  const tallies = (by: string) => {
    const tally: Record<string, { orders: number; revenueThousandths: number }> = {}
    for (const { name, orders, revenueThousandths } of of(by)) {
      const each = (tally[name] ??= { orders: 0, revenueThousandths: 0 })
      each.orders += orders
      each.revenueThousandths += revenueThousandths
    }
    return tally
  }
  return {
    accepted: sum('all', 'lines'),
    rejected: sum('rejected', 'lines'),
    orders: sum('all', 'orders'),
    cancellations: sum('all', 'cancellations'),
    revenueThousandths: sum('all', 'revenueThousandths'),
    byCountry: tallies('country'),
    byGroup: tallies('group'),
  }
}

const { accepted, rejected, orders, cancellations, revenueThousandths, byCountry, byGroup } = recompute(lines)
const expected = { accepted, rejected, orders, cancellations, revenueThousandths, byCountry, byGroup }

interface Target extends Pick<FilePlace, 'path' | 'fileSystem'> {
  readonly to: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly server: ServerProcess
}

async function chaos({ path, fileSystem, to, environment, server }: Target): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'files-chaos-'))
  const file = join(folder, 'orders.csv')
  await writeFile(file, `${lines.join('\n')}\n`)
  const random = seededRandom(SEED)
  const log = (text: string): void => {
    process.stdout.write(`chaos ${fileSystem.scheme} (seed ${String(SEED)}): ${text}\n`)
  }
  const began = performance.now()
  const out = join(folder, 'results')
  const counts = await runServerChaos({
    ...{ file, out, to, environment, away: AWAY, kills: KILLS, restarts: Math.ceil(KILLS / 2), log },
    random: () => random.next(),
    restartServer: () => server.restart(),
  })
  expect(await totalsIn(filesOf({ path }, out), { fileSystem })).toEqual(expected)
  log(`exact after ${String(Math.round((performance.now() - began) / 1_000))} s, ${JSON.stringify(counts)}`)
  await rm(folder, { recursive: true })
}

await describeWithInstalled({ describe, test }, ['hdfs'], 'files on HDFS', () => {
  test(
    'E1, E9, E23: app and NameNode killed at random moments, every order counts once',
    async () => {
      const own = await startService('hdfs')
      try {
        const { url } = own.values
        await chaos({
          path: 'hdfs://cluster/orders',
          fileSystem: hdfs({ nameNodes: url, user: 'root' }),
          to: ['--hdfs', `${url}/orders`],
          environment: { HADOOP_USER_NAME: 'root' },
          server: own.processes[0]!,
        })
      } finally {
        await own.stop()
      }
    },
    TIMEOUT_MS,
  )
})

await describeWithInstalled({ describe, test }, ['s3'], 'files on S3', () => {
  test(
    'E1, E9, E23: app and server killed at random moments, every order counts once',
    async () => {
      const own = await startService('s3')
      try {
        const { endpoint, accessKeyId, secretAccessKey } = own.values
        const credentials = { accessKeyId, secretAccessKey }
        const config = { endpoint, region: 'us-east-1', forcePathStyle: true, credentials }
        const client = new S3Client(config)
        await client.send(new CreateBucketCommand({ Bucket: 'shop' }))
        client.destroy()
        await chaos({
          path: 's3://shop/orders',
          fileSystem: s3({ config }),
          to: ['--s3', 's3://shop/orders'],
          environment: {
            AWS_ENDPOINT_URL: endpoint,
            AWS_REGION: 'us-east-1',
            AWS_ACCESS_KEY_ID: accessKeyId,
            AWS_SECRET_ACCESS_KEY: secretAccessKey,
          },
          server: own.processes[0]!,
        })
      } finally {
        await own.stop()
      }
    },
    TIMEOUT_MS,
  )
})
