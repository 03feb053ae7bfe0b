import { expect, it } from 'vitest'
import { murmur2, Partitioner } from './partitioner.js'

// From the tests of Kafka's own client.
it.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('hashes %j as Kafka does', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash)
})

it('puts equal keys into one partition, and records without a key into all in turn', () => {
  const partitioner = new Partitioner()
  const of = (key: string | Uint8Array | null) => partitioner.partitionOf({ key, value: null }, 3)
  expect(of('abc')).toBe(479470107 % 3)
  expect(of(Buffer.from('abc'))).toBe(of('abc'))
  expect([of(null), of(null), of(null), of(null)]).toEqual([0, 1, 2, 0])
  expect(partitioner.partitionOf({ partition: 7, value: null }, 3)).toBe(7)
})
