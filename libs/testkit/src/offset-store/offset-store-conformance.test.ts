import { SluiceError, type OffsetStore, type OffsetStoreContext, type StreamOffsets } from '@sluice/core'
import { describe, expect, test } from 'vitest'
import { collectSuite, type SuiteResult } from '../suite/collect.js'
import { offsetStoreConformance } from './offset-store-conformance.js'

type Flaw =
  | 'forgets at restart'
  | 'knows streams that nobody stored'
  | 'replaces everything'
  | 'keeps the highest'
  | 'makes numbers of them'
  | 'stores so many only'
  | 'splits names'
  | 'mixes streams'
  | 'mixes applications'
  | 'joins names'
  | 'lets overtaken runs store'
  | 'hangs when it is stopped'
  | 'throws plain errors'
  | 'cannot be closed'
  | 'writes when it is opened'
  | 'has no name'

interface Row {
  offset: string
  writer: number
}

/** A table that outlives the runs. */
class Table {
  readonly rows = new Map<string, Row>()
  writers = 0
}

class TableStore implements OffsetStore {
  readonly '~sluice' = 'offset-store/1'
  readonly name: string
  readonly #table: Table
  readonly #flaws: ReadonlySet<Flaw>
  readonly #writer: number
  #context: OffsetStoreContext | undefined

  constructor(table: Table, flaws: ReadonlySet<Flaw>) {
    this.#table = flaws.has('forgets at restart') ? new Table() : table
    this.#flaws = flaws
    this.#writer = table.writers++
    this.name = flaws.has('has no name') ? '' : 'table'
  }

