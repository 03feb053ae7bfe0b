/** Rules for what goes wrong: owners that were replaced, writes that fail, damage. */
import assert from 'node:assert/strict'
import { isSluiceError } from '@sluice/core'
import { causedBy, settled } from '../suite/checks.js'
import { append, assertNothingLostSilently, bytes, failingWrites, rulesOf, type Define } from './log-bench.js'

function ownerTests(define: Define): void {
  define('E7: an owner whose epoch is not above all others is FENCED', async (bench) => {
    const { log } = await bench.owner({ epoch: 5 })
    await append(log, 'a')
    for (const epoch of [4, 5])
      await assert.rejects(bench.owner({ epoch }), (error: unknown) => isSluiceError(error, 'FENCED'))
    assert.deepEqual((await bench.owner({ epoch: 6 })).texts, ['a'])
  })

  define('E7: what an old owner writes after it was replaced is never read', async (bench) => {
    const old = await bench.owner({ segmentBytes: 200 })
    await append(old.log, 'a')
    const next = await bench.owner()
    await settled(() => append(old.log, 'late'))
    await append(next.log, 'b')
    for (let i = 0; i < 4; i++) await settled(() => append(old.log, `later ${'x'.repeat(60)}`))
    await settled(() => old.log.close())
    await append(next.log, 'c')
    await next.log.close()
    assert.deepEqual((await bench.owner()).texts, ['a', 'b', 'c'])
  })
}

function failureTests(define: Define): void {
  define('E17: after a write that failed every call rejects with its cause, and a restart goes on', async (bench) => {
    let failure: Error | undefined
    const fileSystem = failingWrites(bench.fs, () => failure)
    const { log } = await bench.owner({ fileSystem })
    await append(log, 'a')
    failure = new Error('ENOSPC')
    const cause = failure
    const tries = await Promise.all(['b', 'c'].map((text) => settled(() => append(log, text))))
    failure = undefined
    tries.push(
      await settled(() => append(log, 'd')),
      await settled(() => log.trim(1)),
      await settled(() => log.close()),
    )
    tries.push(await settled(async () => log.note(1, bytes('e'))))
    for (const outcome of tries) {
      assert.ok(outcome.rejected, 'nothing may be claimed after a failed write')
      assert.ok(causedBy(outcome.error, cause), `the cause is told, not ${String(outcome.error)}`)
    }
    const second = await bench.owner()
    assert.equal(second.texts[0], 'a')
    await append(second.log, 'e')
    assert.deepEqual((await bench.owner()).texts, [...second.texts, 'e'])
  })
}

function damageTests(define: Define): void {
  define('E17: a flipped bit is DATA_CORRUPT by file, or cost no more than the last group', async (bench) => {
    const { log } = await bench.owner({ segmentBytes: 400 })
    const all = ['a', 'bb', 'ccc', 'dddd', 'e', 'ff']
    for (const text of all) await append(log, text)
    await log.close()
    for (const name of await bench.files()) {
      const data = await bench.fs.read(`${bench.folder}/${name}`)
      const step = Math.max(1, Math.floor(data.byteLength / (bench.damages / 2)))
      for (let at = 0; at < data.byteLength; at += step) {
        const flipped = Uint8Array.from(data)
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
        await assertNothingLostSilently(bench, await bench.copyWith(name, flipped), all, all.length - 1)
      }
    }
  })

  define('E17: a file that ends too early is DATA_CORRUPT, or cost no more than the last group', async (bench) => {
    const { log } = await bench.owner({ segmentBytes: 10_000 })
    const all = ['a', 'bb', 'ccc', 'dddd']
    for (const text of all.slice(0, 2)) await append(log, text)
    await append(log, ...all.slice(2))
    await log.close()
    const name = (await bench.files()).at(-1) ?? ''
    const data = await bench.fs.read(`${bench.folder}/${name}`)
    // Two frames with short payloads are above 80 bytes: only the last group is cut.
    const step = Math.max(1, Math.floor(80 / bench.damages))
    for (let length = data.byteLength - 80; length < data.byteLength; length += step) {
      if (length < 0) continue
      const copy = await bench.copyWith(name, data.subarray(0, length))
      await assertNothingLostSilently(bench, copy, all, 2)
      // What was cut once is no damage later.
      if ((await bench.inspect(copy)).damage === undefined) await bench.owner({ folder: copy, epoch: 1_001 })
    }
  })

  define('E17: a file that is lost from the middle is DATA_CORRUPT and named', async (bench) => {
    const { log } = await bench.owner({ segmentBytes: 100 })
    for (let i = 0; i < 6; i++) await append(log, `entry ${String(i)}`)
    await log.close()
    const files = await bench.files()
    assert.ok(files.length >= 4, 'there is a middle')
    const lost = files[2] ?? ''
    const copy = await bench.copyWith(lost, undefined)
    const outcome = await settled(() => bench.owner({ folder: copy, epoch: 1_000 }))
    assert.ok(outcome.rejected && isSluiceError(outcome.error, 'DATA_CORRUPT'), 'it is refused')
    assert.ok(outcome.error.message.includes(lost), outcome.error.message)
  })
}

export const faultRules = rulesOf(ownerTests, failureTests, damageTests)
