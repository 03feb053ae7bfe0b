/** Runs the examples of the documentation. */
import { quotedBlock } from '@sluice/doc-blocks'
import { describe, expect, test } from 'vitest'
import { seconds, SluiceError, StreamingContext, type DStream } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'
import { awkwardTexts, sinkConformance } from '@sluice/testkit'
import { eventLogSource } from './direct-source.js'
import { BrokerReceiver, type Client } from './receiver-class.js'
import { pollEvents, type Event } from './receiver-generator.js'
import { LineFeedReceiver, type Feed } from './receiver-packed.js'
import { jsonLinesOf } from './receiver-readable.js'
import { accountSink, type Database, type Payment, type Transaction } from './sink-ledger.js'

interface Run {
  readonly seen: unknown[][]
  batch(): Promise<void>
  stop(): Promise<void>
  readonly clock: ManualClock
}

async function run(declare: (ssc: StreamingContext) => DStream<unknown>): Promise<Run> {
  const clock = new ManualClock()
  const ssc = new StreamingContext({ batchInterval: seconds(1), clock, log: 'error', signals: false })
  const seen: unknown[][] = []
  declare(ssc).foreachRDD(async (rdd) => void seen.push(await rdd.collect()))
  await ssc.start()
  await clock.settle()
  const batch = async (): Promise<void> => {
    const before = seen.length
    await clock.advance(1_000)
    await expect.poll(() => seen.length).toBeGreaterThan(before)
  }
  return { seen, batch, clock, stop: () => ssc.stop() }
}

test('a receiver as a class', async () => {
  const subscriptions: Parameters<Client['subscribe']>[0][] = []
  let closed = 0
  const client: Client = {
    subscribe: async (options) => {
      subscriptions.push(options)
      return { close: async () => void closed++ }
    },
  }
  const { seen, batch, clock, stop } = await run((ssc) => ssc.receiverStream(new BrokerReceiver(client)))
  await subscriptions[0]!.onMessages([
    { offset: 1n, text: 'a' },
    { offset: 2n, text: 'b' },
  ])
  subscriptions[0]!.onError(new Error('reset'))
  await batch()
  await clock.advance(1_000)
  await subscriptions[1]!.onMessages([{ offset: 3n, text: 'c' }])
  await batch()
  await stop()
  expect(subscriptions.map(({ after }) => after)).toEqual([undefined, 2n])
  expect(closed).toBe(2)
  expect(seen.flat()).toEqual(['a', 'b', 'c'])
  await expect(subscriptions[1]!.onMessages([{ offset: 4n, text: 'd' }])).rejects.toThrowError(/not taken/)
})

test('a receiver of packed bytes', async () => {
  let give: Parameters<Feed>[0] = () => Promise.reject(new Error('it is not open'))
  let closed = 0
  const feed: Feed = (onLines) => {
    give = onLines
    return { close: () => void closed++ }
  }
  const { seen, batch, stop } = await run((ssc) => ssc.receiverStream(new LineFeedReceiver(feed)))
  await give(Buffer.from('a\nb\n'))
  await give(Buffer.from('größe\r\n'))
  await batch()
  await stop()
  expect(closed).toBe(1)
  expect(seen[0]).toEqual(['a', 'b', 'größe'])
})

test('a receiver as a generator', async () => {
  const events = Array.from({ length: 5 }, (_, i): Event => ({ id: i + 1, text: `event ${String(i)}` }))
  let fetches = 0
  const fetchPage = async (after: number): Promise<Event[]> => {
    if (++fetches === 2) throw new Error('503')
    return events.filter(({ id }) => id > after).slice(0, 2)
  }
  const { seen, batch, stop } = await run((ssc) => ssc.receiverStream(pollEvents(fetchPage)))
  for (let i = 0; i < 4; i++) await batch()
  await stop()
  expect(seen.flat()).toEqual(events)
})

