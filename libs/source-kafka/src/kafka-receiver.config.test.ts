import { describe, expect, test } from 'vitest'
import type { BytesDeserializer } from './decode/deserializer.js'
import type { KafkaReceiverStreamOptions } from './kafka-receiver.config.js'
import { receiversOf } from './testing/group-streams.js'

type Options = Partial<KafkaReceiverStreamOptions<string, string>>

function make(options: Options): readonly unknown[] {
  const all = { brokers: ['127.0.0.1:1'], group: 'g', topics: { orders: 1 }, ...options }
  return receiversOf(all as KafkaReceiverStreamOptions<string, string>).receivers
}

const avro: BytesDeserializer<string> = { from: 'bytes', decode: String, prepare: () => Promise.resolve() }

describe('kafkaReceiverStream', () => {
  test('has as many receivers as its topics have consumers', () => {
    expect(make({ topics: { orders: 2, payments: 1 } })).toHaveLength(3)
  })

  test.each<[Options, RegExp]>([
    [{ topics: {} }, /topics is empty; give at least one/],
    [{ topics: { orders: 0 } }, /how many consumers orders has, a whole number from 1, not 0/],
    [{ topics: { orders: 1.5 } }, /a whole number from 1, not 1.5/],
    [{ topics: { '': 1 } }, /topics has an empty name/],
    [{ group: '' }, /group is empty; give it a name/],
    [{ sessionTimeoutMs: 0 }, /sessionTimeoutMs must be above 0, not 0/],
    [{ fetchBytes: NaN }, /fetchBytes must be above 0, not NaN/],
    [{ value: avro }, /value has a deserializer that has to look things up.*; leave it out and decode/],
  ])('refuses %j', (options, message) => {
    expect(() => make(options)).toThrowError(
      expect.objectContaining({ code: 'ARGUMENT_INVALID', message: expect.stringMatching(message) as string }) as Error,
    )
  })
})
