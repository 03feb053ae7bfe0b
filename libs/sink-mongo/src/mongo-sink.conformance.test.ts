import { awkwardBytes, awkwardTexts, sinkConformance, type Skip } from '@sluice/testkit'
import { describeWithServices } from '@sluice/services'
import { MongoClient } from 'mongodb'
import { afterAll, describe, test } from 'vitest'
import { mongoSink } from './mongo-sink.js'
import type { MongoPlace, MongoSinkOptions } from './mongo-sink.config.js'
import { cases, DATABASE, item, targetOf, type Item, type ModeCase } from './testing/targets.js'

const order: Skip = { test: 'the records of a partition keep their order', reason: 'a collection has none' }

const awkward = [
  ...awkwardTexts.map((text) => item(text)),
  ...awkwardBytes.map((bytes, index) => item(`bytes ${String(index)}`, bytes)),
]

/** What stands in for MongoDB upserts some thousand documents a second. */
const MANY: Readonly<Record<string, number>> = { insert: 100_000, increment: 10_000 }

function conformance(name: string, mode: ModeCase, place: MongoPlace, reader: MongoClient, manyRecords: number): void {
  const nowhere = { url: 'mongodb://127.0.0.1:1/', database: DATABASE, collection: 'c', callTimeoutMs: 500 }
  sinkConformance({
    ...{ describe, test, deadlineMs: 120_000 },
    name: `mongoSink, ${name}`,
    open: () => targetOf(mode, place, reader),
    record: (index) => item(`item ${String(index)}`),
    awkward,
    refused: mode.refused,
    broken: () => mongoSink<Item>({ ...nowhere, ...mode.write } as MongoSinkOptions<Item>),
    manyRecords,
    skip: [order],
  })
}

const { upsert, replace, ...others } = cases as typeof cases & Record<'upsert' | 'replace', ModeCase>

await describeWithServices({ describe, test }, ['mongo'], 'mongoSink', ({ mongo: { url } }) => {
  const reader = new MongoClient(url)
  afterAll(() => reader.close(true))
  for (const [name, mode] of Object.entries(others)) conformance(name, mode, { url }, reader, MANY[name] ?? 2_000)
  conformance('replace, by a client of one’s own', replace, { client: reader }, reader, 2_000)
})

await describeWithServices({ describe, test }, ['mongo-tls'], 'mongoSink over TLS', ({ 'mongo-tls': { url, ca } }) => {
  const reader = new MongoClient(url, { ca })
  afterAll(() => reader.close(true))
  conformance('upsert, with TLS and a password', upsert, { url, options: { ca } }, reader, 2_000)
})
