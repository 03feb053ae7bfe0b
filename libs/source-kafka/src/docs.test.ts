/** The first example of docs/kafka.md is run, as it stands there; that the others compile is checked with all of the docs. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { DStream, Pair, StreamingContext } from '@sluice/core'
import { describeWithServices } from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { testContext } from './testing/context.js'
import { TestKafka } from './testing/topics.js'

const page = (path: string): string => readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8')
const examplesOf = (text: string): string[] =>
  [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, source = '']) => source)

interface Example {
  amountsByCustomer(ssc: StreamingContext, brokers: readonly string[]): DStream<Pair<string, number>>
}

await describeWithServices({ describe, test }, ['kafka'], 'docs/kafka.md', ({ kafka: { bootstrap } }) => {
  test('its first example does what it says', async () => {
    const kafka = new TestKafka(bootstrap)
    await kafka.open()
    const topic = await kafka.topic()
    const orders = [
      { customer: 'ann', amount: 1 },
      { customer: 'bob', amount: 2 },
      { customer: 'ann', amount: 3 },
    ]
    await kafka.add(
      topic,
      orders.map((order) => JSON.stringify(order)),
    )
    const [source = ''] = examplesOf(page('../../../docs/kafka.md'))
    const folder = mkdtempSync(join(fileURLToPath(new URL('..', import.meta.url)), 'out-'))
    const context = testContext()
    try {
      const file = join(folder, 'example.ts')
      writeFileSync(file, source.replace(`'orders'`, `'${topic}'`))
      const { amountsByCustomer } = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as Example
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
      rmSync(folder, { recursive: true })
      await context.stop()
      await kafka.close()
    }
  })
})
