/** Every benchmark there is, in the order in which they run. A new one is added here. */
import type { Benchmark } from '../benchmark.js'
import { batch } from './batch.js'
import { checkpoint } from './checkpoint.js'
import { cogroup } from './cogroup.js'
import { compile } from './compile.js'
import { files } from './files.js'
import { idle } from './idle.js'
import { join } from './join.js'
import { kafka } from './kafka.js'
import { kafkaLatency } from './kafka-latency.js'
import { kafkaMemory } from './kafka-memory.js'
import { kafkaProduce } from './kafka-produce.js'
import { kafkaPeers } from './kafka-peers.js'
import { kafkaReceiver } from './kafka-receiver.js'
import { mapWithState, updateStateByKey } from './state.js'
import { wal } from './wal.js'
import { window } from './window.js'
import { mix } from './mix.js'
import { reduceByKey } from './reduce-by-key.js'
import { mongo } from './mongo.js'
import { redis } from './redis.js'
import { shuffleBudget } from './shuffle-budget.js'
import { socket } from './socket.js'
import { sortBy } from './sort-by.js'
import { sql } from './sql.js'
import { store } from './store.js'
import { wordCount } from './word-count.js'

export const benchmarks: readonly Benchmark[] = [
  mix,
  wordCount,
  reduceByKey,
  join,
  cogroup,
  sortBy,
  shuffleBudget,
  compile,
  batch,
  mapWithState,
  updateStateByKey,
  window,
  socket,
  kafka,
  kafkaLatency,
  kafkaMemory,
  files,
  kafkaProduce,
  kafkaPeers,
  kafkaReceiver,
  sql,
  store,
  wal,
  checkpoint,
  idle,
  mongo,
  redis,
]
