/** The README's example does what it says. */
import { runBlock } from '@sluice/doc-blocks'
import { describeWithInstalled, startService } from '@sluice/services'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'

await describeWithInstalled({ describe, test }, ['redis'], 'the README', () => {
  test('its example runs', async () => {
    const own = await startService('redis')
    const reader = new Redis(own.values.url)
    try {
      await runBlock('libs/sink-redis/README.md', 'redisSink', { env: { REDIS_URL: own.values.url } })
      expect(await reader.hgetall('words:en')).toEqual({ be: '2', not: '1', or: '1', to: '2' })
    } finally {
      reader.disconnect()
      await own.stop()
    }
  }, 120_000)
})
