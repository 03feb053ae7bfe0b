/** Group commit: small entries, each durable when its append resolves, against writing and syncing whole groups by hand. */
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { consoleLogger, nodeFileSystem } from '@sluice/core'
import { openEntryLog } from '@sluice/core/testing'
import type { Benchmark, Sizes } from '../benchmark.js'
import type { Row } from '../row.js'
import { median, spreadOf } from '../stats.js'

const ENTRIES = 500_000
const ENTRY_BYTES = 100
const OUTSTANDING = 1_000
const AIM_PER_SECOND = 50_000
// By hand nothing is numbered or checked, and nobody waits to be told.
const AIM_BY_HAND = 0.33

/** Entries per second of wall-clock time: waiting for the disk is the work here. */
type Rate = number

export const wal: Benchmark = {
  name: 'wal',
  about:
    '500 k durable entries of 100 bytes, 1,000 outstanding: against 50 k/s, and against write + fdatasync per group',
  run: async (sizes) => {
    const pairs = await ratesOf(sizes)
    const ours = pairs.map((pair) => pair.ours)
    return [
      rowOf(
        'wal: 50 k/s',
        ours,
        [AIM_PER_SECOND],
        ours.map((rate) => rate / AIM_PER_SECOND),
        1,
      ),
      rowOf(
        'wal: by hand',
        ours,
        pairs.map((pair) => pair.byHand),
        pairs.map((pair) => pair.ours / pair.byHand),
        AIM_BY_HAND,
      ),
    ]
  },
}

async function ratesOf(sizes: Sizes): Promise<{ readonly ours: Rate; readonly byHand: Rate }[]> {
  const count = sizes.count(ENTRIES)
  const { warmUp, rounds } = sizes.repeats({ warmUp: 1, rounds: 9 })
  const pairs: { ours: Rate; byHand: Rate }[] = []
  for (let round = -warmUp; round < rounds; round++) {
    const ours = await inFolder((folder) => rateOf(count, () => appendAll(folder, count)))
    const byHand = await inFolder((folder) => rateOf(count, () => writeByHand(folder, count)))
    if (round >= 0) pairs.push({ ours, byHand })
  }
  return pairs
}

function rowOf(
  name: string,
  ours: readonly Rate[],
  reference: readonly Rate[],
  ratios: readonly number[],
  aim: number,
): Row {
  const { median: ratio, low, high } = spreadOf(ratios)
  const inThousands = (rates: readonly Rate[]): number => median(rates) / 1_000
  return {
    name,
    ratio,
    low,
    high,
    unit: 'k entries per second',
    ours: inThousands(ours),
    reference: inThousands(reference),
    aim,
    met: ratio >= aim,
    wallRatio: ratio,
    rounds: ratios.length,
  }
}

async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-wal-'))
  try {
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function rateOf(count: number, run: () => Promise<void>): Promise<Rate> {
  const start = performance.now()
  await run()
  return count / ((performance.now() - start) / 1_000)
}

async function appendAll(folder: string, count: number): Promise<void> {
  const options = { fileSystem: nodeFileSystem(), folder, epoch: 1, logger: consoleLogger('error') }
  const log = await openEntryLog(options, () => undefined)
  const payload = new Uint8Array(ENTRY_BYTES)
  let left = count
  const appendInTurn = async (): Promise<void> => {
    while (left-- > 0) await log.append(1, payload)
  }
  await Promise.all(Array.from({ length: OUTSTANDING }, appendInTurn))
  const { entries } = log.statistics
  await log.close()
  if (entries !== count) throw new Error(`wal: ${String(entries)} entries are durable, not ${String(count)}`)
}

async function writeByHand(folder: string, count: number): Promise<void> {
  const payload = new Uint8Array(ENTRY_BYTES)
  const file = await open(join(folder, 'log'), 'a')
  for (let written = 0; written < count; written += OUTSTANDING) {
    const group = Buffer.allocUnsafe(OUTSTANDING * ENTRY_BYTES)
    for (let i = 0; i < OUTSTANDING; i++) group.set(payload, i * ENTRY_BYTES)
    await file.write(group)
    await file.datasync()
  }
  await file.close()
}
