/** Tests of streams on a real broker: they share a client, and their contexts are stopped when each has ended. */
import { describeWithServices } from '@sluice/services'
import { afterAll, afterEach, beforeAll, describe, test } from 'vitest'
import { string } from '../decode/deserializer.js'
import type { KafkaStreamOptions } from '../kafka-source.config.js'
import { kafkaDirectStream } from '../kafka-stream.js'
import { offsetRanges } from '../offset-ranges.js'
import type { OffsetRange } from '../plan.js'
import { testContext, type TestContext, type TestContextOptions } from './context.js'
import { newClients, TestKafka } from './topics.js'

export type TextOptions = Partial<KafkaStreamOptions<Buffer, string, string>>

/** A stream of texts whose batches are kept. */
export interface Run extends TestContext {
  /** Of all batches, in order. */
  readonly values: string[]
  /** Of each batch, by partition of its RDD. */
  readonly parts: string[][][]
  /** Of each batch. */
  readonly ranges: (readonly OffsetRange[])[]
}

export interface OnKafka {
  readonly kafka: TestKafka
  /** Stopped when the test has ended. */
  context(options?: TestContextOptions): TestContext
  /** A stream that is not started yet: of what is there, with topics looked at for each batch. */
  declare(options: TextOptions, contextOptions?: TestContextOptions): Run
  /** The same, started. */
  run(options: TextOptions, contextOptions?: TestContextOptions): Promise<Run>
}

/** To be awaited at the top of a test file: `body` declares the tests. */
export async function describeOnKafka(title: string, body: (on: OnKafka) => void): Promise<void> {
  await describeWithServices({ describe, test }, ['kafka'], title, ({ kafka: { bootstrap } }) => {
    declareOn(new TestKafka(bootstrap), body)
  })
}

/** The same tests by each of the clients that there are. */
export async function describeByEachClient(title: string, body: (on: OnKafka) => void): Promise<void> {
  await describeWithServices({ describe, test }, ['kafka'], title, ({ kafka: { bootstrap } }) => {
    for (const [name, newClient] of Object.entries(newClients)) {
      describe(`by ${name}`, () => {
        declareOn(new TestKafka(bootstrap, newClient), body)
      })
    }
  })
}

function declareOn(kafka: TestKafka, body: (on: OnKafka) => void): void {
  beforeAll(() => kafka.open())
  afterAll(() => kafka.close())
  body(onKafka(kafka))
}

function onKafka(kafka: TestKafka): OnKafka {
  const contexts: TestContext[] = []
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.stop()
  })
  const context = (options?: TestContextOptions): TestContext => {
    const made = testContext(options)
    contexts.push(made)
    return made
  }
  const declare = (options: TextOptions, contextOptions?: TestContextOptions): Run =>
    textStream(context(contextOptions), { client: kafka.client, ...options } as TextOptions)
  return {
    kafka,
    context,
    declare,
    async run(options, contextOptions) {
      const declared = declare(options, contextOptions)
      await declared.ssc.start()
      return declared
    },
  }
}

function textStream(context: TestContext, options: TextOptions): Run {
  const kept = { values: [] as string[], parts: [] as string[][][], ranges: [] as (readonly OffsetRange[])[] }
  kafkaDirectStream<Buffer, string, string>(context.ssc, {
    from: 'earliest',
    refreshMs: 1,
    value: string,
    handler: ({ value }) => value ?? '',
    ...options,
  } as KafkaStreamOptions<Buffer, string, string>).foreachRDD(async (rdd) => {
    kept.ranges.push(offsetRanges(rdd))
    const parts = await rdd.glom().collect()
    kept.parts.push(parts)
    kept.values.push(...parts.flat())
  })
  return { ...context, ...kept }
}
