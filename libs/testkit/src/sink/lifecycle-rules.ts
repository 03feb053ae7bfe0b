/** The life of a sink: each operation in each state. What is not promised to work must fail in order, and never half. */
import assert from 'node:assert/strict'
import type { Sink } from '@sluice/core'
import { settled } from '../suite/checks.js'
import { onceRule, type SinkBench, type SinkRule } from './sink-bench.js'

type Bench = SinkBench<unknown>
type Operation = 'writePartition' | 'commitBatch' | 'close'
type State = 'opening' | 'open' | 'closing' | 'closed' | 'reopened'

const OPERATIONS: readonly Operation[] = ['writePartition', 'commitBatch', 'close']
const STATES: readonly State[] = ['opening', 'open', 'closing', 'closed', 'reopened']

/** The sink in its state, and what is still going on there. */
interface Stage {
  readonly sink: Sink<unknown>
  readonly going: Promise<unknown>
}

export const lifecycleRules: readonly SinkRule[] = STATES.flatMap((state) =>
  OPERATIONS.map((operation) =>
    onceRule(`lifecycle: ${operation} while ${state}`, (bench) => runCell(bench, state, operation)),
  ),
)

async function runCell(bench: Bench, state: State, operation: Operation): Promise<void> {
  const records = bench.records(5)
  const { sink, going } = await stageOf(bench, state, operation, records)
  const outcome = await settled(() => operate(bench, sink, operation, records))
  const going2 = await settled(() => bench.within(`what went on while ${state}`, going))
  bench.succeeded(going2)
  const isPromised = state === 'open' || state === 'reopened' || operation === 'close'
  // A sink without `close` has no closed state.
  const isForbidden = state === 'closed' && operation === 'writePartition' && sink.close !== undefined
  const succeeded = bench.succeeded(outcome)
  if (isPromised) assert.ok(succeeded, `${operation} while ${state} must succeed`)
  if (isForbidden) assert.ok(!succeeded, `${operation} while ${state} must reject`)
  // Whatever it was: the restarted application finds an order in which it can go on.
  await settled(() => bench.closeSink(sink))
  const next = await bench.reopen({ epoch: 2 })
  await bench.batch([records], { epoch: 2 }, next)
  await bench.expect(records)
}

async function stageOf(bench: Bench, state: State, operation: Operation, records: readonly unknown[]): Promise<Stage> {
  const done = Promise.resolve()
  if (state === 'opening') return { sink: bench.sink, going: quietly(bench.open()) }
  await bench.open()
  if (state === 'reopened') {
    await bench.closeSink(bench.sink)
    const sink = await bench.reopen({ epoch: 2 })
    if (operation === 'commitBatch') await bench.write(records, { sink, id: { epoch: 2 } })
    return { sink, going: done }
  }
  if (operation === 'commitBatch') await bench.write(records)
  if (state === 'open') return { sink: bench.sink, going: done }
  const going = quietly(bench.closeSink(bench.sink))
  if (state === 'closed') await going
  return { sink: bench.sink, going }
}

/** It is looked at later: until then its rejection is nobody's fault. */
function quietly<V>(work: Promise<V>): Promise<V> {
  work.catch(() => undefined)
  return work
}

async function operate(
  bench: Bench,
  sink: Sink<unknown>,
  operation: Operation,
  records: readonly unknown[],
): Promise<void> {
  const id = { epoch: sink === bench.sink ? 1 : 2 }
  if (operation === 'close') await bench.closeSink(sink)
  else if (operation === 'commitBatch') await bench.commit(id, sink)
  else await bench.write(records, { sink, id })
}
