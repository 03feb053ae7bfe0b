/** The examples of both approaches in docs/kafka.md are run, as they stand there; that the others compile is checked with all of the docs. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { DStream, Pair, StreamingContext } from '@sluice/core'
import { describeWithServices } from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { testContext, until } from './testing/context.js'
import { TestKafka } from './testing/topics.js'

const page = (path: string): string => readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8')
const examplesOf = (text: string): string[] =>
  [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, source = '']) => source)

interface Example {
  amountsByCustomer(ssc: StreamingContext, brokers: readonly string[]): DStream<Pair<string, number>>
  amountsReceived(ssc: StreamingContext, brokers: readonly string[]): DStream<Pair<string, number>>
}

const orders = [
  { customer: 'ann', amount: 1 },
  { customer: 'bob', amount: 2 },
  { customer: 'ann', amount: 3 },
]

await describeWithServices({ describe, test }, ['kafka'], 'docs/kafka.md', ({ kafka: { bootstrap } }) => {
  /** Runs the example that has `name`, with a topic of its own, and hands `use` what it exports. */
  async function withExample(name: string, use: (exported: Example, kafka: TestKafka, topic: string) => Promise<void>) {
    const kafka = new TestKafka(bootstrap)
    await kafka.open()
    const topic = await kafka.topic()
    await kafka.add(
      topic,
      orders.map((order) => JSON.stringify(order)),
    )
    const source = examplesOf(page('../../../docs/kafka.md')).find((each) => each.includes(`function ${name}(`)) ?? ''
    const folder = mkdtempSync(join(fileURLToPath(new URL('..', import.meta.url)), 'out-'))
    try {
      const file = join(folder, 'example.ts')
      const own = source
        .replace(`'orders'`, `'${topic}'`)
        .replace(`orders: 2`, `'${topic}': 2`)
        .replace(`'sums',`, `'${topic}',`)
      expect(own).toContain(topic)
      writeFileSync(file, own)
      await use((await import(/* @vite-ignore */ pathToFileURL(file).href)) as Example, kafka, topic)
    } finally {
      rmSync(folder, { recursive: true })
      await kafka.close()
    }
  }

  test('its first example does what it says', async () => {
    await withExample('amountsByCustomer', async ({ amountsByCustomer }, kafka, topic) => {
      const context = testContext()
      try {
        const seen: unknown[] = []
        amountsByCustomer(context.ssc, kafka.brokers).foreachRDD(async (rdd) => {
          seen.push((await rdd.collect()).toSorted())
        })
        await context.ssc.start()
        await context.batch()
        await kafka.add(topic, [JSON.stringify({ customer: 'bob', amount: 5 })])
        await context.batch()
        expect(seen).toEqual([
          [
            ['ann', 4],
            ['bob', 2],
          ],
          [
            ['ann', 4],
            ['bob', 7],
          ],
        ])
      } finally {
        await context.stop()
      }
    })
  })

  test('the example of the receiver approach does what it says', async () => {
    await withExample('amountsReceived', async ({ amountsReceived }, kafka) => {
      const context = testContext({ checkpoint: '/ckpt' })
      try {
        let sums: unknown[] = []
        amountsReceived(context.ssc, kafka.brokers).foreachRDD(async (rdd) => {
          sums = (await rdd.collect()).toSorted()
        })
        await context.ssc.start()
        await until(async () => {
          await context.batch()
          return sums.length === 2
        }, 'both are there')
        expect(sums).toEqual([
          ['ann', 4],
          ['bob', 2],
        ])
      } finally {
        await context.stop()
      }
    })
  })
})