test('a receiver of a Readable', async () => {
  const program = 'for (let i = 0; i < 3; i++) console.log(JSON.stringify({ i }))'
  const { seen, batch, stop } = await run((ssc) => ssc.receiverStream(jsonLinesOf(process.execPath, ['-e', program])))
  await expect
    .poll(
      async () => {
        await batch()
        return seen.flat().length
      },
      { timeout: 20_000 },
    )
    .toBe(3)
  await stop()
  expect(seen.flat()).toEqual([{ i: 0 }, { i: 1 }, { i: 2 }])
})

test('a direct source', async () => {
  const lines = Array.from({ length: 10 }, (_, i) => `old ${String(i)}`)
  const log = {
    length: async () => lines.length,
    read: async (from: number, to: number) => lines.slice(from, to),
  }
  const { seen, batch, stop } = await run((ssc) => ssc.inputStream(eventLogSource(log)))
  lines.push('a', 'b', 'c')
  await batch()
  await batch()
  lines.push('d')
  await stop()
  expect(seen).toEqual([['a', 'b', 'c'], [], ['d']])
})

/** A database in memory, with one transaction after the other. */
class MemoryDatabase {
  readonly tables = new Map<string, Map<string, unknown>>()
  #turn: Promise<unknown> = Promise.resolve()

  connect(): Database {
    let isOpen = true
    const open = async (): Promise<void> => {
      if (!isOpen) throw new Error('the connection is closed')
    }
    return {
      transaction: (work) => {
        const done = this.#turn.then(open).then(() => this.#run(work))
        this.#turn = done.catch(() => undefined)
        return done
      },
      close: async () => void (isOpen = false),
    }
  }

  async #run(work: (tx: Transaction) => Promise<void>): Promise<void> {
    const changed: (readonly [table: string, key: string, value: unknown])[] = []
    await work({
      get: async <V>(table: string, key: string) => {
        const own = changed.findLast((each) => each[0] === table && each[1] === key)?.[2]
        return (own ?? this.tables.get(table)?.get(key)) as V | undefined
      },
      set: async (...change) => void changed.push(change),
    })
    for (const [table, key, value] of changed) {
      this.tables.set(table, (this.tables.get(table) ?? new Map<string, unknown>()).set(key, value))
    }
  }
}

sinkConformance<Payment>({
  ...{ describe, test },
  name: 'a sink with a ledger',
  open: () => {
    const database = new MemoryDatabase()
    const make = () => accountSink(() => database.connect())
    const readBack = async (): Promise<Payment[]> =>
      [...(database.tables.get('accounts') ?? [])].map(([account, cents]) => ({ account, cents: Number(cents) }))
    return { sink: make(), reopen: make, readBack }
  },
  record: (index) => ({ account: `account ${String(index)}`, cents: index + 1 }),
  awkward: awkwardTexts.map((account, cents) => ({ account, cents })),
  refused: [
    { account: 'broken', cents: 0.5 },
    { account: 'endless', cents: Infinity },
  ],
  broken: () =>
    accountSink(() => {
      throw new SluiceError({ code: 'CONNECTION_FAILED', component: 'accounts', message: 'nobody there; start it' })
    }),
  manyRecords: 10_000,
  skip: [{ test: 'the records of a partition keep their order', reason: 'accounts have none' }],
})

test('the examples of custom-sources.md and custom-sinks.md are those that run here', () => {
  quotedBlock('docs/custom-sources.md', 'BrokerReceiver', 'docs/examples/receiver-class.ts')
  quotedBlock('docs/custom-sources.md', 'pollEvents', 'docs/examples/receiver-generator.ts')
  quotedBlock('docs/custom-sources.md', 'jsonLinesOf', 'docs/examples/receiver-readable.ts')
  quotedBlock('docs/custom-sources.md', 'LineFeedReceiver', 'docs/examples/receiver-packed.ts')
  quotedBlock('docs/custom-sources.md', 'eventLogSource', 'docs/examples/direct-source.ts')
  quotedBlock('docs/custom-sinks.md', 'accountSink', 'docs/examples/sink-ledger.ts')
})
