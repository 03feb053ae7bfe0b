/** Bytes that the engine gives back: what a receiver then does with them must never show. */
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { unpackLines } from '../rdd/engine-functions.js'
import { openSource } from '../rdd/open.js'
import type { TaskEnv } from '../rdd/pipeline.js'
import { harness, until } from '../testing/harness.js'
import { milliseconds, seconds } from '../time/duration.js'
import type { Receiver, ReceiverContext } from './receiver.js'

const POISON = 0x21
/** From here on bytes are kept as they are. */
const LARGE_BYTES = 16 * 1024
/** So short that all blocks of the test are cut within one batch. */
const BLOCK_MS = 10

/** A receiver of lines that overwrites its bytes as soon as it gets them back. */
class PoisoningReceiver implements Receiver<string> {
  readonly '~sluice' = 'receiver/1'
  readonly name = 'lines'
  readonly unpack = unpackLines
  context!: ReceiverContext<string>
  lent = 0

  onStart(context: ReceiverContext<string>): void {
    this.context = context
  }

  onStop(): void {
    // It holds nothing.
  }

  line(line: string, position?: bigint): Promise<void> {
    const bytes = Buffer.from(`${line}\n`)
    this.lent++
    const release = (): void => {
      this.lent--
      bytes.fill(POISON)
    }
    const at = position === undefined ? {} : { position: { p: position } }
    return this.context.storePacked(bytes, { records: 1, release, ...at })
  }
}

/** A line that is kept as it is, or one that is copied. */
function lineOf(name: string, isLarge = true): string {
  return isLarge ? name.repeat(Math.ceil(LARGE_BYTES / name.length)) : name
}

describe('bytes that the receiver wants back', () => {
  test('come back at once where they were copied, and when the batch after theirs is committed where they were kept', async () => {
    const receiver = new PoisoningReceiver()
    const { ssc, batch } = harness()
    const lines: string[] = []
    ssc.receiverStream<string>(receiver).foreachRDD(async (rdd) => {
      expect(receiver.lent).toBe(1)
      lines.push(...(await rdd.collect()))
    })
    await ssc.start()
    await receiver.line('a')
    expect(receiver.lent).toBe(0)
    await receiver.line(lineOf('b'))
    await receiver.line('')
    expect(receiver.lent).toBe(1)
    await batch()
    expect(lines).toEqual(['a', lineOf('b'), ''])
    await batch()
    await until(() => receiver.lent === 0)
    await ssc.stop({ graceful: false })
  })

  test('E4: come back only when no window can ask for them', async () => {
    const receiver = new PoisoningReceiver()
    const { ssc, batch } = harness()
    const windows: string[][] = []
    ssc
      .receiverStream<string>(receiver)
      .window(seconds(3))
      .foreachRDD(async (rdd) => void windows.push(await rdd.map((line) => line.slice(0, 1)).collect()))
    await ssc.start()
    await receiver.line(lineOf('a'))
    await batch()
    await batch()
    expect(receiver.lent).toBe(1)
    await batch()
    await batch()
    expect(windows).toEqual([['a'], ['a'], ['a'], []])
    await batch()
    await until(() => receiver.lent === 0)
    await ssc.stop({ graceful: false })
  })

  test('E13: are as they were in every attempt of a task and of an output', async () => {
    const receiver = new PoisoningReceiver()
    const { ssc, batch } = harness({ taskMaxFailures: 3 })
    const seen: string[] = []
    ssc
      .receiverStream<string>(receiver)
      .map((line) => {
        seen.push(line)
        if (seen.length < 3) throw new Error('not yet')
        return line
      })
      .foreachRDD(async (rdd) => void (await rdd.collect()))
    await ssc.start()
    await receiver.line(lineOf('a'))
    await batch()
    expect(seen).toEqual([lineOf('a'), lineOf('a'), lineOf('a')])
    await batch()
    await until(() => receiver.lent === 0)
    await ssc.stop({ graceful: false })
  })

  test.each(['to the end', 'in part', 'until it throws'])(
    'are lent to a task for as long as it reads, %s',
    async (how) => {
      const giveBack = vi.fn()
      const fn = (piece: unknown): unknown[] => {
        expect(giveBack).not.toHaveBeenCalled()
        if (how === 'until it throws' && piece === 2) throw new Error('boom')
        return [piece]
      }
      const env = { info: {}, lend: () => ({ records: [1, 2, 3], giveBack }) } as unknown as TaskEnv
      const read = async (): Promise<void> => {
        for await (const chunk of openSource({ kind: 'unpack', operator: 'in', block: 'a', records: 3, fn }, env)) {
          expect(giveBack).not.toHaveBeenCalled()
          if (how === 'in part' && chunk[0] === 2) break
        }
      }
      if (how === 'until it throws') await expect(read()).rejects.toMatchObject({ code: 'USER_FUNCTION_FAILED' })
      else await read()
      expect(giveBack).toHaveBeenCalledTimes(1)
    },
  )

  test('E14: come back no sooner than they are in the write-ahead log, and are read from there as they were', async () => {
    const receiver = new PoisoningReceiver()
    const first = harness({ checkpoint: '/ckpt' })
    first.ssc.receiverStream<string>(receiver, { reliable: true, name: 'in' }).foreachRDD(() => undefined)
    await first.ssc.start()
    const stored = [receiver.line('a', 1n), receiver.line(lineOf('b'), 2n)]
    expect(receiver.lent).toBe(2)
    await Promise.all(stored)
    await until(() => receiver.lent === 1)
    // Known already: not taken again.
    await receiver.line(lineOf('b'), 2n)
    expect(receiver.lent).toBe(1)
    await first.ssc.stop({ graceful: false })

    const lines: string[] = []
    const second = harness({ checkpoint: '/ckpt', localFileSystem: first.disk, clock: first.clock })
    second.ssc
      .receiverStream<string>(new PoisoningReceiver(), { reliable: true, name: 'in' })
      .foreachRDD(async (rdd) => void lines.push(...(await rdd.collect())))
    await second.ssc.start()
    await second.batch()
    expect(lines).toEqual(['a', lineOf('b')])
    await second.ssc.stop({ graceful: false })
  })

  test('are the receiver’s still when they were refused', async () => {
    const receiver = new PoisoningReceiver()
    const { ssc } = harness()
    ssc.receiverStream<string>(receiver).foreachRDD(() => undefined)
    await ssc.start()
    const release = vi.fn()
    const { context } = receiver
    await expect(context.storePacked(Buffer.from('a\n'), { records: -1, release })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
    })
    await ssc.stop({ graceful: false })
    await expect(context.storePacked(Buffer.from('a\n'), { records: 1, release })).rejects.toMatchObject({
      code: 'STOPPED',
    })
    expect(release).not.toHaveBeenCalled()
  })
})

