/** The fence and the ledger over topics in memory: owners that stop within a transaction, answers that are lost, leaders that know too little. */
import { SinkDrive } from '@sluice/testkit'
import { isSluiceError, seededRandom, type SinkContext } from '@sluice/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LedgeredOutput } from './ledgered-output.js'
import { untilDone } from './testing/until-done.js'
import { FakeKafka, hastyClock } from './testing/fake-kafka.js'

const TOPIC = 'rows'
const PARTITIONS = 3

class Owner {
  readonly #drive: SinkDrive
  readonly #output: LedgeredOutput
  readonly #epoch: number

  constructor(kafka: FakeKafka, drive: SinkDrive, context: Partial<SinkContext> & { readonly epoch: number }) {
    this.#drive = drive
    this.#epoch = context.epoch
    this.#output = new LedgeredOutput({
      ...{ client: kafka.client(), topic: 'ledger', clock: hastyClock(), transactionTimeoutMs: 1_000 },
      context: drive.context(context),
    })
  }

  async open(): Promise<this> {
    await untilDone(() => this.#output.open())
    return this
  }

  write(batch: number, partition: number): Promise<void> {
    const id = this.#drive.id({ batchTime: batch, partition, partitions: PARTITIONS, epoch: this.#epoch })
    const { signal } = new AbortController()
    return this.#output.write(id, { signal, indexes: undefined }, (transaction) =>
      transaction.send(TOPIC, [{ value: `${String(batch)}/${String(partition)}` }]),
    )
  }

  /** All partitions at the same time. */
  async writeAll(batch: number): Promise<void> {
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition)
    await Promise.all(partitions.map((partition) => untilDone(() => this.write(batch, partition))))
  }
}

const rowsOf = (batches: number): string[] =>
  Array.from({ length: batches }, (_, i) =>
    [0, 1, 2].map((partition) => `${String(i + 1)}/${String(partition)}`),
  ).flat()

test.each(['before', 'after'] as const)(
  'E8, E22: an owner that is stopped %s its commit keeps nobody waiting, and is fenced when it wakes',
  async (moment) => {
    const kafka = new FakeKafka()
    const drive = new SinkDrive()
    const old = await new Owner(kafka, drive, { epoch: 1 }).open()
    await old.writeAll(1)
    let wake = (): void => undefined
    const stopped = new Promise<void>((resolve) => {
      kafka.pause = (call, when) => {
        if (call !== 'commit' || when !== moment) return Promise.resolve()
        kafka.pause = undefined
        resolve()
        return new Promise((woken) => (wake = woken))
      }
    })
    const write = old.write(2, 0).catch((error: unknown) => error)
    await stopped
    const young = await new Owner(kafka, drive, { epoch: 2 }).open()
    await young.writeAll(2)
    expect(kafka.committed(TOPIC).sort()).toEqual(rowsOf(2))
    wake()
    expect(isSluiceError(await write, 'FENCED')).toBe(moment === 'before')
    await expect(old.write(3, 0)).rejects.toMatchObject({ code: 'FENCED' })
    expect(kafka.committed(TOPIC).sort()).toEqual(rowsOf(2))
  },
)

test('E22: what a new leader does not know yet to be safe is waited for, and not taken for missing', async () => {
  const kafka = new FakeKafka()
  const drive = new SinkDrive()
  const old = await new Owner(kafka, drive, { epoch: 1 }).open()
  await old.writeAll(1)
  kafka.rememberEnds()
  await old.writeAll(2)
  kafka.answerRemembered(20)
  const young = await new Owner(kafka, drive, { epoch: 2 }).open()
  await young.writeAll(2)
  expect(kafka.committed(TOPIC).sort()).toEqual(rowsOf(2))
})

test('E22: what another application has open in the ledger keeps nobody from starting', async () => {
  const kafka = new FakeKafka()
  const producer = await kafka.client().transactional('another')
  await producer.init()
  await (await producer.begin()).send('ledger', [{ key: '["another","output",0]', value: '{}' }])
  const owner = await new Owner(kafka, new SinkDrive(), { epoch: 1 }).open()
  await owner.writeAll(1)
  expect(kafka.committed(TOPIC).sort()).toEqual(rowsOf(1))
})

test('E1, E8, E22: whatever is lost, and whoever takes over when, each partition of a batch is committed once', async () => {
  const faults = fc.record({
    seed: fc.integer(),
    lost: fc.double({ min: 0, max: 0.06, noNaN: true }),
    answerLost: fc.double({ min: 0, max: 0.06, noNaN: true }),
    owners: fc.integer({ min: 1, max: 4 }),
  })
  const run = async ({ seed, lost, answerLost, owners }: typeof faults extends fc.Arbitrary<infer F> ? F : never) => {
    const random = seededRandom(seed)
    const kafka = new FakeKafka()
    const drive = new SinkDrive()
    kafka.fate = () => {
      const value = random.next()
      if (random.next() < 0.05) kafka.rememberEnds()
      if (random.next() < 0.05) kafka.answerRemembered(5)
      return value < lost ? 'lost' : value < lost + answerLost ? 'answer lost' : 'well'
    }
    const ends: Promise<unknown>[] = []
    let batch = 1
    for (let epoch = 1; epoch <= owners; epoch++) {
      const owner = await new Owner(kafka, drive, { epoch }).open()
      for (const last = batch + 2; batch < last; batch++) await owner.writeAll(batch)
      // It goes on while the next one takes over; what it writes of that batch the next one finds written.
      if (epoch < owners) ends.push(owner.writeAll(batch).catch((error: unknown) => error))
    }
    for (const end of await Promise.all(ends)) {
      if (end !== undefined) expect(isSluiceError(end, 'FENCED')).toBe(true)
    }
    expect(kafka.committed(TOPIC).sort()).toEqual(rowsOf(batch - 1).sort())
  }
  await fc.assert(fc.asyncProperty(faults, run), { numRuns: 100 })
}, 120_000)
