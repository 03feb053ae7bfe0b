/**
 * What a checkpoint costs: going on from one million keys of state, against reading and decoding as many into a Map by hand;
 * batches of 200 k records with and without a log; and how often a batch waits for the disk.
 */
import { readdirSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { milliseconds, nodeFileSystem, StreamingContext, type DStream, type FileSystem } from '@sluice/core'
import { Packr } from 'msgpackr'
import type { Benchmark, Sizes } from '../benchmark.js'
import { limitRow } from '../limit-row.js'
import { measure } from '../measure.js'
import type { Row } from '../row.js'
import { spreadOf } from '../stats.js'
import { streamDriver, type StreamDriver } from '../stream-driver.js'

const KEYS = 1_000_000
const RECORDS = 200_000
const BATCHES = 5
/** At most twice the cost of reading by hand. */
const RECOVERY_AIM = 1 / 2
const THROUGHPUT_AIM = 0.9
/** Plan and start together, and the commit. */
const MOST_SYNCS = 2
const PACKED = 4_096
const TOUCHED = 10_000
const SNAPSHOT_INTERVAL_MS = 1_000
/** Batches looked at when the snapshot is written. */
const AFTER = 15

type Visit = readonly [key: string, amount: number]

interface Account {
  readonly visits: number
  readonly total: number
}

export const checkpoint: Benchmark = {
  name: 'checkpoint',
  about:
    'recovery of 1 M keys against reading them by hand; batches of 200 k records with a log against without; syncs; snapshots',
  run: async (sizes) => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'))
    try {
      return [
        ...(await recovery(join(folder, 'recovery'), sizes)),
        ...(await throughput('sums of a batch', sums, join(folder, 'sums'), sizes)),
        ...(await throughput('10 k keys of state', totals, join(folder, 'totals'), sizes)),
        ...(await syncs(join(folder, 'syncs'), sizes)),
        ...(await snapshots(join(folder, 'snapshots'), sizes)),
      ]
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
}

const visitsOf = (count: number, keys: number): Visit[] =>
  Array.from({ length: count }, (_, i) => [`customer-${String((i * 7_919) % keys)}`, i % 100])

function accounts(visits: DStream<Visit>): DStream<Visit> {
  return visits.mapWithState<Account, Visit>((key, amount, state) => {
    const before = state.getOption()
    const account = { visits: (before?.visits ?? 0) + 1, total: (before?.total ?? 0) + (amount ?? 0) }
    state.update(account)
    return [key, account.total]
  })
}

/** From the start of a context to its first committed batch; ticks do not wait, as the clock is the driver's. */
async function recovery(checkpoint: string, sizes: Sizes): Promise<Row[]> {
  const keys = sizes.count(KEYS)
  const visits = visitsOf(keys, keys)
  const first = await streamDriver<Visit, Visit>(accounts, { checkpoint })
  await first.batch(visits)
  // In these the snapshot is written.
  for (let i = 0; i < 3; i++) await first.batch([])
  await first.stop()
  const file = `${checkpoint}.msgpack`
  await writeByHand(file, visits)
  const one = visits.slice(0, 1)
  let batches = 10
  return measure(
    [
      {
        name: 'checkpoint/recovery',
        aim: RECOVERY_AIM,
        noun: 'keys',
        count: keys,
        ours: async () => {
          const driver = await streamDriver<Visit, Visit>(accounts, { checkpoint }, ++batches * 1_000)
          const results = await driver.batch(one)
          await driver.stop()
          return results.length
        },
        reference: async () => Math.min(1, (await readByHand(file)).size),
      },
    ],
    sizes.repeats({ warmUp: 1, rounds: 7 }),
  )
}

async function writeByHand(file: string, visits: readonly Visit[]): Promise<void> {
  const packr = new Packr({ useRecords: true })
  const blocks: Uint8Array[] = []
  for (let from = 0; from < visits.length; from += PACKED) {
    const entries = visits.slice(from, from + PACKED).map(([key, total]) => [key, { visits: 1, total }])
    const block = Buffer.from(packr.pack(entries))
    const head = Buffer.alloc(4)
    head.writeUInt32LE(block.byteLength)
    blocks.push(head, block)
  }
  await writeFile(file, Buffer.concat(blocks))
}

async function readByHand(file: string): Promise<Map<string, Account>> {
  const packr = new Packr({ useRecords: true })
  const bytes = await readFile(file)
  const map = new Map<string, Account>()
  for (let at = 0; at < bytes.byteLength;) {
    const end = at + 4 + bytes.readUInt32LE(at)
    for (const [key, account] of packr.unpack(bytes.subarray(at + 4, end)) as [string, Account][]) map.set(key, account)
    at = end
  }
  return map
}

function sums(visits: DStream<Visit>): DStream<Visit> {
  return visits.map(([key, amount]) => [key, amount * 2] as const).reduceByKey((a, b) => a + b) as DStream<Visit>
}

/** All keys change in each batch, and all of them are written to the log. */
function totals(visits: DStream<Visit>): DStream<Visit> {
  return sums(visits).updateStateByKey<number>((values, sum) => {
    return values.reduce((a, b) => a + b, sum ?? 0)
  }) as DStream<Visit>
}

async function throughput(
  label: string,
  graph: (visits: DStream<Visit>) => DStream<Visit>,
  checkpoint: string,
  sizes: Sizes,
): Promise<Row[]> {
  const visits = visitsOf(sizes.count(RECORDS), 10_000)
  const logged = await streamDriver<Visit, Visit>(graph, { checkpoint })
  const bare = await streamDriver<Visit, Visit>(graph)
  const run = async (driver: StreamDriver<Visit, Visit>): Promise<number> => {
    let results = 0
    for (let i = 0; i < BATCHES; i++) results += (await driver.batch(visits)).length
    return results
  }
  const rows = await measure(
    [
      {
        name: `checkpoint/throughput, ${label}`,
        aim: THROUGHPUT_AIM,
        noun: 'records',
        count: visits.length * BATCHES,
        ours: () => run(logged),
        reference: () => run(bare),
      },
    ],
    sizes.repeats({ warmUp: 2, rounds: 9 }),
  )
  await logged.stop()
  await bare.stop()
  return rows
}

/** How much longer batches take while a snapshot of all keys is written, in real time. */
async function snapshots(checkpoint: string, sizes: Sizes): Promise<Row[]> {
  const keys = sizes.count(KEYS)
  const queue: Visit[][] = [visitsOf(keys, keys)]
  const ssc = new StreamingContext({
    batchInterval: milliseconds(SNAPSHOT_INTERVAL_MS),
    checkpoint,
    log: 'error',
    signals: false,
    memoryBudgetBytes: 8 * 2 ** 30,
  })
  accounts(ssc.queueStream(queue)).foreachRDD(async (rdd) => void (await rdd.count()))
  const during: number[] = []
  const after: number[] = []
  const ended = new Promise<void>((resolve) => {
    ssc.addListener({
      onBatchCompleted: ({ processingDelayMs, records }) => {
        queue.push(visitsOf(Math.min(keys, TOUCHED), keys))
        // The first is that of all keys.
        if (records > TOUCHED || records === 0) return
        const isWritten = basesIn(checkpoint) > 0
        ;(isWritten ? after : during).push(processingDelayMs ?? 0)
        if (after.length >= AFTER) resolve()
      },
    })
  })
  await ssc.start()
  await ended
  await ssc.stop({ graceful: false })
  const usual = spreadOf(after).median
  const limit = usual + SNAPSHOT_INTERVAL_MS / 10
  const unit = `ms of the longest batch (usually ${usual.toFixed(0)}; ${String(during.length)} while it was written)`
  return [limitRow('checkpoint/snapshot', [Math.max(...during, 0)], [limit], unit)]
}

/** Finished snapshots in a checkpoint on the local disk. */
function basesIn(checkpoint: string): number {
  return readdirSync(checkpoint, { recursive: true }).filter((name) => String(name).endsWith('.base')).length
}

/** Batches that start at their tick. */
async function syncs(checkpoint: string, sizes: Sizes): Promise<Row[]> {
  const counter = { syncs: 0 }
  const driver = await streamDriver<Visit, Visit>(totals, { checkpoint, localFileSystem: counting(counter) })
  const visits = visitsOf(1_000, 100)
  await driver.batch(visits)
  const each: number[] = []
  for (let i = 0; i < sizes.count(50); i++) {
    const before = counter.syncs
    await driver.batch(visits)
    each.push(counter.syncs - before)
  }
  await driver.stop()
  return [
    limitRow(
      'checkpoint/syncs',
      each,
      each.map(() => MOST_SYNCS),
      'syncs a batch',
    ),
  ]
}

/** The local disk, which counts how often a file is synced. */
function counting(counter: { syncs: number }): FileSystem {
  const disk = nodeFileSystem()
  return {
    ...disk,
    openAppend: async (path) => {
      const file = await disk.openAppend(path)
      return {
        get sizeBytes() {
          return file.sizeBytes
        },
        append: (data) => file.append(data),
        sync: () => {
          counter.syncs++
          return file.sync()
        },
        close: () => file.close(),
      }
    },
  }
}