const batchOfLines = fc.array(fc.record({ isLarge: fc.boolean(), cuts: fc.boolean() }), { maxLength: 6 })

test('whatever is lent, kept by windows, spilled or tried again: every batch reads what was stored', async () => {
  const law = fc.asyncProperty(
    fc.array(batchOfLines, { minLength: 1, maxLength: 4 }),
    fc.integer({ min: 1, max: 3 }),
    fc.constantFrom('memory', 'memory-and-disk', 'disk'),
    fc.constantFrom(0, 40_000, 2 ** 20),
    async (batches, windowSeconds, storageLevel, memoryBudgetBytes) => {
      const receiver = new PoisoningReceiver()
      const { ssc, clock, batch } = harness({ memoryBudgetBytes, taskMaxFailures: 10 })
      const windows: string[][] = []
      const tried = new Set<string>()
      ssc
        .receiverStream<string>(receiver, { storageLevel, blockInterval: milliseconds(BLOCK_MS) })
        .map((line) => {
          if (!tried.has(line) && tried.add(line).size % 4 === 0) throw new Error('once')
          return line
        })
        .window(seconds(windowSeconds))
        .foreachRDD(async (rdd) => void windows.push(await rdd.collect()))
      await ssc.start()
      const slices: string[][] = []
      for (const [i, lines] of batches.entries()) {
        slices.push(lines.map(({ isLarge }, j) => lineOf(`${String(i)}.${String(j)}-`, isLarge)))
        for (const [j, { cuts }] of lines.entries()) {
          await receiver.line(slices[i]?.[j] as string)
          if (cuts) await clock.advance(BLOCK_MS)
        }
        await batch()
      }
      for (let i = 0; i <= windowSeconds; i++) await batch()
      for (const [i, window] of windows.entries()) {
        expect(window).toEqual(slices.slice(Math.max(0, i + 1 - windowSeconds), i + 1).flat())
      }
      await until(() => receiver.lent === 0)
      await ssc.stop({ graceful: false })
    },
  )
  await fc.assert(law, { numRuns: 60 })
})
