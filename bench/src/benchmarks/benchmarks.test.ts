import { describeWithInstalled } from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { Sizes, type Benchmark } from '../benchmark.js'
import { cogroup } from './cogroup.js'
import { compile } from './compile.js'
import { join } from './join.js'
import { kafka } from './kafka.js'
import { kafkaLatency } from './kafka-latency.js'
import { kafkaMemory } from './kafka-memory.js'
import { kafkaPeers } from './kafka-peers.js'
import { kafkaProduce } from './kafka-produce.js'
import { kafkaReceiver } from './kafka-receiver.js'
import { mix } from './mix.js'
import { reduceByKey } from './reduce-by-key.js'
import { mongo } from './mongo.js'
import { socket } from './socket.js'
import { sortBy } from './sort-by.js'
import { mapWithState, updateStateByKey } from './state.js'
import { wal } from './wal.js'
import { window } from './window.js'
import { wordCount } from './word-count.js'

const SMALL = 0.0005
const LONG_MS = 120_000

const each = [
  socket,
  mix,
  wordCount,
  reduceByKey,
  join,
  cogroup,
  sortBy,
  compile,
  mapWithState,
  updateStateByKey,
  wal,
  window,
]

async function runSmall(benchmark: Benchmark): Promise<void> {
  const rows = await benchmark.run(new Sizes(SMALL, 1))
  expect(rows.length).toBeGreaterThan(0)
  for (const row of rows) expect(row.ratio).toBeGreaterThan(0)
}

test.each(each)('$name: ours and the reference compute the same at a small size', runSmall)

await describeWithInstalled({ describe, test }, ['kafka', 'kcat'], 'with a broker of their own', () => {
  test.each([kafka, kafkaLatency, kafkaMemory, kafkaPeers, kafkaProduce, kafkaReceiver])(
    '$name: the same',
    { timeout: LONG_MS },
    runSmall,
  )
})

await describeWithInstalled({ describe, test }, ['mongo'], 'with a server of its own', () => {
  test('mongo: the same', { timeout: LONG_MS }, () => runSmall(mongo))
})
