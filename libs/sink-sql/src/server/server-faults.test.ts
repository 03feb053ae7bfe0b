/** Faults of network and server: whatever happens at whichever step, a batch has effect once (E8, E9). */
import { once } from 'node:events'
import { isSluiceError, systemClock, type Clock } from '@sluice/core'
import {
  describeWithInstalled,
  describeWithServices,
  startProxy,
  startService,
  type Proxy,
  type SqlValues,
} from '@sluice/services'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { hooked, type Hook } from '../testing/hooked-pool.js'
import { code, inMysql, inPostgres, sales, ServerBench, type Kind, type SaleOptions } from '../testing/server-bench.js'

interface Fault {
  readonly name: string
  /** Called before a statement is sent. */
  begin(proxy: Proxy, controller: AbortController): void
}

const faults: readonly Fault[] = [
  {
    name: 'the connection is cut',
    begin: (proxy) => {
      proxy.cut()
    },
  },
  {
    name: 'the answer is lost, and the connection with it',
    begin: (proxy) => {
      proxy.cutAfter(0, 'down')
    },
  },
  {
    name: 'the server is told that the client has ended',
    begin: (proxy) => {
      proxy.halfClose('up')
    },
  },
  {
    name: 'the client is told that the server has ended',
    begin: (proxy) => {
      proxy.halfClose('down')
    },
  },
  {
    name: 'nothing gets through until the time is over, and then all of it',
    begin: (proxy, controller) => {
      proxy.pause()
      void systemClock.yield().then(() => {
        controller.abort(new Error('time is over'))
      })
    },
  },
  {
    name: 'all of it comes late',
    begin: (proxy) => {
      proxy.delay(5)
    },
  },
]

const TIMEOUT_MS = 30_000

/** Time-outs are over when it is rung, and not before. */
function lateClock(): { clock: Clock; ring: () => void } {
  const bell = new AbortController()
  const clock: Clock = {
    '~sluice': 'clock/1',
    now: () => systemClock.now(),
    monotonic: () => systemClock.monotonic(),
    yield: () => systemClock.yield(),
    sleep: (ms, signal) =>
      ms === TIMEOUT_MS
        ? Promise.race([rung(bell.signal), systemClock.sleep(10 * ms, signal)])
        : systemClock.sleep(ms, signal),
  }
  return {
    clock,
    ring: () => {
      bell.abort()
    },
  }
}

async function rung(bell: AbortSignal): Promise<void> {
  if (!bell.aborted) await once(bell, 'abort')
}

function heal(proxy: Proxy): void {
  proxy.passAgain()
  proxy.resume()
  proxy.delay(0)
}

