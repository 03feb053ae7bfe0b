/** Rules about what goes wrong: aborts and late writes (E9), sources that fail, records that are refused (E18). */
import assert from 'node:assert/strict'
import { SluiceError } from '@sluice/core'
import { causedBy, Gate, rejectsHelpfully, settled } from '../suite/checks.js'
import { assertAllOrNothing } from './identity-rules.js'
import { chunksOf, onceRule, rule, type SinkBench, type SinkRule } from './sink-bench.js'

type Bench = SinkBench<unknown>

export const failureRules: readonly SinkRule[] = [
  onceRule('E9: a write whose signal is aborted already rejects, and the retry completes it', async (bench) => {
    await bench.open()
    const records = bench.records(5)
    const signal = AbortSignal.abort(timeout())
    const outcome = await settled(() => bench.write(records, { signal, source: engineChunks(records, signal) }))
    assert.ok(outcome.rejected, 'an aborted write must reject')
    await bench.batch([records], { attempt: 1 })
    await bench.expect(records)
  }),
  onceRule('E9: an abort in the middle of a write rejects it, and the retry completes it', async (bench) => {
    await bench.open()
    const records = bench.records(10)
    const outcome = await abortedInTheMiddle(bench, records)
    assert.ok(outcome.rejected, 'an aborted write must reject')
    await bench.batch([records], { attempt: 1 })
    await bench.expect(records)
  }),
  onceRule('E9: an aborted write leaves nothing half', async (bench) => {
    await bench.open()
    const records = bench.records(10)
    await abortedInTheMiddle(bench, records)
    if (!bench.relaxed) assertAllOrNothing(await bench.readBack(), records)
  }),
  onceRule(
    'E9: an abort after the last record rejects or comes too late; the retry leaves one effect',
    async (bench) => {
      await bench.open()
      const records = bench.records(10)
      const controller = new AbortController()
      async function* source(): AsyncGenerator<readonly unknown[]> {
        yield* chunksOf(records, 4)
        controller.abort(timeout())
      }
      const outcome = await settled(() => bench.write(records, { signal: controller.signal, source: source() }))
      if (!outcome.rejected && bench.sink.unit !== 'batch') await bench.commit()
      else await bench.batch([records], { attempt: 1 })
      await bench.expect(records)
    },
  ),
  onceRule('E9: a timed-out write that lands later changes nothing', landsLater),
  onceRule('E9: an aborted commitBatch rejects or comes too late, and the retry completes it', async (bench) => {
    await bench.open()
    const partitions = [bench.records(3), bench.records(3)]
    for (const [partition, records] of partitions.entries())
      await bench.write(records, { id: { partitions: 2, partition } })
    await settled(() => bench.commit({ partitions: 2 }, bench.sink, AbortSignal.abort(timeout())))
    if (bench.sink.unit === 'batch') await bench.batch(partitions, { attempt: 1 })
    else await bench.commit({ partitions: 2, attempt: 1 })
    await bench.expect(partitions.flat())
  }),
  onceRule('a source that fails fails the write with its error, and the retry completes it', async (bench) => {
    await bench.open()
    const records = bench.records(10)
    const failure = new Error('the source failed')
    let closed = false
    async function* source(): AsyncGenerator<readonly unknown[]> {
      try {
        yield* chunksOf(records.slice(0, 5), 2)
        throw failure
      } finally {
        closed = true
      }
    }
    const outcome = await settled(() => bench.write(records, { source: source() }))
    assert.ok(outcome.rejected, 'the write of a partition whose source fails must reject')
    assert.ok(
      causedBy(outcome.error, failure),
      `the error is the source's or has it as cause: ${String(outcome.error)}`,
    )
    assert.ok(closed)
    await bench.batch([records], { attempt: 1 })
    await bench.expect(records)
  }),
  onceRule('E18: refused records are marked and settled before anything is there', settlesFirst),
  onceRule(
    'E18: when the settlement of refused records rejects, so does the write, and nothing is there',
    async (bench) => {
      const refused = bench.need('refused')
      if (refused === 'none') return
      await bench.open()
      const good = bench.records(6)
      const policy = new SluiceError({
        code: 'RECORD_REJECTED',
        component: 'conformance',
        message: 'no; see the cause',
      })
      const outcome = await settled(() =>
        bench.write([...good, ...refused], { reject: () => undefined, settleRejects: () => Promise.reject(policy) }),
      )
      assert.ok(outcome.rejected, 'the write must reject')
      assert.ok(
        causedBy(outcome.error, policy),
        `the error is the policy's or has it as cause: ${String(outcome.error)}`,
      )
      await bench.expect([])
      await bench.batch([good], { attempt: 1 })
      await bench.expect(good)
    },
  ),
  rule('open of what cannot work rejects, naming component, problem and remedy', async (bench) => {
    const sink = await bench.need('broken')()
    await rejectsHelpfully('open of a broken sink', () => bench.open(sink))
    // The engine closes it: it may have connected before it failed.
    const closing = await settled(() => bench.closeSink(sink))
    assert.ok(bench.succeeded(closing), 'close after an open that rejected must succeed')
  }),
]

