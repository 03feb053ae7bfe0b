import { awkwardBytes, awkwardTexts, sinkConformance, type Skip } from '@sluice/testkit'
import { describeWithServices } from '@sluice/services'
import { Redis } from 'ioredis'
import { describe, test } from 'vitest'
import { redisSink } from './redis-sink.js'
import { badValues, cases, item, packed, targetOf, unpacked, type Item } from './testing/targets.js'

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
      ...{ describe, test, deadlineMs: 120_000 },
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

  let channels = 0
  sinkConformance({
    ...{ describe, test, deadlineMs: 120_000 },
    name: 'redisSink, publish',
    open: async () => {
      const channel = `channel-${String(process.pid)}-${String(++channels)}`
      const listener = new Redis(url)
      const heard: string[] = []
      let onEnd: () => void = () => undefined
      listener.on('message', (_, text: string) => {
        if (text === 'end') onEnd()
        else heard.push(text)
      })
      await listener.subscribe(channel)
      const make = () => redisSink<Item>({ url, mode: 'publish', key: channel, value: packed })
      return {
        sink: make(),
        reopen: make,
        // What was published before has been heard when this is.
        readBack: async () => {
          const ended = new Promise<void>((resolve) => (onEnd = resolve))
          await reader.publish(channel, 'end')
          await ended
          return heard.map(unpacked)
        },
        close: () => {
          listener.disconnect()
          return Promise.resolve()
        },
      }
    },
    record: (index) => item(`item ${String(index)}`),
    awkward,
    refused: badValues,
    broken: () => redisSink<Item>({ url: 'redis://127.0.0.1:1', mode: 'publish', key: 'nowhere' }),
    manyRecords: 100_000,
  })
})
