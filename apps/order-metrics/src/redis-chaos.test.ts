/**
 * Nothing lost, nothing twice, in Redis too: the app is killed at random moments while its server is killed and started again.
 * `CHAOS_REDIS_EVENTS` (default 2) says how often the app is killed, and half as often, at least once, the server; `CHAOS_SEED` when.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '@sluice/core'
import { describeWithInstalled, startService, type ServiceInstance } from '@sluice/services'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { redisPrefix } from './metrics-redis.js'
import { recompute } from './testing/recompute.js'
import { startApp, type RunningApp } from './testing/run-app.js'

const SAMPLE = fileURLToPath(new URL('../data/online-retail/', import.meta.url))
const SENDER = fileURLToPath(new URL('../dist/testing/sender.js', import.meta.url))
const EVENTS = Number(process.env['CHAOS_REDIS_EVENTS'] ?? 2)
const SEED = Number(process.env['CHAOS_SEED'] ?? 20_101_201)
const DEADLINE_MS = 180_000
const LINES_PER_SECOND = '400'

const lines = readdirSync(SAMPLE)
  .filter((name) => name.endsWith('.csv'))
  .sort()
  .flatMap((name) => readFileSync(join(SAMPLE, name), 'utf8').split('\n').slice(1, -1))

class Chaos {
  readonly #folder: string
  readonly #server: ServiceInstance<'redis'>
  readonly #random = seededRandom(SEED)
  readonly #args: readonly string[]
  serverKills = 0

  constructor(folder: string, server: ServiceInstance<'redis'>, port: string) {
    this.#folder = folder
    this.#server = server
    const from = ['--connect', `127.0.0.1:${port}`, '--sequenced', '--batch', '100', '--partitions', '2']
    this.#args = [...from, '--no-database', '--redis', server.values.url, '--out', this.results]
  }

  get results(): string {
    return join(this.#folder, 'results')
  }

  start(): RunningApp {
    return startApp(this.#args)
  }

  /** Kills the app, each second time while the server is away or has just come back. */
  async event(number: number, app: RunningApp): Promise<void> {
    await this.#progress(app)
    await this.#sleep(800)
    const [redis] = this.#server.processes
    if (number % 2 === 1 && redis !== undefined) {
      this.serverKills++
      await redis.kill()
      await this.#sleep(300)
      const isBackFirst = this.#random.next() < 0.5
      if (isBackFirst) await redis.restart()
      await this.#sleep(500)
      await this.#kill(app)
      if (!isBackFirst) await redis.restart()
    } else await this.#kill(app)
  }

  async #kill(app: RunningApp): Promise<void> {
    app.signal('SIGKILL')
    const exit = await app.exited
    if (exit.signal !== 'SIGKILL') throw new Error(`a process ended by itself:\n${exit.stderr}`)
  }

  /** A batch more than now. */
  async #progress(app: RunningApp): Promise<void> {
    const before = this.#batches()
    let ended: unknown
    void app.exited.then((exit) => (ended = exit))
    for (let look = 0; this.#batches() <= before; look++) {
      if (ended !== undefined || look * 20 > DEADLINE_MS)
        throw new Error(`no batch came: ${JSON.stringify(ended ?? app.stdout)}`)
      await sleep(20)
    }
  }

  #batches(): number {
    const metrics = join(this.results, 'metrics')
    if (!existsSync(metrics)) return 0
    return readdirSync(metrics).filter((name) => existsSync(join(metrics, name, '_SUCCESS'))).length
  }

  #sleep(longestMs: number): Promise<void> {
    return sleep(this.#random.next() * longestMs)
  }
}

/** What Redis holds, in the form of the recomputation. */
async function countedIn(url: string, directory: string) {
  const reader = new Redis(url)
  const prefix = redisPrefix(directory)
  const hash = async (figure: string, kind: string): Promise<Record<string, number>> =>
    Object.fromEntries(
      Object.entries(await reader.hgetall(`${prefix}:${figure}:${kind}`)).map(([name, count]) => [name, Number(count)]),
    )
  const all = async (figure: string): Promise<number> => (await hash(figure, 'all'))[''] ?? 0
  const found = {
    accepted: await all('lines'),
    rejected: Object.values(await hash('lines', 'rejected')).reduce((sum, count) => sum + count, 0),
    orders: await all('orders'),
    cancellations: await all('cancellations'),
    revenueThousandths: await all('revenueThousandths'),
    country: { orders: await hash('orders', 'country'), revenue: await hash('revenueThousandths', 'country') },
    group: { orders: await hash('orders', 'group'), revenue: await hash('revenueThousandths', 'group') },
    top: await reader.zrange(`${prefix}:top:country`, '0', '-1', 'REV', 'WITHSCORES'),
  }
  reader.disconnect()
  return found
}

/** The same from plain loops over the lines. A counter that never got anything is not there. */
function expectedOf() {
  const totals = recompute(lines)
  const { accepted, rejected, orders, cancellations, revenueThousandths, byCountry, byGroup } = totals
  const counters = (tallies: typeof byCountry) => {
    const of = (figure: 'orders' | 'revenueThousandths') =>
      Object.fromEntries(
        Object.entries(tallies)
          .map(([name, tally]) => [name, tally[figure]] as const)
          .filter(([, count]) => count !== 0),
      )
    return { orders: of('orders'), revenue: of('revenueThousandths') }
  }
  return {
    ...{ accepted, rejected, orders, cancellations, revenueThousandths },
    country: counters(byCountry),
    group: counters(byGroup),
    top: Object.entries(byCountry)
      .sort(([a, x], [b, y]) => y.revenueThousandths - x.revenueThousandths || (a < b ? 1 : -1))
      .flatMap(([name, { revenueThousandths: revenue }]) => [name, String(revenue)]),
  }
}

await describeWithInstalled({ describe, test }, ['redis'], 'order-metrics and Redis', () => {
  test(
    'E1, E9, E19: killed at random moments, while the server is killed and started again, every order counts once',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'chaos-redis-'))
      const file = join(folder, 'orders.csv')
      await writeFile(file, `${lines.join('\n')}\n`)
      const server = await startService('redis')
      const sender = spawn(process.execPath, [SENDER, file, LINES_PER_SECOND], { stdio: ['pipe', 'pipe', 'inherit'] })
      const began = performance.now()
      let app: RunningApp | undefined
      try {
        const [port] = (await once(sender.stdout, 'data')) as [Buffer]
        const chaos = new Chaos(folder, server, port.toString().trim())
        app = chaos.start()
        for (let event = 1; event <= EVENTS; event++) {
          await chaos.event(event, app)
          app = chaos.start()
        }
        sender.stdin.write('all\n')
        const { code, stderr } = await app.exited
        expect(code, stderr).toBe(0)
        expect(await countedIn(server.values.url, chaos.results)).toEqual(expectedOf())
        const tookS = Math.round((performance.now() - began) / 1_000)
        process.stdout.write(
          `chaos (seed ${String(SEED)}): exact after ${String(tookS)} s, ${String(EVENTS)} kills of the app, ${String(chaos.serverKills)} of Redis\n`,
        )
      } finally {
        app?.signal('SIGKILL')
        sender.kill()
        await server.stop()
        await rm(folder, { recursive: true, force: true })
      }
    },
    DEADLINE_MS + EVENTS * 60_000,
  )
})
