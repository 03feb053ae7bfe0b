import { expect, test } from 'vitest'
import { ManualClock } from '../time/manual-clock.js'
import { Ticker } from './ticker.js'

const INTERVAL = 1_000
const never = new AbortController().signal

/** The next `count` ticks: batch time, and the wall-clock time at which it came. */
async function ticks(clock: ManualClock, ticker: Ticker, count: number): Promise<(readonly [number, number])[]> {
  const seen: (readonly [number, number])[] = []
  for (let i = 0; i < count; i++) {
    const next = ticker.next(never)
    while (clock.nextDueMs !== undefined) await clock.advance(clock.nextDueMs)
    seen.push([await next, clock.now()])
  }
  return seen
}

test('E12: ticks are aligned to multiples of the interval, and come when their time is over', async () => {
  const clock = new ManualClock(12_345)
  const ticker = new Ticker(clock, INTERVAL)
  expect(ticker.zeroTime).toBe(12_000)
  expect(await ticks(clock, ticker, 3)).toEqual([
    [13_000, 13_000],
    [14_000, 14_000],
    [15_000, 15_000],
  ])
})

test('E12: overdue ticks come at once, in order, and none is lost', async () => {
  const clock = new ManualClock()
  const ticker = new Ticker(clock, INTERVAL)
  await clock.advance(4_400)
  const late: number[] = []
  for (let i = 0; i < 4; i++) late.push(await ticker.next(never))
  expect(late).toEqual([1_000, 2_000, 3_000, 4_000])
  expect(clock.sleeping).toBe(0)
  expect(await ticks(clock, ticker, 1)).toEqual([[5_000, 5_000]])
})

test('E12: with the clock set back, batch times go on rising and ticks keep their pace', async () => {
  const clock = new ManualClock(100_000)
  const ticker = new Ticker(clock, INTERVAL)
  await ticks(clock, ticker, 2)
  clock.jumpTo(50_000)
  expect(await ticks(clock, ticker, 3)).toEqual([
    [103_000, 51_000],
    [104_000, 52_000],
    [105_000, 53_000],
  ])
})

test('E12: with the clock set forward, the next batch has the new time, aligned, and no batch is made up', async () => {
  const clock = new ManualClock(100_000)
  const ticker = new Ticker(clock, INTERVAL)
  await ticks(clock, ticker, 2)
  clock.jumpTo(200_250)
  const seen = await ticks(clock, ticker, 3)
  expect(seen.map(([time]) => time)).toEqual([201_000, 202_000, 203_000])
  // Paced as before, a little later than aligned; it comes nearer with each tick.
  expect(seen.map(([, now]) => now)).toEqual([201_250, 202_150, 203_050])
})

test('E12: a tick that is late by nearly an interval is not skipped, whatever the wall clock rounds off', async () => {
  const clock = new ManualClock(12_345.9)
  const whole = Object.assign(Object.create(clock) as ManualClock, { now: () => Math.floor(clock.now()) })
  for (const name of ['monotonic', 'sleep'] as const) Object.assign(whole, { [name]: clock[name].bind(clock) })
  const ticker = new Ticker(whole, INTERVAL)
  // Due when 655 ms have passed; 999.5 ms later the wall clock shows 14 s already.
  await clock.advance(655 + 999.5)
  const late = [await ticker.next(never)]
  for (let i = 0; i < 3; i++) {
    const next = ticker.next(never)
    while (clock.nextDueMs !== undefined) await clock.advance(clock.nextDueMs)
    late.push(await next)
  }
  expect(late).toEqual([13_000, 14_000, 15_000, 16_000])
  // And none comes before its time.
  expect(clock.now()).toBeGreaterThanOrEqual(16_000)
})

test('E12: set back before the first tick, no batch is at or before the zero time', async () => {
  const clock = new ManualClock(100_000)
  const ticker = new Ticker(clock, INTERVAL)
  clock.jumpTo(10)
  expect(await ticks(clock, ticker, 2)).toEqual([
    [101_000, 1_010],
    [102_000, 2_010],
  ])
})

test('E12: a wall clock that drifts is followed, by at most a tenth of an interval per tick', async () => {
  const clock = new ManualClock()
  const ticker = new Ticker(clock, INTERVAL)
  for (let i = 1; i <= 200; i++) {
    const next = ticker.next(never)
    const wait = clock.nextDueMs ?? 0
    expect(wait).toBeGreaterThanOrEqual(INTERVAL * 0.9)
    expect(wait).toBeLessThanOrEqual(INTERVAL * 1.1)
    await clock.advance(wait)
    // 5 ms slow in each second.
    clock.jumpTo(clock.now() - 5)
    expect(await next).toBe(i * INTERVAL)
    expect(Math.abs(clock.now() - i * INTERVAL)).toBeLessThanOrEqual(15)
  }
})

test('E12: a last batch can be taken before its tick is due, and the ticks after it go on from there', async () => {
  const clock = new ManualClock()
  const ticker = new Ticker(clock, INTERVAL)
  await clock.advance(300)
  expect(ticker.take()).toBe(1_000)
  expect(ticker.last).toBe(1_000)
  expect(ticker.take()).toBe(2_000)
})

test('next rejects when its signal is aborted, also when it is overdue', async () => {
  const clock = new ManualClock()
  const ticker = new Ticker(clock, INTERVAL)
  const controller = new AbortController()
  const next = ticker.next(controller.signal)
  const reason = new Error('stop')
  controller.abort(reason)
  await expect(next).rejects.toBe(reason)
  await clock.advance(5_000)
  await expect(ticker.next(controller.signal)).rejects.toBe(reason)
  expect(ticker.last).toBe(0)
})
