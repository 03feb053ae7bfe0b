import { expect, test } from 'vitest'
import { ManualClock } from '../time/manual-clock.js'
import { RateLimiter } from './rate-limiter.js'

const never = new AbortController().signal

/** Takes one record after another for as long as it is let. */
function taker(limiter: RateLimiter, signal = never): { count: number } {
  const taken = { count: 0 }
  void (async () => {
    while (!signal.aborted) {
      taken.count++
      await limiter.take(1, signal)
    }
  })()
  return taken
}

test('without a rate nothing waits', () => {
  expect(new RateLimiter(new ManualClock(), Infinity).take(1e9, never)).toBeUndefined()
})

test('the cap holds from the very first second', async () => {
  const clock = new ManualClock()
  const taken = taker(new RateLimiter(clock, 50))
  await clock.advance(1_000)
  expect(taken.count).toBe(51)
  await clock.advance(9_000)
  expect(taken.count).toBe(501)
})

test('after a pause a burst of at most one second comes', async () => {
  const clock = new ManualClock()
  const limiter = new RateLimiter(clock, 100)
  await clock.advance(60_000)
  const taken = taker(limiter)
  await clock.settle()
  expect(taken.count).toBe(101)
  await clock.advance(1_000)
  expect(taken.count).toBe(201)
})

test('many records at once are taken, and those after them wait for their time', async () => {
  const clock = new ManualClock()
  const limiter = new RateLimiter(clock, 100)
  let done = false
  void limiter.take(500, never)?.then(() => (done = true))
  await clock.advance(4_999)
  expect(done).toBe(false)
  await clock.advance(1)
  expect(done).toBe(true)
  expect(clock.sleeping).toBe(0)
})

test('receivers share the rate', async () => {
  const clock = new ManualClock()
  const limiter = new RateLimiter(clock, 100)
  const takers = [taker(limiter), taker(limiter)]
  await clock.advance(10_000)
  expect(takers[0]!.count + takers[1]!.count).toBe(1_002)
  expect(Math.abs(takers[0]!.count - takers[1]!.count)).toBeLessThanOrEqual(1)
})

test('a new rate counts at once, also for those who wait', async () => {
  const clock = new ManualClock()
  const limiter = new RateLimiter(clock, 1)
  let done = false
  void limiter.take(1_000, never)?.then(() => (done = true))
  await clock.advance(10_000)
  limiter.setRate(990)
  await clock.advance(999)
  expect(done).toBe(false)
  await clock.advance(1)
  expect(done).toBe(true)
})

test('a lower rate does not make records wait longer that were taken under a higher one', async () => {
  const clock = new ManualClock()
  const limiter = new RateLimiter(clock, 1_000)
  let done = false
  void limiter.take(2_000, never)?.then(() => (done = true))
  await clock.advance(1_000)
  limiter.setRate(10)
  await clock.advance(1_000)
  expect(done).toBe(true)
  const taken = taker(limiter)
  await clock.advance(1_000)
  expect(taken.count).toBe(11)
})

test('rates are bounded by the maximum; what is no rate is ignored', () => {
  const limiter = new RateLimiter(new ManualClock(), Infinity, 500)
  expect(limiter.rate).toBe(500)
  limiter.setRate(1_000)
  expect(limiter.rate).toBe(500)
  limiter.setRate(200)
  for (const none of [0, -5, Number.NaN]) limiter.setRate(none)
  expect(limiter.rate).toBe(200)
})

test('a limit that is lifted lets go those who wait', async () => {
  const clock = new ManualClock()
  const limiter = new RateLimiter(clock, 1)
  const waiting = limiter.take(1_000_000, never)
  limiter.setRate(Infinity)
  await waiting
  expect(clock.sleeping).toBe(0)
})

test('a stop ends the wait', async () => {
  const clock = new ManualClock()
  const controller = new AbortController()
  const waiting = new RateLimiter(clock, 1).take(1_000, controller.signal)
  controller.abort()
  await waiting
  expect(clock.sleeping).toBe(0)
})

test('the clock may be set: only monotonic time counts', async () => {
  const clock = new ManualClock(1_000_000)
  const taken = taker(new RateLimiter(clock, 10))
  clock.jumpTo(0)
  await clock.advance(1_000)
  clock.jumpTo(1e12)
  await clock.advance(1_000)
  expect(taken.count).toBe(21)
})

test('rates of a thousand million and after as many records: no sum of fractions keeps it waiting', async () => {
  const clock = new ManualClock(0)
  const limiter = new RateLimiter(clock, 1e9 / 3)
  let done = 0
  for (let i = 0; i < 10; i++) {
    void limiter.take(1e9, never)?.then(() => done++)
    await clock.advance(3_000.001)
  }
  expect(done).toBe(10)
})
