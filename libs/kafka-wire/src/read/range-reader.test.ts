import type { Clock } from '@sluice/core'
import { SluiceError, untilAborted } from '@sluice/core'
import { describe, expect, it } from 'vitest'
import type { FetchAnswer, FetchRequest, RangeRequest } from '../client.js'
import { codecsOf } from '../codecs/codecs.js'
import { brokerRefused, connectionFailed, lostRangeOf, UNKNOWN_PARTITION } from '../errors.js'
import { OUT_OF_RANGE, readRange } from './range-reader.js'
import type { ReaderParts } from './range-reader.js'
import type { RecordChunk } from '../record.js'
import { FakeLog } from '../testing/fake-log.js'
import { withRetries } from '../waiting.js'

/** Sleeps in no time. */
function quickClock(): Clock {
  let nowMs = 0
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
    nowMs += ms
    return signal?.aborted === true ? Promise.reject(signal.reason as Error) : Promise.resolve()
  }
  return { '~sluice': 'clock/1', now: () => nowMs, monotonic: () => nowMs, sleep, yield: () => Promise.resolve() }
}

const lostConnection = () => connectionFailed('reading', new Error('ECONNRESET'))
const outOfRange = () => brokerRefused({ type: OUT_OF_RANGE, doing: 'reading', isRetryable: false })

type Fetch = (request: FetchRequest) => Promise<FetchAnswer>

/** One record of each offset from `start` to `end`, each in a batch of its own. */
function logOf(start: bigint, end: bigint): FakeLog {
  const events = Array.from({ length: Number(end - start) }, () => ({ type: 'write' as const, records: [1] }))
  return new FakeLog(start, events)
}

function partsOf(log: FakeLog, around: (fetch: Fetch, request: FetchRequest) => Promise<FetchAnswer>): ReaderParts {
  const fetch: Fetch = (request) => Promise.resolve(log.fetch(request.offset, request.isolation, request.maxBytes))
  const client = {
    fetch: (request: FetchRequest) => around(fetch, request),
    listOffsets: (_topic: string, _partitions: readonly number[], moment: unknown) =>
      Promise.resolve(new Map([[3, moment === 'earliest' ? log.start : log.end]])),
  }
  const isOutOfRange = (error: unknown) => (error as Error).message.includes(OUT_OF_RANGE)
  return { client, clock: quickClock(), codecs: codecsOf(), callTimeoutMs: 30_000, isOutOfRange }
}

const plain = (fetch: Fetch, request: FetchRequest) => fetch(request)

async function read(parts: ReaderParts, range: Partial<RangeRequest>): Promise<bigint[]> {
  const offsets: bigint[] = []
  for await (const chunk of readRange(parts, { topic: 'orders', partition: 3, from: 0n, to: 10n, ...range })) {
    const cursor = chunk.records()
    while (cursor.next()) offsets.push(cursor.offset)
  }
  return offsets
}

const failure = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => expect.fail('it has not failed'),
    (error: unknown) => error,
  )

