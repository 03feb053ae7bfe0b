import { array, assert, constantFrom, integer, property, record, subarray } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assignPartitions } from './group-assignment.js'

const TOPICS = ['a', 'b', 'c']

const topics = subarray(TOPICS).chain((names) =>
  array(integer({ min: 0, max: 6 }), { minLength: names.length, maxLength: names.length }).map((counts) =>
    names.map((topic, i) => ({
      topic,
      partitions: Array.from({ length: counts[i] ?? 0 }, (_, partition) => ({ partition, leader: 1 })),
    })),
  ),
)
const members = array(record({ id: integer({ min: 0, max: 99 }), topics: subarray(TOPICS) }), { maxLength: 5 }).map(
  (some) => some.map(({ id, topics: asked }, i) => ({ memberId: `m${String(id)}-${String(i)}`, topics: asked })),
)

describe('the assignment of partitions', () => {
  it('gives each partition to exactly one member that asks for its topic, where there is one', () => {
    assert(
      property(members, topics, (asking, existing) => {
        const assigned = assignPartitions(asking, existing)
        const given = [...assigned].flatMap(([memberId, partitions]) =>
          partitions.map(({ topic, partition }) => ({ memberId, topic, partition })),
        )
        for (const { memberId, topic } of given) {
          expect(asking.find((member) => member.memberId === memberId)?.topics).toContain(topic)
        }
        const wanted = existing
          .filter(({ topic }) => asking.some((member) => member.topics.includes(topic)))
          .flatMap(({ topic, partitions }) => partitions.map(({ partition }) => `${topic} ${String(partition)}`))
        expect(given.map(({ topic, partition }) => `${topic} ${String(partition)}`).toSorted()).toEqual(
          wanted.toSorted(),
        )
      }),
    )
  })

  it('is even where all ask for the same, and does not depend on the order of members and topics', () => {
    assert(
      property(integer({ min: 1, max: 5 }), topics, constantFrom(1, -1), (count, existing, order) => {
        const asking = Array.from({ length: count }, (_, i) => ({ memberId: `m${String(i)}`, topics: TOPICS }))
        const assigned = assignPartitions(asking, existing)
        const sizes = [...assigned.values()].map(({ length }) => length)
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
        const turned =
          order < 0 ? ([asking.toReversed(), existing.toReversed()] as const) : ([asking, existing] as const)
        expect(assignPartitions(...turned)).toEqual(assigned)
      }),
    )
  })
})
