import { describe, expect, test } from 'vitest'
import {
  SluiceError,
  type BatchId,
  type BatchPartitionId,
  type Sink,
  type SinkContext,
  type WriteContext,
} from '@sluice/core'
import { collectSuite, type SuiteResult } from '../suite/collect.js'
import { SKIPS_RULE, type SuiteRunner } from '../suite/runner.js'
import type { SinkConformanceOptions } from './sink-bench.js'
import { atLeastOnceRules, sinkConformance } from './sink-conformance.js'

type Row = string | Uint8Array

interface Entry {
  readonly batchTime: number
  readonly partitions: number
  readonly planDigest: string
}

/** A table with a ledger, as a database has them. */
class Table {
  rows: Row[] = []
  readonly ledger = new Map<string, Entry>()
  readonly epochs = new Map<string, number>()
}

/** What is broken in a sink. */
type Flaw =
  | 'applies twice'
  | 'replaces'
  | 'no epochs'
  | 'attempt in the key'
  | 'swallows conflicts'
  | 'applies conflicts'
  | 'ignores app'
  | 'loses empty batches'
  | 'drops at a limit'
  | 'reverses'
  | 'sorts the chunk'
  | 'latin1'
  | 'writes as it goes'
  | 'ignores the source error'
  | 'aborted is fine'
  | 'plain errors'
  | 'late write overwrites'
  | 'applies older'
  | 'closes once'
  | 'writes when closed'
  | 'settles too late'
  | 'index per chunk'
  | 'shared chunk'
  | 'durable before commit'
  | 'forgets to await'
  | 'opens behind'
  | 'opens without log'
  | 'one partition at a time'

const REFUSED = 'refused'

function error(code: 'IDENTITY_CONFLICT' | 'STOPPED' | 'CONNECTION_FAILED', message: string): SluiceError {
  return new SluiceError({ code, component: 'table-sink', message: `${message}; see the test` })
}

/** A right sink, and each of the wrong ones. */
class TableSink implements Sink<Row> {
  readonly '~sluice' = 'sink/1'
  readonly name = 'table-sink'
  readonly target = 'table'
  readonly guarantee = { level: 'exactly-once', condition: 'it is a test' } as const
  protected readonly table: Table
  protected readonly flaws: ReadonlySet<Flaw>
  #open = false
  #closed = false
  #writing = false

  constructor(table: Table, flaws: readonly Flaw[] = []) {
    this.table = table
    this.flaws = new Set(flaws)
  }

