/** The README's example does what it says. */
import { runBlock } from '@sluice/doc-blocks'
import { describeWithServices } from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { clientOf, newTopic, readTopic } from './testing/targets.js'

await describeWithServices({ describe, test }, ['kafka'], 'the README', ({ kafka }) => {
  test('its example runs', async () => {
    const topic = await newTopic(kafka)
    const client = clientOf(kafka)
    try {
      await runBlock('libs/sink-kafka/README.md', 'kafkaSink', { env: { KAFKA: kafka.bootstrap, TOPIC: topic } })
      const rows = await readTopic(client, topic)
      expect(rows.map(({ key }) => key)).toEqual(['to', 'be', 'or', 'not', 'to', 'be'])
      expect(String(rows[3]?.value)).toBe('{"word":"not","letters":3}')
    } finally {
      await client.close()
    }
  }, 120_000)
})
