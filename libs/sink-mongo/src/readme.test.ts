/** The README's example does what it says. */
import { runBlock } from '@sluice/doc-blocks'
import { describeWithInstalled, startService } from '@sluice/services'
import { MongoClient } from 'mongodb'
import { describe, expect, test } from 'vitest'

await describeWithInstalled({ describe, test }, ['mongo'], 'the README', () => {
  test('its example runs', async () => {
    const own = await startService('mongo')
    const reader = new MongoClient(own.values.url)
    try {
      await runBlock('libs/sink-mongo/README.md', 'mongoSink', { env: { MONGO_URL: own.values.url } })
      const words = reader.db('texts').collection('words')
      const found = await words
        .find({}, { projection: { _sluice: 0 } })
        .sort({ _id: 1 })
        .toArray()
      expect(found).toEqual([
        { _id: 'be', count: 2 },
        { _id: 'not', count: 1 },
        { _id: 'or', count: 1 },
        { _id: 'to', count: 2 },
      ])
    } finally {
      await reader.close(true)
      await own.stop()
    }
  }, 120_000)
})