  #has(flaw: Flaw): boolean {
    return this.flaws.has(flaw)
  }

  async open(context: SinkContext): Promise<void> {
    const key = `${context.app}/${context.output}`
    for (const [of, { batchTime }] of this.table.ledger) {
      const { lastPlanned = -Infinity } = context
      const flaw = context.lastPlanned === undefined ? 'opens without log' : 'opens behind'
      if (batchTime > lastPlanned && of.startsWith(`${key}/`) && !this.#has(flaw))
        throw error('IDENTITY_CONFLICT', 'the ledger is ahead of the log')
    }
    await Promise.resolve()
    this.table.epochs.set(key, Math.max(context.epoch, this.table.epochs.get(key) ?? 0))
    this.#open = true
  }

  async writePartition(
    id: BatchPartitionId,
    chunks: AsyncIterable<readonly Row[]>,
    context: WriteContext,
  ): Promise<void> {
    this.#requireOpen()
    if (this.#has('one partition at a time')) {
      if (this.#writing) throw error('CONNECTION_FAILED', 'the connection is busy')
      this.#writing = true
    }
    try {
      if (!this.#has('aborted is fine')) context.signal.throwIfAborted()
      const rows = await this.#collect(chunks, context)
      if (!this.#has('settles too late')) await context.settleRejects()
      if (!this.#has('aborted is fine') && !this.#has('late write overwrites')) context.signal.throwIfAborted()
      if (!this.#has('writes as it goes')) this.apply(id, rows)
      if (this.#has('settles too late')) await context.settleRejects()
    } finally {
      this.#writing = false
    }
  }

  #requireOpen(): void {
    if (this.#open && (!this.#closed || this.#has('writes when closed'))) return
    if (this.#has('plain errors')) throw new Error('closed')
    throw error('STOPPED', 'the sink is not open')
  }

  async #collect(chunks: AsyncIterable<readonly Row[]>, { reject }: WriteContext): Promise<Row[]> {
    const rows: Row[] = []
    let before = 0
    try {
      for await (const chunk of chunks) {
        const own = this.#has('sorts the chunk') ? (chunk as Row[]).sort() : chunk
        for (const [i, row] of own.entries()) {
          const refusal = row === REFUSED ? new Error('no such row, please') : undefined
          if (refusal !== undefined) reject(this.#has('index per chunk') ? i : before + i, refusal)
          else rows.push(this.#stored(row))
        }
        before += chunk.length
        if (this.#has('writes as it goes')) this.table.rows.push(...rows.splice(0))
      }
    } catch (caught) {
      if (!this.#has('ignores the source error')) throw caught
    }
    if (this.#has('reverses')) rows.reverse()
    return this.#has('drops at a limit') ? rows.slice(0, 1_000) : rows
  }

  #stored(row: Row): Row {
    return this.#has('latin1') && typeof row === 'string' ? Buffer.from(row, 'latin1').toString('latin1') : row
  }

  protected apply(id: BatchPartitionId, rows: readonly Row[]): void {
    if (this.#has('late write overwrites') && id.attempt === 0) {
      this.table.rows.push(...rows)
      return
    }
    const owner = `${this.#has('ignores app') ? '' : id.app}/${id.output}`
    if (!this.#has('no epochs') && (this.table.epochs.get(owner) ?? 0) > id.epoch) {
      throw error('IDENTITY_CONFLICT', 'another application owns this output')
    }
    const key = `${owner}/${String(id.partition)}${this.#has('attempt in the key') ? `/${String(id.attempt)}` : ''}`
    if (this.#isApplied(key, id)) {
      if (this.#has('replaces')) this.table.rows.splice(0, Infinity, ...rows)
      return
    }
    this.table.ledger.set(key, { batchTime: id.batchTime, partitions: id.partitions, planDigest: id.planDigest })
    const add = (): void => void this.table.rows.push(...rows)
    if (this.#has('forgets to await')) void Promise.reject(new Error('nobody listens'))
    add()
  }

  #isApplied(key: string, id: BatchPartitionId): boolean {
    const entry = this.table.ledger.get(key)
    if (entry === undefined || this.#has('applies twice')) return false
    if (entry.batchTime < id.batchTime) return false
    const same = entry.batchTime === id.batchTime
    if (same && entry.planDigest === id.planDigest && entry.partitions === id.partitions) {
      return true
    }
    if (!same && this.#has('applies older')) return false
    if (this.#has('swallows conflicts')) return true
    if (this.#has('applies conflicts')) return false
    if (this.#has('plain errors')) throw new Error('another identity')
    throw error('IDENTITY_CONFLICT', 'the ledger has another identity')
  }

  commitBatch(id: BatchId): Promise<void> {
    if (this.#has('loses empty batches') && id.partitions === 0) return Promise.reject(new Error('no partitions'))
    return Promise.resolve()
  }

  close(): Promise<void> {
    if (this.#closed && this.#has('closes once')) return Promise.reject(error('STOPPED', 'closed already'))
    this.#closed = true
    return Promise.resolve()
  }
}

/** One whose unit is the batch: a transaction over all partitions. */
class TransactionSink extends TableSink {
  readonly unit = 'batch'
  #attempt = ''
  readonly #held: { id: BatchPartitionId; rows: readonly Row[] }[] = []

  protected override apply(id: BatchPartitionId, rows: readonly Row[]): void {
    if (this.flaws.has('durable before commit')) {
      super.apply(id, rows)
      return
    }
    const attempt = `${String(id.batchTime)}/${String(id.attempt)}/${String(id.epoch)}`
    if (attempt !== this.#attempt) this.#held.splice(0)
    this.#attempt = attempt
    this.#held.push({ id, rows })
  }

  override async commitBatch(id: BatchId): Promise<void> {
    await super.commitBatch(id)
    for (const { id: each, rows } of this.#held.splice(0)) super.apply(each, rows)
  }
}

/** One without any ledger, honest about it. */
class PlainSink implements Sink<Row> {
  readonly '~sluice' = 'sink/1'
  readonly name = 'plain-sink'
  readonly target = 'table'
  readonly guarantee = { level: 'at-least-once', condition: 'it only appends' } as const
  readonly #table: Table
  readonly #drops: boolean

  constructor(table: Table, drops = false) {
    this.#table = table
    this.#drops = drops
  }

  async writePartition(
    id: BatchPartitionId,
    chunks: AsyncIterable<readonly Row[]>,
    context: WriteContext,
  ): Promise<void> {
    context.signal.throwIfAborted()
    const rows: Row[] = []
    let index = 0
    for await (const chunk of chunks) {
      for (const row of chunk) {
        if (row === REFUSED) context.reject(index, new Error('no such row'))
        else rows.push(row)
        index++
      }
    }
    await context.settleRejects()
    if (!(this.#drops && id.attempt > 0)) this.#table.rows.push(...rows)
  }
}

type Make = (table: Table) => Sink<Row>

function suite(make: Make, options: Partial<SinkConformanceOptions<Row>> = {}, only?: string): Promise<SuiteResult[]> {
  const define = (runner: SuiteRunner): void => {
    sinkConformance<Row>({ ...standard(make), ...runner, ...options })
  }
  return collectSuite(define, { only })
}

function standard(make: Make): Omit<SinkConformanceOptions<Row>, 'describe' | 'test'> {
  return {
    name: 'table',
    open: () => {
      const table = new Table()
      return {
        sink: make(table),
        reopen: () => make(table),
        readBack: () => Promise.resolve([...table.rows]),
      }
    },
    record: (index) => `row ${String(index)}`,
    awkward: ['größe 日本語', Uint8Array.of(0, 255)],
    refused: [REFUSED, REFUSED],
    manyRecords: 2_000,
    broken: () => ({
      ...new PlainSink(new Table()),
      writePartition: () => Promise.resolve(),
      open: () => Promise.reject(error('CONNECTION_FAILED', 'nobody there')),
    }),
  }
}

const failed = (results: readonly SuiteResult[]): string[] =>
  results
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ name, error }) => `${name}: ${String(error).slice(0, 200)}`)

describe('right sinks pass', () => {
  test.each<[string, Make]>([
    ['one with a ledger', (table) => new TableSink(table)],
    ['one whose unit is the batch', (table) => new TransactionSink(table)],
    ['one that declares itself at-least-once', (table) => new PlainSink(table)],
  ])('%s', async (_name, make) => {
    expect(failed(await suite(make, { manyRecords: 100_000 }))).toEqual([])
  })
})

const table =
  (...flaws: Flaw[]): Make =>
  (table) =>
    new TableSink(table, flaws)
const transaction =
  (...flaws: Flaw[]): Make =>
  (table) =>
    new TransactionSink(table, flaws)

describe('each broken sink is caught by the rule that it breaks', () => {
  test.each<[string, Make, string]>([
    ['applies a batch twice', table('applies twice'), 'E1: a batch written twice by another epoch leaves one effect'],
    [
      'keys its ledger by the attempt',
      table('attempt in the key'),
      'E1: a partition written twice by another attempt leaves one effect',
    ],
    [
      'replaces what an attempt before has written',
      table('replaces'),
      'E1: of two attempts the first counts, whatever the second one brings',
    ],
    [
      'takes another plan for applied',
      table('swallows conflicts'),
      'E1: equal time with another plan digest is an error, never success',
    ],
    [
      'takes another partition count for applied',
      table('swallows conflicts'),
      'E1: equal time with another partition count is an error, never success',
    ],
    [
      'applies another plan too',
      table('applies conflicts'),
      'E1: equal time with another plan digest is an error, never success',
    ],
    ['takes an older batch for applied', table('swallows conflicts'), 'a late older batch is refused'],
    ['applies an older batch', table('applies older'), 'a late older batch is refused'],
    [
      'applies a batch again after a newer one',
      table('applies older'),
      'a batch that was applied before a newer one changes nothing when it comes again',
    ],
    [
      'knows no applications',
      table('ignores app', 'no epochs'),
      "E1: another application's batch is never taken as applied",
    ],
    ['checks no epochs', table('no epochs'), 'E8: once a higher epoch has opened, a lower one can write no more'],
    ['does not look at lastPlanned', table('opens behind'), 'E1: open refuses a ledger that is ahead of the log'],
    [
      'takes a log without batches for any log',
      table('opens without log'),
      'E1: open refuses a ledger of this application when its log has no batch',
    ],
    [
      'fails on empty batches',
      table('loses empty batches'),
      'a batch without partitions is committed, and the next one follows',
    ],
    ['drops what is beyond a limit', table('drops at a limit'), 'many records come through'],
    ['turns records round', table('reverses'), 'the records of a partition keep their order'],
    ['changes the chunks', table('sorts the chunk'), 'chunks are left as they were'],
    ['damages unicode', table('latin1'), 'awkward contents come back as they were given'],
    ['writes chunk by chunk', table('writes as it goes'), 'E9: an aborted write leaves nothing half'],
    [
      'writes chunk by chunk',
      table('writes as it goes'),
      'E9: an abort in the middle of a write rejects it, and the retry completes it',
    ],
    [
      'takes a failed source for its end',
      table('ignores the source error'),
      'a source that fails fails the write with its error, and the retry completes it',
    ],
    [
      'ignores the signal',
      table('aborted is fine', 'ignores the source error'),
      'E9: a write whose signal is aborted already rejects, and the retry completes it',
    ],
    [
      'lets a late write through',
      table('late write overwrites'),
      'E9: a timed-out write that lands later changes nothing',
    ],
    [
      'settles after writing',
      table('settles too late'),
      'E18: refused records are marked and settled before anything is there',
    ],
    [
      'settles after writing',
      table('settles too late'),
      'E18: when the settlement of refused records rejects, so does the write, and nothing is there',
    ],
    [
      'counts records per chunk',
      table('index per chunk'),
      'E18: refused records are marked and settled before anything is there',
    ],
    ['cannot be closed twice', table('closes once'), 'lifecycle: close while closed'],
    ['writes after close', table('writes when closed'), 'lifecycle: writePartition while closed'],
    ['throws plain errors', table('plain errors'), 'lifecycle: writePartition while closed'],
    [
      'throws plain errors',
      table('plain errors'),
      'E1: equal time with another plan digest is an error, never success',
    ],
    [
      'writes one partition at a time',
      table('one partition at a time'),
      'partitions may be written in parallel, unless the unit is the batch',
    ],
    ['leaves a promise alone', table('forgets to await'), 'a committed batch is there'],
    [
      'writes before the commit of its unit',
      transaction('durable before commit'),
      'nothing is there before commitBatch where the unit is the batch',
    ],
    [
      'loses what it declares at-least-once',
      (rows) => new PlainSink(rows, true),
      'E9: an abort in the middle of a write rejects it, and the retry completes it',
    ],
  ])('one that %s', async (_what, make, rule) => {
    const [result] = await suite(make, {}, rule)
    expect(result).toMatchObject({ name: rule, outcome: 'failed' })
  })

  test('one that cannot be closed when it could not be opened', async () => {
    const rule = 'open of what cannot work rejects, naming component, problem and remedy'
    const broken = (): Sink<Row> => ({
      ...new PlainSink(new Table()),
      writePartition: () => Promise.resolve(),
      open: () => Promise.reject(error('CONNECTION_FAILED', 'nobody there')),
      close: () => Promise.reject(error('STOPPED', 'it is not open')),
    })
    const results = await suite(table(), { broken }, rule)
    expect(failed(results)[0]).toContain('close after an open that rejected must succeed')
  })

  test('one with host and password in its target', async () => {
    const make: Make = (table) => Object.assign(new TableSink(table), { target: 'redis://me:secret@host/0' })
    const results = await suite(make)
    expect(failed(results)).toHaveLength(1)
    expect(failed(results)[0]).toContain('it declares contract, name, target, guarantee and unit')
  })
})

describe('skips', () => {
  test('a rule is left out with its reason', async () => {
    const rule = 'the records of a partition keep their order'
    const results = await suite(table('reverses'), { skip: [{ test: rule, reason: 'a set has no order' }] })
    expect(failed(results)).toEqual([])
    expect(results.filter(({ outcome }) => outcome === 'skipped')).toEqual([
      { name: `${rule} (skipped: a set has no order)`, outcome: 'skipped' },
    ])
  })

  test.each([
    [{ test: 'no such rule', reason: 'because' }, "skip names 'no such rule', which is no rule"],
    [{ test: 'many records come through', reason: ' ' }, "the skip of 'many records come through' needs its reason"],
  ])('%o fails', async (skip, message) => {
    const results = await suite(table(), { skip: [skip] })
    expect(failed(results).map((text) => text.slice(0, SKIPS_RULE.length))).toEqual([SKIPS_RULE])
    expect(failed(results)[0]).toContain(message)
  })

  test.each([
    ['awkward', 'awkward contents come back as they were given'],
    ['refused', 'E18: refused records are marked and settled before anything is there'],
    ['broken', 'open of what cannot work rejects, naming component, problem and remedy'],
  ])("a rule whose '%s' is not given fails instead of passing in silence", async (ingredient, rule) => {
    const results = await suite(table(), { [ingredient]: undefined })
    expect(failed(results).find((text) => text.startsWith(rule))).toContain(`this rule needs '${ingredient}'`)
  })

  test('what at-least-once relaxes is named', () => {
    expect(atLeastOnceRules).toContain('E1: a batch written twice by another epoch leaves one effect')
    expect(atLeastOnceRules).not.toContain('many records come through')
  })
})
