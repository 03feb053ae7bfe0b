/** What the next batch covers: pure functions from how far each partition is behind, and from caps, to ranges of offsets. */

/** The offsets of one topic partition that a batch covers: [`from`, `until`). Positions; some may hold no record. */
export interface OffsetRange {
  readonly topic: string
  readonly partition: number
  readonly from: bigint
  readonly until: bigint
}

/** How far one partition has been planned, and how far it could be. */
export interface PartitionLag {
  readonly topic: string
  readonly partition: number
  readonly next: bigint
  /** Where it may be planned up to; may be below `next` while brokers disagree. */
  readonly end: bigint
}

/** How much one batch may cover. */
export interface BatchCaps {
  /** By the rate of the stream, in offsets. Default: no cap. */
  readonly budget?: number | undefined
  /** For the whole batch, whatever the others say. Default: no cap. */
  readonly maxRecords?: number | undefined
  /** For each partition. Default: no cap. */
  readonly maxPerPartition?: number | undefined
  /** What each partition gets at least, also beyond `budget`. Default: 0. */
  readonly minPerPartition?: number | undefined
}

/**
 * The ranges of a batch, one for each partition and in their order. What does not fit is shared by lag, so that all come to
 * their end at the same time. `turn` counts batches: whoever had less by chance has more next time.
 */
export function planRanges(partitions: readonly PartitionLag[], caps: BatchCaps, turn = 0): OffsetRange[] {
  const shares = shareOut(partitions.map(lagOf), caps, turn)
  return partitions.map(({ topic, partition, next }, i) => ({
    topic,
    partition,
    from: next,
    until: next + BigInt(shares[i] ?? 0),
  }))
}

/** How many positions the ranges have: as many records at most. */
export function positionsIn(ranges: readonly OffsetRange[]): number {
  return ranges.reduce((sum, { from, until }) => sum + Number(until - from), 0)
}

function lagOf({ next, end }: PartitionLag): number {
  if (end <= next) return 0
  const lag = end - next
  return lag > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : Number(lag)
}

function shareOut(lags: readonly number[], caps: BatchCaps, turn: number): number[] {
  const { budget = Infinity, maxRecords = Infinity, maxPerPartition = Infinity, minPerPartition = 0 } = caps
  const wanted = lags.map((lag) => Math.min(lag, maxPerPartition))
  const shares = leastShares(wanted, minPerPartition, maxRecords, turn)
  const rest = Math.min(budget, maxRecords) - sumOf(shares)
  addByLag(shares, wanted, lags, rest, turn)
  return shares
}

/** The least for everybody, as far as it goes, from another partition each time. */
function leastShares(wanted: readonly number[], least: number, limit: number, turn: number): number[] {
  const shares = wanted.map(() => 0)
  let rest = limit
  for (const i of inTurn(wanted, turn)) {
    shares[i] = Math.min(wanted[i] as number, least, rest)
    rest -= shares[i]
  }
  return shares
}

/** Shares out `rest` by lag. Who wants no more than its part gets that, and leaves the rest to the others. */
function addByLag(
  shares: number[],
  wanted: readonly number[],
  lags: readonly number[],
  rest: number,
  turn: number,
): void {
  const openOf = (i: number): number => (wanted[i] as number) - (shares[i] as number)
  let open = inTurn(wanted, turn).filter((i) => openOf(i) > 0)
  let left = rest
  while (open.length > 0 && left > 0) {
    const perLag = left / sumOf(open.map((i) => lags[i] as number))
    const content = open.filter((i) => openOf(i) <= perLag * (lags[i] as number))
    if (content.length === 0) {
      addParts(shares, open, lags, perLag, left)
      return
    }
    for (const i of content) {
      // Rounding must not lead beyond the cap.
      const more = Math.min(openOf(i), left)
      shares[i] = (shares[i] as number) + more
      left -= more
    }
    open = open.filter((i) => openOf(i) > 0)
  }
}

/** Whole numbers: the largest remainders are rounded up. */
function addParts(
  shares: number[],
  open: readonly number[],
  lags: readonly number[],
  perLag: number,
  rest: number,
): void {
  const parts = open.map((i) => ({ i, exact: perLag * (lags[i] as number) }))
  let left = rest
  const add = (i: number, part: number): void => {
    const more = Math.min(part, left)
    shares[i] = (shares[i] as number) + more
    left -= more
  }
  for (const { i, exact } of parts) add(i, Math.floor(exact))
  for (const { i } of parts.toSorted((a, b) => (b.exact % 1) - (a.exact % 1))) {
    if (left < 1) return
    add(i, 1)
  }
}

/** All indexes, beginning with another one each time. */
function inTurn(list: readonly unknown[], turn: number): number[] {
  return list.map((_, i) => (i + turn) % list.length)
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0)
}
