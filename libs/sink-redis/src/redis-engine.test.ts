/** What becomes of a whole application whose server hangs, dies or is not there: batches are kept, and each is there once. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isSluiceError, milliseconds, StreamingContext, type InputSource } from '@sluice/core'
import { describeWithInstalled, startService, type ServiceInstance } from '@sluice/services'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { redisSink } from './redis-sink.js'

const CALL_TIMEOUT_MS = 300
const LONG_MS = 120_000

type Range = readonly [from: number, to: number]

/** Numbers in order, as many for each batch; those of a batch can be read again. */
function numbers(perBatch: number): InputSource<number, Range> {
  let next = 0
  return {
    '~sluice': 'input/1',
    name: 'numbers',
    replayable: true,
    start({ resumed }) {
      next = (resumed?.head as number | undefined) ?? 0
      return Promise.resolve()
    },
    plan() {
      const from = next
      next += perBatch
      return Promise.resolve({ data: [from, next], records: perBatch, head: next })
    },
    partitions: (range) => [range],
    async *read([from, to]: Range) {
      yield await Promise.resolve(Array.from({ length: to - from }, (_, i) => from + i))
    },
  }
}

await describeWithInstalled({ describe, test }, ['redis'], 'an application and its Redis', () => {
  let folder = ''
  let server: ServiceInstance<'redis'>
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-redis-engine-'))
    server = await startService('redis')
  })
  afterEach(async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })

  function application(): { ssc: StreamingContext; batches(count: number): Promise<void>; end: Promise<unknown> } {
    const ssc = new StreamingContext({
      appName: 'numbers',
      batchInterval: milliseconds(50),
      checkpoint: join(folder, 'checkpoint'),
      log: 'silent',
      signals: false,
    })
    const { url } = server.values
    ssc
      .inputStream(numbers(10))
      .to(redisSink<number>({ url, mode: 'list', key: 'numbers', callTimeoutMs: CALL_TIMEOUT_MS }), {
        batchSize: 3,
        retry: { retries: 2, minDelay: milliseconds(10) },
      })
    let done = 0
    let onBatch: () => void = () => undefined
    ssc.addListener({
      onBatchCompleted: () => {
        done++
        onBatch()
      },
    })
    return {
      ssc,
      batches: (count) =>
        new Promise((resolve) => {
          const wanted = done + count
          onBatch = () => {
            if (done >= wanted) resolve()
          }
        }),
      get end() {
        return ssc.awaitTermination().then(
          () => undefined,
          (error: unknown) => error,
        )
      },
    }
  }

  async function expectExact(least: number): Promise<void> {
    const reader = new Redis(server.values.url)
    const found = await reader.lrange('numbers', 0, -1)
    reader.disconnect()
    expect(found.length).toBeGreaterThanOrEqual(least)
    expect(found).toEqual(Array.from({ length: found.length }, (_, i) => String(i)))
  }

  const away = {
    'hangs (SIGSTOP)': { begin: 'pause', end: 'resume', code: 'TIMEOUT' },
    'is killed': { begin: 'kill', end: 'restart', code: 'CONNECTION_FAILED' },
  } as const

  test.each(Object.entries(away))(
    'E13: a server that %s fails the batch after its tries; the next start runs it again, and every record is there once',
    async (_, { begin, end, code }) => {
      const [redis] = server.processes
      const first = application()
      await first.ssc.start()
      await first.batches(3)
      await redis?.[begin]()
      const failure = await first.end
      expect(isSluiceError(failure)).toBe(true)
      expect(codesOf(failure)).toContain(code)
      // No start without it, and no waiting for ever either.
      const down = await application().ssc.start().then(() => undefined, (error: unknown) => error) // prettier-ignore
      expect(codesOf(down)).toContain(code)
      await redis?.[end]()
      const second = application()
      await second.ssc.start()
      await second.batches(3)
      await second.ssc.stop()
      await expectExact(60)
    },
    LONG_MS,
  )
})

/** Of an error and what caused it. */
function codesOf(error: unknown): unknown[] {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown }
  return error === undefined ? [] : [code, ...codesOf(cause)]
}
