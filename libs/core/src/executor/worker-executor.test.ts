/**
 * The whole RDD suite on worker threads. Driver and workers use the build of core and of the suite's functions, loaded by
 * Node itself: workers of Node 20 load no TypeScript, and both sides must have the same functions.
 */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import type * as core from '../index.js'
import type * as suite from '../rdd/rdd.suite.js'
import type * as functions from '../rdd/suite-functions.js'

const require = createRequire(import.meta.url)
const built = (path: string): unknown => require(`../../dist/${path}`)
const { SluiceContext, workerExecutor } = built('index.js') as typeof core
const { rddSuite } = built('rdd/rdd.suite.js') as typeof suite
const { userCalls } = built('rdd/suite-functions.js') as typeof functions

const app = pathToFileURL(require.resolve('../../dist/rdd/suite-functions.js'))

for (const [name, spillRecords] of [
  ['worker threads', undefined],
  ['worker threads that spill', 4],
] as const) {
  const executor = workerExecutor({ app, threads: 2 })
  const context = new SluiceContext({ executor, spillRecords, log: 'error' })

  rddSuite({ describe, test }, name, () => Promise.resolve({ context, close: () => Promise.resolve() }))

  test(`RDD: ${name}: no user function has run in the driver`, () => {
    const { inWorkers, inDriver, reasons } = executor.stats()
    expect(userCalls()).toBe(0)
    expect(inWorkers).toBeGreaterThan(1_000)
    expect(inDriver, [...reasons.keys()].join('\n')).toBe(0)
  })

  afterAll(async () => {
    await context.stop()
    assert.equal(userCalls(), 0)
  })
}