  async open(context: OffsetStoreContext): Promise<void> {
    this.#context = context
    if (this.#has('writes when it is opened')) await this.store('conformance', { 'orders-0': '0' })
  }

  load(stream: string): Promise<StreamOffsets> {
    if (this.#has('knows streams that nobody stored') && this.#table.rows.size === 0) {
      return Promise.resolve({ 'orders-0': '0' })
    }
    const prefix = this.#prefix(stream)
    const found = [...this.#table.rows].filter(([key]) => key.startsWith(prefix))
    return Promise.resolve(
      Object.fromEntries(found.map(([key, { offset }]) => [this.#partitionOf(key, prefix), offset])),
    )
  }

  async store(stream: string, offsets: StreamOffsets): Promise<void> {
    if (this.#has('hangs when it is stopped')) await this.#turn()
    const { rows } = this.#table
    const prefix = this.#prefix(stream)
    if (this.#has('replaces everything')) for (const key of rows.keys()) if (key.startsWith(prefix)) rows.delete(key)
    const wanted = Object.entries(offsets).slice(0, this.#has('stores so many only') ? 100 : Infinity)
    for (const [partition, offset] of wanted) {
      const row = rows.get(`${prefix}${partition}`)
      const isOvertaken = row !== undefined && row.writer > this.#writer
      if (isOvertaken && !this.#has('lets overtaken runs store')) throw fenced()
      if (this.#has('keeps the highest') && Number(row?.offset) > Number(offset)) continue
      const text = this.#has('makes numbers of them') ? String(Number(offset)) : offset
      rows.set(`${prefix}${partition}`, { offset: text, writer: this.#writer })
    }
  }

  close(): Promise<void> {
    return this.#has('cannot be closed') ? new Promise(() => undefined) : Promise.resolve()
  }

  /** Waits for ever where the application has been stopped meanwhile. */
  async #turn(): Promise<void> {
    await Promise.resolve()
    if (this.#context?.signal.aborted === true) await new Promise(() => undefined)
  }

  #prefix(stream: string): string {
    const app = this.#has('mixes applications') ? '' : (this.#context?.appName ?? '')
    const sign = this.#has('joins names') ? ':' : '\u0000'
    return `${app}${sign}${this.#has('mixes streams') ? '' : stream}${sign}`
  }

  #partitionOf(key: string, prefix: string): string {
    const name = key.slice(prefix.length)
    return this.#has('splits names') ? (name.split('/')[0] as string) : name
  }

  #has(flaw: Flaw): boolean {
    return this.#flaws.has(flaw)
  }
}

function fenced(): SluiceError {
  return new SluiceError({ code: 'FENCED', component: 'table', message: 'another run has stored; let it go on' })
}

function brokenStore(flaws: ReadonlySet<Flaw>): OffsetStore {
  const error = flaws.has('throws plain errors')
    ? new Error('connection refused')
    : new SluiceError({ code: 'CONNECTION_FAILED', component: 'table', message: 'no table; make one' })
  return {
    '~sluice': 'offset-store/1',
    name: 'broken',
    load: () => Promise.reject(error),
    store: () => Promise.reject(error),
    close: () => (flaws.has('cannot be closed') ? Promise.reject(error) : Promise.resolve()),
  }
}

function suite(flaws: readonly Flaw[], only?: string): Promise<SuiteResult[]> {
  const has = new Set(flaws)
  return collectSuite(
    (runner) => {
      offsetStoreConformance({
        ...runner,
        name: 'table',
        deadlineMs: 200,
        open: () => {
          const table = new Table()
          const make = (): OffsetStore => new TableStore(table, has)
          return { store: make(), reopen: make }
        },
        broken: () => brokenStore(has),
      })
    },
    only === undefined ? {} : { only },
  )
}

describe('the suite for stores of offsets', () => {
  test('passes one that is right', async () => {
    const results = await suite([])
    expect(results.filter(({ outcome }) => outcome !== 'passed')).toEqual([])
    expect(results.length).toBeGreaterThan(15)
  })

  test.each<[Flaw, string]>([
    ['has no name', 'it declares contract and name'],
    ['knows streams that nobody stored', 'a stream that nobody has stored has no offsets'],
    ['forgets at restart', 'what was stored is loaded, by this run and by later ones'],
    ['forgets at restart', 'a later run goes on where an earlier one was'],
    ['replaces everything', 'offsets of the partitions given are replaced, and others stay as they are'],
    ['keeps the highest', 'what was stored last counts, also where it is lower'],
    ['makes numbers of them', 'offsets above 2^53 stay as they are'],
    ['makes numbers of them', 'offsets may be any text'],
    ['stores so many only', 'many partitions are stored and loaded at once'],
    ['splits names', 'streams and partitions may have any names'],
    ['mixes streams', 'streams are kept apart'],
    ['mixes applications', 'applications are kept apart'],
    ['lets overtaken runs store', 'FENCED: a run that another one has overtaken stores nothing'],
    ['joins names', 'applications are kept apart'],
    ['hangs when it is stopped', 'calls end when the application stops at once, and the store can be closed'],
    ['writes when it is opened', 'a store that was only opened can be closed, and leaves nothing'],
    ['cannot be closed', 'a store that was only opened can be closed, and leaves nothing'],
    [
      'throws plain errors',
      'one whose system is not there rejects, naming component, problem and remedy, and can be closed',
    ],
  ])('fails one that %s: %s', async (flaw, rule) => {
    const [result] = await suite([flaw], rule)
    expect(result).toMatchObject({ name: rule, outcome: 'failed' })
  })

  test('needs a broken store, or a skip with its reason', async () => {
    const rule = 'one whose system is not there rejects, naming component, problem and remedy, and can be closed'
    const define = (skip: readonly { test: string; reason: string }[]) =>
      collectSuite((runner) => {
        const make = (): OffsetStore => new TableStore(new Table(), new Set())
        offsetStoreConformance({ ...runner, name: 'table', open: () => ({ store: make(), reopen: make }), skip })
      })
    expect(await define([])).toContainEqual(expect.objectContaining({ name: rule, outcome: 'failed' }))
    const skipped = await define([{ test: rule, reason: 'it is in memory' }])
    expect(skipped).toContainEqual({ name: `${rule} (skipped: it is in memory)`, outcome: 'skipped' })
  })
})