function tests(values: SqlValues, kind: Kind): void {
  const db = kind.connect(values.url)
  afterAll(() => db.end())
  let bench: ServerBench
  let proxy: Proxy
  beforeEach(async () => {
    proxy = await startProxy({ target: `${values.host}:${values.port}` })
    bench = new ServerBench(kind, values.url, db.ask)
  })
  afterEach(async () => {
    heal(proxy)
    await bench.end()
    await proxy.stop()
  })
  const proxied = (): string => values.url.replace(`:${values.port}/`, `:${String(proxy.port)}/`)

  test.each(faults)('E9: at each step of a transaction: $name', async (fault) => {
    const user = kind.connect(proxied())
    let hook: Hook = () => Promise.resolve()
    const options = { key: undefined, pool: hooked(user.pool, (sql) => hook(sql)) } as unknown as SaleOptions
    const sink = await bench.opened(bench.sinkOf(options))
    try {
      const steps: string[] = []
      hook = (sql) => Promise.resolve(void steps.push(sql))
      await bench.put(sink, sales(1))
      expect(steps.findIndex((sql) => sql === 'COMMIT')).toBeGreaterThanOrEqual(5)
      const outcomes: unknown[] = []
      for (let step = 0; step < steps.length; step++) {
        const batch = { batchTime: 2_000 + 1_000 * step }
        const controller = new AbortController()
        let n = 0
        hook = () => {
          if (n++ === step) fault.begin(proxy, controller)
          return Promise.resolve()
        }
        const { signal } = controller
        outcomes.push(await bench.put(sink, sales(step + 2), batch, { signal }).catch((error: unknown) => error))
        hook = () => Promise.resolve()
        heal(proxy)
        await bench.put(sink, sales(step + 2), { ...batch, attempt: 1 })
      }
      const wanted = sales(...Array.from({ length: steps.length + 1 }, (_, i) => i + 1))
      expect(await bench.rows()).toEqual(wanted.map(({ id, what }) => [id, what]))
      const failed = outcomes.filter((outcome) => !Array.isArray(outcome))
      if (fault.name.includes('late')) expect(failed).toEqual([])
      else expect(failed.length).toBeGreaterThanOrEqual(5)
      for (const error of failed)
        if (isSluiceError(error)) expect(error).toMatchObject({ code: 'CONNECTION_FAILED', retryable: true })
        else expect(error).toMatchObject({ message: 'time is over' })
      // The pool is the user's: single connections are destroyed, and it goes on.
      expect(await user.ask('SELECT 1 AS one')).toEqual([{ one: 1 }])
    } finally {
      await user.end()
    }
  })

  test('E9: when the answer to COMMIT is lost, the next attempt finds the batch applied', async () => {
    const user = kind.connect(proxied())
    const controller = new AbortController()
    let isArmed = false
    const pool = hooked(user.pool, (sql) => {
      // All that is sent arrives; of what is answered nothing is heard.
      if (isArmed && sql === 'COMMIT') proxy.dropAfter(0, 'down')
      return Promise.resolve()
    })
    try {
      const sink = await bench.opened(bench.sinkOf({ key: undefined, pool } as unknown as SaleOptions))
      await bench.put(sink, [])
      isArmed = true
      const writing = bench.put(sink, sales(1), { batchTime: 2_000 }, { signal: controller.signal })
      const outcome = writing.catch((error: unknown) => error)
      while ((await bench.rows()).length === 0) await systemClock.sleep(1)
      controller.abort(new Error('time is over'))
      expect(await outcome).toMatchObject({ message: 'time is over' })
      expect(await bench.rows()).toEqual([[1, 'sale 1']])
      isArmed = false
      proxy.passAgain()
      await bench.put(sink, sales(1), { batchTime: 2_000, attempt: 1 })
      expect(await bench.rows()).toEqual([[1, 'sale 1']])
    } finally {
      proxy.passAgain()
      await user.end()
    }
  })

  test('E9: a connection that is cut at any byte leaves nothing or all, and the retry completes it', async () => {
    const sink = await bench.opened(bench.sinkOf({ url: proxied() }))
    await bench.put(sink, [])
    const before = { ...proxy.passed }
    const batchOf = (batchTime: number) => sales(...[1, 2, 3, 4, 5].map((id) => batchTime + id))
    await bench.put(sink, batchOf(2_000), { batchTime: 2_000 })
    const bytes = { up: proxy.passed.up - before.up, down: proxy.passed.down - before.down }
    const wanted = batchOf(2_000)
    let batchTime = 2_000
    for (const direction of ['up', 'down'] as const)
      for (let cut = 0; cut < 12; cut++) {
        batchTime += 1_000
        proxy.cutAfter(Math.floor((bytes[direction] * cut) / 12), direction)
        const failed = await bench.put(sink, batchOf(batchTime), { batchTime }).catch((error: unknown) => error)
        proxy.passAgain()
        if (!Array.isArray(failed)) expect(failed).toMatchObject({ code: 'CONNECTION_FAILED', retryable: true })
        await bench.put(sink, batchOf(batchTime), { batchTime, attempt: 1 })
        wanted.push(...batchOf(batchTime))
      }
    expect(await bench.rows()).toEqual(wanted.map(({ id, what }) => [id, what]))
  })

  test('a connection that is cut at any byte while it is made fails start, in words, and the next start succeeds', async () => {
    await bench.opened(bench.sinkOf({ url: proxied() }))
    const bytes = { ...proxy.passed }
    let failures = 0
    for (const direction of ['up', 'down'] as const)
      for (let cut = 0; cut < 8; cut++) {
        proxy.cutAfter(Math.floor((bytes[direction] * cut) / 8), direction)
        const opening = bench.opened(bench.sinkOf({ url: proxied() }))
        const error: unknown = await opening.then(
          () => undefined,
          (caught: unknown) => caught,
        )
        if (error !== undefined) failures++
        if (error !== undefined) expect(error).toSatisfy(code('CONNECTION_FAILED'))
        proxy.passAgain()
      }
    // One that breaks between two transactions is replaced.
    expect(failures).toBeGreaterThan(4)
    await bench.put(await bench.opened(bench.sinkOf({ url: proxied() })), sales(1))
    expect(await bench.rows()).toHaveLength(1)
  })

  test('a server that does not answer rejects start within the time-out', async () => {
    proxy.pause()
    const opening = bench.opened(bench.sinkOf({ url: proxied(), timeoutMs: 200 }))
    const wanted = (error: unknown): boolean => code('TIMEOUT')(error) || code('CONNECTION_FAILED')(error)
    await expect(opening).rejects.toSatisfy(wanted)
  })

  test('a deadlock that ends the transaction is no failure: it is tried again', async () => {
    const sink = await bench.opened(bench.sinkOf({ mode: 'upsert' } as SaleOptions))
    await bench.put(sink, sales(1, 2, 3, ...Array.from({ length: 50 }, (_, i) => 100 + i)))
    const { table } = bench
    let writing: Promise<unknown> = Promise.resolve()
    await db.transaction(async (ask) => {
      await ask('BEGIN')
      // Who has changed more is spared.
      await ask(`UPDATE ${table} SET what = 'theirs' WHERE id >= 3`)
      writing = bench.put(sink, sales(1, 2, 3), { batchTime: 2_000 })
      const isFree = `SELECT id FROM ${table} WHERE id = 1 FOR UPDATE SKIP LOCKED`
      while ((await db.ask(isFree)).length > 0) await systemClock.sleep(1)
      await ask(`UPDATE ${table} SET what = 'theirs' WHERE id = 1`)
      await ask('COMMIT')
    })
    await writing
    expect((await bench.rows()).slice(0, 3)).toEqual(sales(1, 2, 3).map(({ id, what }) => [id, what]))
    expect((await bench.rows()).slice(3).every(([, what]) => what === 'theirs')).toBe(true)
  })
}

