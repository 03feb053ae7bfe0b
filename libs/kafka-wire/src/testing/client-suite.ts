/** What every adapter of {@link KafkaClient} must do, on a real broker. */
import { afterAll, describe } from 'vitest'
import type { KafkaClient } from '../client.js'
import { failureTests } from './failure-tests.js'
import { offsetTests } from './offset-tests.js'
import { producingTests } from './producing-tests.js'
import { rangeTests } from './range-tests.js'
import { createTopic } from './suite-kit.js'
import type { Kit, SuiteOptions } from './suite-kit.js'
import { transactionTests } from './transaction-tests.js'

let names = 0

export function clientSuite(title: string, options: SuiteOptions): void {
  describe(title, () => {
    const client: KafkaClient = options.newClient()
    afterAll(() => client.close())
    const name = (): string => `wire-${String(process.pid)}-${title.replaceAll(/\W+/g, '-')}-${String(++names)}`
    const kit: Kit = {
      ...options,
      client,
      name,
      newTopic: (partitions, settings) => createTopic(options.admin, name(), partitions, settings),
    }
    describe('metadata and offsets', () => {
      offsetTests(kit)
    })
    describe('ranges', () => {
      rangeTests(kit)
    })
    describe('topics that change', () => {
      producingTests(kit)
    })
    describe('transactions', () => {
      transactionTests(kit)
    })
    describe('failures', () => {
      failureTests(kit)
    })
  })
}
