import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { BlockStore } from './block-store.js'
import type { FileSystem } from './file-system.js'
import type { Loan } from './lease.js'
import { memoryFileSystem } from './memory-file-system.js'
import type { StorageLevel } from './storage-level.js'

const PIECE_BYTES = 64
const POISON = 0xff

function storeOf(memoryBudgetBytes: number, fileSystem: FileSystem = memoryFileSystem()): BlockStore {
  return new BlockStore({ fileSystem, directory: '/tmp', instance: 'test', memoryBudgetBytes })
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('records that somebody wants back', () => {
  test('are released when their block is removed, once', async () => {
    const store = storeOf(Infinity)
    const release = vi.fn()
    await store.put('a', [1], 'memory', { release })
    expect(release).not.toHaveBeenCalled()
    void store.remove('a')
    void store.remove('a')
    await store.close()
    expect(release).toHaveBeenCalledTimes(1)
  })

  test('are not released while they are lent, whatever becomes of their block', async () => {
    const store = storeOf(Infinity)
    const release = vi.fn()
    await store.put('a', [1], 'memory', { release })
    const loans = [store.lend('a'), store.lend('a')]
    await store.close()
    loans[0]?.giveBack()
    loans[0]?.giveBack()
    expect(release).not.toHaveBeenCalled()
    loans[1]?.giveBack()
    expect(release).toHaveBeenCalledTimes(1)
  })

  test.each(['get', 'getStored'] as const)('are never released once %s has handed them out', async (read) => {
    const store = storeOf(Infinity)
    const release = vi.fn()
    await store.put('a', [1], 'memory', { release })
    void store[read]('a')
    await store.close()
    expect(release).not.toHaveBeenCalled()
  })

  test('are released when they are on disk, and lent from there they are others', async () => {
    const store = storeOf(0)
    const release = vi.fn()
    const records = [Uint8Array.of(1)]
    await store.put('a', records, 'memory-and-disk', { release })
    expect(release).toHaveBeenCalledTimes(1)
    records[0]?.fill(POISON)
    const loan = store.lend('a')
    expect(await loan?.records).toEqual([Uint8Array.of(1)])
    loan?.giveBack()
    expect(release).toHaveBeenCalledTimes(1)
  })

  test('are released when another block takes the place of theirs', async () => {
    const store = storeOf(Infinity)
    const releases = [vi.fn(), vi.fn()]
    await store.put('a', [1], 'memory', { release: releases[0] })
    await store.put('a', [2], 'memory', { release: releases[1] })
    expect(releases.map(({ mock }) => mock.calls.length)).toEqual([1, 0])
  })
})

/** Blocks whose bytes are overwritten at once when the store gives them back, and readers that look whether they still are good. */
class Poisoned {
  readonly store = storeOf(6 * PIECE_BYTES)
  readonly released = new Map<number, number>()
  readonly handedOut = new Set<number>()
  readonly #loans: { readonly value: number; readonly loan: Loan }[] = []
  readonly #kept: { readonly value: number; readonly records: Loan['records'] }[] = []
  /** What stands under each id. */
  readonly #values = new Map<string, number>()
  #next = 0

  get count(): number {
    return this.#next
  }

  put(id: string, level: StorageLevel): void {
    const value = this.#next++
    const bytes = new Uint8Array(PIECE_BYTES).fill(value)
    const release = (): void => {
      this.released.set(value, (this.released.get(value) ?? 0) + 1)
      bytes.fill(POISON)
    }
    this.#values.set(id, value)
    void this.store.put(id, [bytes], level, { release })
  }

  lend(id: string): void {
    const loan = this.store.lend(id)
    if (loan !== undefined) this.#loans.push({ value: this.#values.get(id) as number, loan })
  }

  keep(id: string): void {
    const records = this.store.get(id)
    if (records === undefined) return
    const value = this.#values.get(id) as number
    if (!(records instanceof Promise)) this.handedOut.add(value)
    this.#kept.push({ value, records })
  }

  async giveBack(): Promise<void> {
    const lent = this.#loans.shift()
    if (lent === undefined) return
    await expectAll(lent.loan.records, lent.value)
    lent.loan.giveBack()
  }

  async end(): Promise<void> {
    while (this.#loans.length > 0) await this.giveBack()
    for (const { value, records } of this.#kept) await expectAll(records, value)
    await this.store.close()
  }
}

async function expectAll(records: Loan['records'], value: number): Promise<void> {
  expect(await records).toEqual([new Uint8Array(PIECE_BYTES).fill(value)])
}

const id = fc.constantFrom('a', 'b', 'c', 'd')
const step = fc.oneof(
  fc.record({ do: fc.constant('put' as const), id, level: fc.constantFrom('memory', 'memory-and-disk', 'disk') }),
  fc.record({ do: fc.constantFrom('lend', 'keep', 'remove', 'giveBack', 'turn'), id }),
  fc.record({ do: fc.constantFrom('lend', 'giveBack'), id }),
)

test('nobody ever reads bytes that were given back, and all are given back but those that were handed out for good', async () => {
  const law = fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
    const run = new Poisoned()
    for (const each of steps) {
      if (each.do === 'put') run.put(each.id, (each as { level: StorageLevel }).level)
      else if (each.do === 'lend') run.lend(each.id)
      else if (each.do === 'keep') run.keep(each.id)
      else if (each.do === 'remove') void run.store.remove(each.id)
      else if (each.do === 'giveBack') await run.giveBack()
      else await turn()
    }
    await run.end()
    for (let value = 0; value < run.count; value++) {
      expect(run.released.get(value) ?? 0).toBe(run.handedOut.has(value) ? 0 : 1)
    }
  })
  await fc.assert(law, { numRuns: 300 })
})
