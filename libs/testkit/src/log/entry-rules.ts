/** Rules for what a log keeps: entries, their order and numbers, notes, trimming, the end. */
import assert from 'node:assert/strict'
import { isSluiceError } from '@sluice/core'
import { settled } from '../suite/checks.js'
import { append, bytes, rulesOf, type Define } from './log-bench.js'

function keepingTests(define: Define): void {
  define('a new log gives no entry', async (bench) => {
    assert.deepEqual((await bench.owner()).entries, [])
  })

  define('entries are read in order by the next owner, with sequence, type and epoch', async (bench) => {
    const { log } = await bench.owner()
    const sequences = [
      await log.append(1, bytes('a')),
      await log.append(255, bytes('b')),
      await log.append(7, bytes('')),
    ]
    await log.close()
    const { entries, texts } = await bench.owner()
    assert.deepEqual(texts, ['a', 'b', ''])
    assert.deepEqual(
      entries.map(({ type }) => type),
      [1, 255, 7],
    )
    assert.deepEqual(
      entries.map(({ sequence, epoch }) => [sequence, epoch]),
      sequences.map((sequence) => [sequence, 1]),
    )
  })

  define('what was acknowledged is there for the next owner, also if the log was never closed', async (bench) => {
    const first = await bench.owner()
    await append(first.log, 'a', 'b')
    await append(first.log, 'c')
    const second = await bench.owner()
    assert.deepEqual(second.texts, ['a', 'b', 'c'])
    await append(second.log, 'd')
    assert.deepEqual((await bench.owner()).texts, ['a', 'b', 'c', 'd'])
  })

  define('payloads of any size and bytes come back as they were', async (bench) => {
    const { log } = await bench.owner()
    const payloads = [0, 1, 255, 70_000, 3_000_000].map((size) => Uint8Array.from({ length: size }, (_, i) => i % 256))
    await Promise.all(payloads.map((payload) => log.append(1, payload)))
    await log.close()
    const { entries } = await bench.owner()
    assert.equal(entries.length, payloads.length)
    for (const [i, payload] of payloads.entries())
      assert.ok(Buffer.from(entries[i]?.payload ?? []).equals(payload), `payload ${String(i)}`)
  })

  define('the next entry is read when onEntry has resolved, and its rejection ends the opening', async (bench) => {
    const { log } = await bench.owner()
    await append(log, 'a', 'b', 'c')
    await log.close()
    let reading = 0
    const slow = async (): Promise<void> => {
      assert.equal(++reading, 1, 'one entry at a time')
      await Promise.resolve()
      reading--
    }
    await bench.owner({ onEntry: slow })
    const refusal = new Error('no')
    const refused = await settled(() => bench.owner({ onEntry: () => Promise.reject(refusal) }))
    assert.ok(refused.rejected && refused.error === refusal, 'open rejects with what onEntry rejects with')
  })
}

function numberTests(define: Define): void {
  define('sequences count up by one, as nextSequence says, and are never used twice', async (bench) => {
    const seen = new Set<number>()
    for (let life = 0; life < 3; life++) {
      const { log, entries } = await bench.owner()
      assert.deepEqual(new Set(entries.map(({ sequence }) => sequence)), seen)
      const next = log.nextSequence
      assert.ok(next > Math.max(0, ...seen), 'a new owner goes on above all')
      assert.deepEqual(await append(log, 'a', 'b'), [next, next + 1])
      for (const sequence of [next, next + 1]) seen.add(sequence)
      await log.close()
    }
  })

  define('appends that wait together share a sync', async (bench) => {
    const { log } = await bench.owner()
    let left = 2_000
    const inTurn = async (): Promise<void> => {
      while (left-- > 0) await log.append(1, bytes('x'))
    }
    await Promise.all(Array.from({ length: 200 }, inTurn))
    assert.equal(log.statistics.entries, 2_000)
    assert.ok(log.statistics.syncs < 200, `${String(log.statistics.syncs)} syncs`)
    assert.ok(log.statistics.bytes >= 2_000)
  })

  define('entries that were noted are durable with the next append, and at close', async (bench) => {
    const first = await bench.owner()
    const noted = first.log.note(2, bytes('a'))
    assert.equal(await first.log.append(1, bytes('b')), noted + 1)
    const second = await bench.owner()
    assert.deepEqual(second.texts, ['a', 'b'])
    second.log.note(2, bytes('c'))
    await second.log.close()
    assert.deepEqual((await bench.owner()).texts, ['a', 'b', 'c'])
  })
}

function endTests(define: Define): void {
  define('trim forgets only entries below, and what is left is sound', async (bench) => {
    const { log } = await bench.owner({ segmentBytes: 300 })
    const all = Array.from({ length: 30 }, (_, i) => `entry ${String(i)}`)
    const sequences: number[] = []
    for (const text of all) sequences.push(...(await append(log, text)))
    await log.trim(sequences[20] ?? 0)
    const after = await append(log, 'after')
    await log.close()
    const report = await bench.inspect()
    assert.equal(report.damage, undefined)
    assert.equal(report.lastSequence, after[0])
    const { texts } = await bench.owner()
    assert.deepEqual(texts.slice(-11), [...all.slice(20), 'after'])
    assert.ok(!texts.includes('entry 0'), 'the oldest entry is gone')
  })

  define('a closed log takes nothing more, and can be closed again', async (bench) => {
    const { log } = await bench.owner()
    await append(log, 'a')
    await log.close()
    await log.close()
    await assert.rejects(append(log, 'b'), (error: unknown) => isSluiceError(error, 'STOPPED'))
    await assert.rejects(log.trim(1), (error: unknown) => isSluiceError(error, 'STOPPED'))
    assert.throws(
      () => log.note(1, bytes('b')),
      (error: unknown) => isSluiceError(error, 'STOPPED'),
    )
  })

  define('an append that is under way when the log is closed is completed', async (bench) => {
    const { log } = await bench.owner()
    const appending = append(log, 'a', 'b')
    await Promise.all([log.close(), appending])
    assert.deepEqual((await bench.owner()).texts, ['a', 'b'])
  })

  define('a type that is not 1 to 255 is refused with ARGUMENT_INVALID, and harms nothing', async (bench) => {
    const { log } = await bench.owner()
    for (const type of [0, 256, -1, 1.5])
      await assert.rejects(log.append(type, bytes('x')), (error: unknown) => isSluiceError(error, 'ARGUMENT_INVALID'))
    await append(log, 'a')
    assert.deepEqual((await bench.owner()).texts, ['a'])
  })

  define('inspect reads every entry and changes nothing', async (bench) => {
    assert.equal((await bench.inspect()).entries, 0)
    assert.equal(await bench.fs.stat(bench.folder), undefined, 'the folder is not made')
    const { log } = await bench.owner()
    const [first, last] = await append(log, 'a', 'b')
    await log.close()
    const files = await bench.files()
    const { bytes: size, ...report } = await bench.inspect()
    const wanted = { entries: 2, firstSequence: first, lastSequence: last, damage: undefined, tornBytes: 0 }
    assert.deepEqual(report, wanted)
    assert.ok(size > 0)
    assert.deepEqual(await bench.files(), files)
  })
}

export const entryRules = rulesOf(keepingTests, numberTests, endTests)
