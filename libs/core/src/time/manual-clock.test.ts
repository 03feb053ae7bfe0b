import { expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import { ManualClock } from './manual-clock.js'
import { systemClock } from './system-clock.js'

test('time stands still until it is told to move', async () => {
  const clock = new ManualClock(5_000)
  await clock.settle()
  expect([clock.now(), clock.monotonic()]).toEqual([5_000, 0])
  await clock.advance(250)
  expect([clock.now(), clock.monotonic()]).toEqual([5_250, 250])
})

test('sleepers wake in the order of their due times, equal ones in the order in which they went to sleep', async () => {
  const clock = new ManualClock()
  const woken: string[] = []
  const sleep = async (name: string, ms: number): Promise<void> => {
    await clock.sleep(ms)
    woken.push(`${name} at ${String(clock.now())}`)
  }
  const all = [sleep('c', 30), sleep('a', 10), sleep('b1', 20), sleep('b2', 20)]
  expect(clock.sleeping).toBe(4)
  expect(clock.nextDueMs).toBe(10)
  await clock.advance(30)
  expect(woken).toEqual(['a at 10', 'b1 at 20', 'b2 at 20', 'c at 30'])
  expect(clock.nextDueMs).toBeUndefined()
  await Promise.all(all)
})

test('what a sleeper sets going runs before the next one wakes, and may sleep again within the same advance', async () => {
  const clock = new ManualClock()
  const seen: number[] = []
  void (async () => {
    for (let i = 0; i < 3; i++) {
      await clock.sleep(10)
      seen.push(clock.now())
    }
  })()
  await clock.advance(25)
  expect(seen).toEqual([10, 20])
  expect(clock.now()).toBe(25)
  await clock.advance(5)
  expect(seen).toEqual([10, 20, 30])
})

test('the wall clock may jump either way; monotonic time and sleepers do not notice', async () => {
  const clock = new ManualClock(1_000)
  let woke = false
  void clock.sleep(100).then(() => (woke = true))
  clock.jumpTo(50)
  expect([clock.now(), clock.monotonic()]).toEqual([50, 0])
  await clock.advance(99)
  expect(woke).toBe(false)
  await clock.advance(1)
  expect(woke).toBe(true)
  expect(clock.now()).toBe(150)
})

for (const [name, makeClock] of [
  ['manual clock', () => new ManualClock()],
  ['system clock', () => systemClock],
] as const) {
  test(`${name}: an aborted sleep rejects with the reason and leaves nothing behind`, async () => {
    const clock = makeClock()
    const controller = new AbortController()
    const sleeping = clock.sleep(1e9, controller.signal)
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(sleeping).rejects.toBe(reason)
    await expect(clock.sleep(1, controller.signal)).rejects.toBe(reason)
    if (clock instanceof ManualClock) expect(clock.sleeping).toBe(0)
  })

  test(`${name}: a reason that is no error becomes one`, async () => {
    const sleeping = makeClock().sleep(1, AbortSignal.abort('because'))
    await expect(sleeping).rejects.toSatisfy((error) => isSluiceError(error, 'ABORTED') && error.cause === 'because')
  })
}

test('the system clock sleeps at least as long as asked, and its monotonic time never goes back', async () => {
  const before = systemClock.monotonic()
  await systemClock.sleep(5)
  expect(systemClock.monotonic() - before).toBeGreaterThanOrEqual(5)
  await systemClock.sleep(-5)
  await systemClock.yield()
})
