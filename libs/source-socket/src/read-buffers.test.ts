import { ManualClock } from '@sluice/core/testing'
import { beforeEach, expect, test } from 'vitest'
import { READ_BYTES, ReadBuffers } from './read-buffers.js'

const MINUTE_MS = 60_000
let clock: ManualClock
let run: AbortController
let buffers: ReadBuffers

beforeEach(() => {
  clock = new ManualClock()
  run = new AbortController()
  buffers = new ReadBuffers(clock, run.signal)
})

function take(count: number): Buffer[] {
  return Array.from({ length: count }, () => buffers.take())
}

function giveAll(taken: readonly Buffer[]): void {
  for (const buffer of taken) buffers.give(buffer)
}

test('a buffer is used again when it was given back, and not before', () => {
  const [a, b] = [buffers.take(), buffers.take()]
  expect(a).toHaveLength(READ_BYTES)
  expect(b.buffer).not.toBe(a.buffer)
  buffers.give(a)
  expect(buffers.take()).toBe(a)
  expect([a, b]).not.toContain(buffers.take())
})

test('at most 128 MiB wait to be used again', () => {
  giveAll(take(2_100))
  expect(buffers.free * READ_BYTES).toBe(128 * 2 ** 20)
})

test('what was not needed for a minute goes, and then there is no timer any more', async () => {
  giveAll(take(10))
  await clock.advance(MINUTE_MS / 2)
  giveAll(take(3))
  await clock.advance(MINUTE_MS / 2)
  expect(buffers.free).toBe(3)
  await clock.advance(MINUTE_MS)
  expect([buffers.free, clock.sleeping]).toEqual([0, 0])
  giveAll(take(1))
  expect([buffers.free, clock.sleeping]).toEqual([1, 1])
  await clock.advance(MINUTE_MS)
  expect([buffers.free, clock.sleeping]).toEqual([0, 0])
})

test('when the run ends all go, and what comes back later is not kept', async () => {
  const late = buffers.take()
  giveAll(take(2))
  run.abort()
  await clock.settle()
  buffers.give(late)
  expect([buffers.free, clock.sleeping]).toEqual([0, 0])
})