const functions = { describe, test }
await describeWithServices(functions, ['postgres'], 'postgres', ({ postgres }) => {
  tests(postgres, inPostgres)
})
await describeWithServices(functions, ['mariadb'], 'mariadb', ({ mariadb }) => {
  tests(mariadb, inMysql)
})
await describeWithServices(functions, ['mysql'], 'mysql', ({ mysql }) => {
  tests(mysql, inMysql)
})

for (const [name, kind] of [
  ['postgres', inPostgres],
  ['mariadb', inMysql],
  ['mysql', inMysql],
] as const) {
  await describeWithInstalled(functions, [name], `a ${name} of its own`, () => {
    test('E9: frozen (SIGSTOP), or killed, it ends a write in time; awake again it has the batch once', async () => {
      const own = await startService(name)
      const [server] = own.processes
      const user = kind.connect(own.values.url)
      const bench = new ServerBench(kind, own.values.url, user.ask)
      try {
        const patient = await bench.opened(bench.sinkOf({ key: undefined } as SaleOptions))
        await bench.put(patient, sales(1))
        const leaving = await bench.opened(bench.sinkOf({ key: undefined } as SaleOptions))
        const late = lateClock()
        const { clock } = late
        const options = { key: undefined, pool: user.pool, timeoutMs: TIMEOUT_MS } as unknown as SaleOptions
        const hasty = await bench.opened(bench.sinkOf(options), { clock })
        const children = await user.processes()
        await server?.pause()
        for (const pid of children) process.kill(pid, 'SIGSTOP')
        const batch = { batchTime: 2_000 }
        const writing = bench.put(hasty, sales(2), batch).catch((error: unknown) => error)
        const opening = bench.opened(bench.sinkOf({ timeoutMs: TIMEOUT_MS }), { clock })
        const opened = opening.catch((error: unknown) => error)
        late.ring()
        expect(await writing).toSatisfy(code('TIMEOUT'))
        expect(await opened).toSatisfy(code('TIMEOUT'))
        // Nobody waits for ever for a goodbye.
        await leaving.close?.()
        for (const pid of children) process.kill(pid, 'SIGCONT')
        await server?.resume()
        await bench.put(patient, sales(2), { ...batch, attempt: 1 })
        await server?.kill()
        await expect(bench.put(patient, sales(3), { batchTime: 3_000 })).rejects.toSatisfy(code('CONNECTION_FAILED'))
        await server?.restart()
        await bench.put(patient, sales(3), { batchTime: 3_000, attempt: 1 })
        // The pool was the user's, and is as good as before.
        expect(await bench.rows()).toEqual(sales(1, 2, 3).map(({ id, what }) => [id, what]))
      } finally {
        await bench.end().catch(() => undefined)
        await user.end()
        await own.stop()
      }
    }, 120_000)
  })
}