function timeout(): SluiceError {
  return new SluiceError({ code: 'TIMEOUT', component: 'conformance', message: 'time is over; it is a test' })
}

/** Chunks as the engine gives them: after an abort, its reason. */
async function* engineChunks(records: readonly unknown[], signal: AbortSignal): AsyncGenerator<readonly unknown[]> {
  for await (const chunk of chunksOf(records, 3)) {
    signal.throwIfAborted()
    yield chunk
  }
  signal.throwIfAborted()
}

async function abortedInTheMiddle(bench: Bench, records: readonly unknown[]): ReturnType<typeof settled> {
  const controller = new AbortController()
  async function* source(): AsyncGenerator<readonly unknown[]> {
    let given = 0
    for await (const chunk of engineChunks(records, controller.signal)) {
      yield chunk
      if (++given === 2) controller.abort(timeout())
    }
  }
  return settled(() => bench.write(records, { signal: controller.signal, source: source() }))
}

/** The first attempt is given up in the middle; it goes on when the second one and a further batch are done. */
async function landsLater(bench: Bench): Promise<void> {
  await bench.open()
  const [records, others, next] = [bench.records(10), bench.records(5), bench.records(4)]
  const controller = new AbortController()
  const gate = new Gate()
  const reached = new Gate()
  async function* source(): AsyncGenerator<readonly unknown[]> {
    yield records.slice(0, 5)
    reached.open()
    await gate.opened
    // Not what a deterministic batch would give: so that it shows when the late write replaces something.
    yield others
  }
  const late = settled(() => bench.write(records, { signal: controller.signal, source: source() }))
  await Promise.race([reached.opened, late])
  controller.abort(timeout())
  try {
    await bench.batch([records], { attempt: 1 })
    await bench.batch([next], { batchTime: bench.time(2), planDigest: 'plan-2' })
  } finally {
    gate.open()
  }
  await late
  if (!bench.relaxed) await bench.expect([...records, ...next])
}

async function settlesFirst(bench: Bench): Promise<void> {
  const refused = bench.need('refused')
  if (refused === 'none') return
  await bench.open()
  const good = bench.records(6)
  const records = [...good.slice(0, 4), ...refused, ...good.slice(4)]
  const marked: number[] = []
  let settledWith: number[] | undefined
  let before: readonly unknown[] = []
  await bench.write(records, {
    reject: (index, error) => {
      assert.ok(error instanceof Error, 'a refusal has its error')
      assert.match(error.message, /\S/, 'a refusal says why')
      marked.push(index)
    },
    settleRejects: async () => {
      if (settledWith === undefined) before = await bench.readBack()
      settledWith = [...marked]
    },
  })
  await bench.commit()
  const wanted = refused.map((_, i) => i + 4)
  assert.deepEqual(marked.sort(byNumber), wanted, 'the index counts over all chunks, each record once')
  assert.deepEqual(settledWith?.sort(byNumber), wanted, 'settleRejects is called when all are marked')
  assert.deepEqual(before, [], 'nothing is there before the refused records are settled')
  await bench.expect(good)
}

function byNumber(a: number, b: number): number {
  return a - b
}