describe('a range', () => {
  const small = { maxBytes: 100 }

  it('is read by as many fetches as it takes', async () => {
    const offsets: bigint[] = []
    const parts = partsOf(logOf(0n, 20n), (fetch, request) => (offsets.push(request.offset), fetch(request)))
    expect(await read(parts, { ...small, from: 4n, to: 8n })).toEqual([4n, 5n, 6n, 7n])
    expect(offsets).toEqual([4n, 5n, 6n, 7n])
  })

  it('that is empty asks nobody', async () => {
    const parts = partsOf(logOf(0n, 20n), () => expect.fail('it was fetched'))
    expect(await read(parts, { from: 4n, to: 4n })).toEqual([])
  })

  it('from above to is refused', async () => {
    expect(await failure(read(partsOf(logOf(0n, 9n), plain), { from: 5n, to: 4n }))).toMatchObject({
      code: 'ARGUMENT_INVALID',
    })
  })

  it('goes on after connections were lost, without a record twice', async () => {
    let calls = 0
    const parts = partsOf(logOf(0n, 20n), (fetch, request) =>
      ++calls % 3 === 0 ? fetch(request) : Promise.reject(lostConnection()),
    )
    expect(await read(parts, small)).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n])
  })

  it('ends with TIMEOUT after deadlineMs without progress, and tells where and why', async () => {
    const parts = partsOf(logOf(0n, 20n), (fetch, request) =>
      request.offset < 2n ? fetch(request) : Promise.reject(lostConnection()),
    )
    expect(await failure(read(parts, { ...small, deadlineMs: 5000 }))).toMatchObject({
      code: 'TIMEOUT',
      retryable: true,
      message: expect.stringMatching(
        /^\[kafka-wire\] reading orders\/3 from offset 2: no progress within 5000 ms .*ECONNRESET/,
      ) as unknown,
    })
  })

  it('that ends inside an open transaction waits for it until the deadline', async () => {
    const log = new FakeLog(0n, [
      { type: 'write', records: [1] },
      { type: 'write', records: [1], producer: 1n },
    ])
    expect(await failure(read(partsOf(log, plain), { to: 2n, deadlineMs: 1000 }))).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringMatching(/it ends at 2, and at 1 for what is committed/) as unknown,
    })
    expect(await read(partsOf(log, plain), { to: 2n, isolation: 'uncommitted' })).toEqual([0n, 1n])
  })

  it('passes on an error that will not pass', async () => {
    const error = new SluiceError({ code: 'BROKER_REFUSED', component: 'kafka-wire', message: 'no' })
    expect(
      await failure(
        read(
          partsOf(logOf(0n, 9n), () => Promise.reject(error)),
          {},
        ),
      ),
    ).toBe(error)
  })

  it('that is gone is an error that names what is lost', async () => {
    const parts = partsOf(logOf(7n, 20n), (fetch, request) =>
      request.offset < 7n ? Promise.reject(outOfRange()) : fetch(request),
    )
    const error = await failure(read(parts, { from: 3n, to: 10n }))
    expect(error).toMatchObject({
      code: 'OFFSETS_LOST',
      message: expect.stringMatching(/offsets 3 to 6 of orders\/3 are gone: the partition holds 7 to 19;/) as unknown,
    })
    expect(lostRangeOf(error)).toEqual({ topic: 'orders', partition: 3, from: 3n, to: 7n, earliest: 7n, latest: 20n })
    expect(lostRangeOf(await failure(read(parts, { from: 3n, to: 5n })))).toMatchObject({ from: 3n, to: 5n })
    expect(lostRangeOf(lostConnection())).toBeUndefined()
  })

  it('beyond the end is lost, too', async () => {
    const parts = partsOf(logOf(0n, 5n), () => Promise.reject(outOfRange()))
    expect(lostRangeOf(await failure(read(parts, { from: 8n, to: 10n })))).toMatchObject({ from: 5n, to: 10n })
  })

  it('is tried again where only a new leader did not know its end yet', async () => {
    let calls = 0
    const parts = partsOf(logOf(0n, 20n), (fetch, request) =>
      ++calls < 4 ? Promise.reject(outOfRange()) : fetch(request),
    )
    expect(await read(parts, { from: 18n, to: 20n })).toEqual([18n, 19n])
  })
})

describe('a chunk when the next one is asked for', () => {
  const range = { topic: 'orders', partition: 3, from: 0n, to: 10n, maxBytes: 100 }

  /** Answers whose memory is written over as soon as it is released. */
  function reused(): { parts: ReaderParts; released: () => number } {
    let released = 0
    const parts = partsOf(logOf(0n, 20n), async (fetch, request) => {
      const answer = await fetch(request)
      const records = Uint8Array.from(answer.records)
      const release = (): void => {
        released++
        records.fill(0xaa)
      }
      return { ...answer, records, release }
    })
    return { parts, released: () => released }
  }

  it('gives its memory back, once', async () => {
    const { parts, released } = reused()
    const texts: (string | null)[] = []
    for await (const chunk of readRange(parts, range)) {
      const cursor = chunk.records()
      while (cursor.next()) texts.push(cursor.valueText)
      expect(released()).toBe(texts.length - 1)
    }
    expect(texts).toEqual(Array.from({ length: 10 }, (_, i) => `value of ${String(i)}`))
    expect(released()).toBe(10)
  })

  it('keeps it when a view into it was handed out; copies are no views', async () => {
    const { parts, released } = reused()
    const [views, copies]: [unknown[], unknown[]] = [[], []]
    for await (const chunk of readRange(parts, range)) {
      const cursor = chunk.records()
      cursor.next()
      if (cursor.offset % 2n === 0n) views.push(cursor.key, cursor.value)
      else copies.push(cursor.keyCopy, cursor.valueCopy)
    }
    const recordsOf = (first: number): unknown[] =>
      [0, 2, 4, 6, 8].flatMap((i) => [Buffer.alloc(4), Buffer.from(`value of ${String(first + i)}`)])
    expect(views).toEqual(recordsOf(0))
    expect(copies).toEqual(recordsOf(1))
    expect(released()).toBe(5)
  })

  it('is not read any more: that throws, whatever is asked', async () => {
    const { parts } = reused()
    const chunks = readRange(parts, range)
    const chunk = (await chunks.next()).value as RecordChunk
    const [used, fresh] = [chunk.records(), chunk.records()]
    expect(used.next()).toBe(true)
    await chunks.next()
    const reads = [
      () => used.next(),
      () => fresh.next(),
      () => used.key,
      () => used.value,
      () => used.keyCopy,
      () => used.valueCopy,
      () => used.keyText,
      () => used.valueText,
      () => used.headers,
      () => used.offset,
      () => used.timestampMs,
      () => chunk.records(),
      () => chunk.count(),
      () => chunk.pack(),
    ]
    for (const each of reads) expect(each).toThrow('after the next one was asked for')
    await chunks.return()
  })

  it('is still there for one who leaves the loop', async () => {
    const { parts, released } = reused()
    const kept: RecordChunk[] = []
    for await (const chunk of readRange(parts, range)) {
      kept.push(chunk)
      break
    }
    expect(kept[0]?.count()).toBe(1)
    expect(released()).toBe(0)
  })
})

