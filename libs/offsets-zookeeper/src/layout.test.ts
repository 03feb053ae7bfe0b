import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isNodeName, isOffset, parentOf, partitionName, partitionOf } from './layout.js'

test('names of partitions are parsed from their end: topics may hold dashes and numbers', () => {
  expect(partitionOf('web-orders-2-13')).toEqual({ topic: 'web-orders-2', partition: '13' })
  const topic = fc.stringMatching(/^[a-zA-Z0-9._-]{1,249}$/).filter((name) => name !== '.' && name !== '..')
  fc.assert(
    fc.property(topic, fc.nat(), (topic, partition) => {
      const parsed = { topic, partition: String(partition) }
      expect(partitionOf(partitionName(parsed))).toEqual(parsed)
    }),
  )
})

test.each(['orders', '-3', 'orders-', 'orders-x', 'orders-03', 'a/b-1', '..-1', '.-1', 'größe-1', 'a b-1', ''])(
  '%j is no partition of Kafka',
  (name) => {
    expect(() => partitionOf(name)).toThrow(
      expect.objectContaining({ code: 'ARGUMENT_INVALID', message: expect.stringContaining(`'${name}'`) as string }),
    )
  },
)

test('offsets are whole numbers of 63 bits', () => {
  for (const offset of ['0', '7', '9007199254740993', '9223372036854775807']) expect(isOffset(offset)).toBe(true)
  for (const other of ['', '-1', ' 7', '7\n', '1e3', '0x7', '9223372036854775808', '99999999999999999999', 'x'])
    expect(isOffset(other)).toBe(false)
})

test('names of nodes are those that ZooKeeper takes', () => {
  for (const name of ['app', 'my app', 'größe', 'a.b', '...', 'a:b']) expect(isNodeName(name)).toBe(true)
  for (const name of ['', '.', '..', 'a/b', 'a\u0000', 'a\u0085', '\ufff0', '😀']) expect(isNodeName(name)).toBe(false)
})

test('the node above', () => {
  expect(parentOf('/consumers/group/offsets')).toBe('/consumers/group')
})
