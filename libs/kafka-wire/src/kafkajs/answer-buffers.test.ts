import fc from 'fast-check'
import { expect, it } from 'vitest'
import { AnswerBuffers } from './answer-buffers.js'

const KIB = 1024

it('uses memory again when it was given back, and not before', () => {
  const buffers = new AnswerBuffers()
  const [first, second] = [buffers.take(600 * KIB), buffers.take(600 * KIB)]
  expect(second.buffer).not.toBe(first.buffer)
  buffers.giveBack(first.subarray(4, 8))
  const third = buffers.take(700 * KIB)
  expect(third.buffer).toBe(first.buffer)
  expect(third).toHaveLength(700 * KIB)
  expect(buffers.take(600 * KIB).buffer).not.toBe(first.buffer)
})

it('takes what is not its own, or was given back already, for nothing', () => {
  const buffers = new AnswerBuffers()
  const [mine, small] = [buffers.take(KIB), Buffer.from('of Node.js’s pool')]
  buffers.giveBack(small)
  buffers.giveBack(Buffer.alloc(64 * KIB + 4 * KIB))
  buffers.giveBack(mine)
  buffers.giveBack(mine)
  const taken = [buffers.take(KIB), buffers.take(KIB), buffers.take(KIB)].map(({ buffer }) => buffer)
  expect(new Set(taken).size).toBe(3)
  expect(taken).toContain(mine.buffer)
  expect(taken).not.toContain(small.buffer)
})

it('leaves what is very large to V8, and keeps 16 MiB at most', () => {
  const buffers = new AnswerBuffers()
  const large = buffers.take(5 * 1024 * KIB)
  expect(large).toHaveLength(5 * 1024 * KIB)
  buffers.giveBack(large)
  expect(buffers.take(5 * 1024 * KIB).buffer).not.toBe(large.buffer)
  const taken = Array.from({ length: 20 }, () => buffers.take(1024 * KIB))
  for (const each of taken) buffers.giveBack(each)
  const known = new Set(taken.map(({ buffer }) => buffer))
  const again = Array.from({ length: 20 }, () => buffers.take(1024 * KIB))
  expect(again.filter(({ buffer }) => known.has(buffer))).toHaveLength(15)
})

it('never lends memory twice, whatever is taken and given back', () => {
  const step = fc.oneof(
    fc.record({ take: fc.integer({ min: 0, max: 6 * 1024 * KIB }) }),
    fc.record({ giveBack: fc.nat(20) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const buffers = new AnswerBuffers()
      const lent: Buffer[] = []
      for (const each of steps) {
        if ('take' in each) {
          const taken = buffers.take(each.take)
          expect(taken).toHaveLength(each.take)
          expect(lent.map(({ buffer }) => buffer)).not.toContain(taken.buffer)
          lent.push(taken)
        } else for (const back of lent.splice(each.giveBack, 1)) buffers.giveBack(back)
      }
    }),
    { numRuns: 200 },
  )
})