describe('reading ahead', () => {
  it('is one fetch, while a chunk is in use', async () => {
    const asked: bigint[] = []
    const parts = partsOf(logOf(0n, 20n), (fetch, request) => (asked.push(request.offset), fetch(request)))
    const chunks = readRange(parts, { topic: 'orders', partition: 3, from: 0n, to: 10n, maxBytes: 100 })
    expect(asked).toEqual([])
    await chunks.next()
    await new Promise((resolve) => setImmediate(resolve))
    expect(asked).toEqual([0n, 1n])
    await chunks.next()
    await new Promise((resolve) => setImmediate(resolve))
    expect(asked).toEqual([0n, 1n, 2n])
    await chunks.return()
  })

  it('that fails is told when its turn comes, and to nobody if the loop is left', async () => {
    const parts = partsOf(logOf(0n, 20n), (fetch, request) =>
      request.offset === 0n ? fetch(request) : Promise.reject(new Error('broken')),
    )
    const range = { topic: 'orders', partition: 3, from: 0n, to: 10n, maxBytes: 100 }
    for await (const chunk of readRange(parts, range)) {
      expect(chunk.position).toBe(1n)
      break
    }
    const chunks = readRange(parts, range)
    expect(await chunks.next()).toMatchObject({ done: false })
    await expect(chunks.next()).rejects.toThrow('broken')
  })

  it('ends with the loop, and with the signal, whose reason is thrown', async () => {
    const signals: (AbortSignal | undefined)[] = []
    const parts = partsOf(logOf(0n, 20n), (fetch, request) => {
      signals.push(request.signal)
      return request.offset === 0n ? fetch(request) : untilAborted(new Promise<never>(() => undefined), request.signal)
    })
    const stop = new AbortController()
    const range = { topic: 'orders', partition: 3, from: 0n, to: 10n, maxBytes: 100, signal: stop.signal }
    const left = readRange(parts, range)
    await left.next()
    await left.return()
    expect(signals[1]?.aborted).toBe(true)
    const chunks = readRange(parts, range)
    await chunks.next()
    const waiting = failure(chunks.next())
    const reason = new Error('stop')
    stop.abort(reason)
    expect(await waiting).toBe(reason)
    expect(await failure(readRange(parts, range).next())).toBe(reason)
  })
})

describe('trying again', () => {
  const options = { timeoutMs: 1000, signal: undefined, doing: 'asking' }

  it('goes on after errors that pass, and ends with those that do not', async () => {
    let calls = 0
    const result = withRetries({ ...options, clock: quickClock() }, () =>
      ++calls < 3 ? Promise.reject(lostConnection()) : Promise.resolve(calls),
    )
    expect(await result).toBe(3)
    const error = new Error('broken')
    expect(await failure(withRetries({ ...options, clock: quickClock() }, () => Promise.reject(error)))).toBe(error)
  })

  it('asks for a topic that is not there until every broker has had time to hear of a new one', async () => {
    const unknown = brokerRefused({ type: UNKNOWN_PARTITION, doing: 'asking', isRetryable: false })
    const tried = async (newTopicMs?: number) => {
      const clock = quickClock()
      const error = await failure(
        withRetries({ ...options, timeoutMs: 30_000, clock, newTopicMs }, () => Promise.reject(unknown)),
      )
      expect(error).toBe(unknown)
      return clock.monotonic()
    }
    expect(await tried(0)).toBe(0)
    expect(await tried()).toBeGreaterThanOrEqual(5000)
    expect(await tried()).toBeLessThan(7000)
    expect(await failure(withRetries({ ...options, clock: quickClock() }, () => Promise.reject(unknown)))).toBe(unknown)
    let calls = 0
    const parts = partsOf(logOf(0n, 10n), (fetch, request) => (++calls < 3 ? Promise.reject(unknown) : fetch(request)))
    expect(await read(parts, {})).toHaveLength(10)
    calls = 0
    expect(await failure(read(parts, { newTopicMs: 0 }))).toBe(unknown)
  })

  it('ends with TIMEOUT when its time is over', async () => {
    const error = await failure(
      withRetries({ ...options, clock: quickClock() }, () => Promise.reject(lostConnection())),
    )
    expect(error).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringMatching(/asking: no progress within 1000 ms/) as unknown,
    })
  })

  it('ends when it is aborted, with an error in any case', async () => {
    const signal = AbortSignal.abort('enough')
    const never = () => new Promise<never>(() => undefined)
    expect(await failure(withRetries({ ...options, clock: quickClock(), signal }, never))).toMatchObject({
      code: 'ABORTED',
    })
  })
})
