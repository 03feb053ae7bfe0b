import { awkwardBytes, awkwardTexts, sinkConformance, type Skip } from '@sluice/testkit'
import { describeWithServices } from '@sluice/services'
import { Redis } from 'ioredis'
import { describe, test } from 'vitest'
import { redisSink } from './redis-sink.js'
import { cases, item, targetOf } from './testing/targets.js'

const order: Skip = {
  test: 'the records of a partition keep their order',
  reason: 'keys, fields and members have none',
}

const awkward = [
  ...awkwardTexts.map((text) => item(text)),
  ...awkwardBytes.map((bytes, index) => item(`bytes ${String(index)}`, bytes)),
]

await describeWithServices({ describe, test }, ['redis'], 'redisSink on one server', ({ redis: { url } }) => {
  const reader = new Redis(url)
  for (const [mode, each] of Object.entries(cases)) {
    sinkConformance({
      describe,
      test,
      name: `redisSink, ${mode}`,
      open: () => targetOf(each, { url }, reader),
      record: (index) => item(`item ${String(index)}`),
      awkward,
      refused: each.refused,
      broken: () => redisSink({ url: 'redis://127.0.0.1:1', ...each.write('nowhere') }),
      manyRecords: each.manyRecords,
      skip: each.isOrdered ? [] : [order],
    })
  }
})
