import { AsyncLocalStorage } from 'node:async_hooks'
import { beforeAll, describe, expect, test } from 'vitest'
import { SluiceContext } from '../context/sluice-context.js'
import { StreamingContext } from '../context/streaming-context.js'
import { seconds } from '../time/duration.js'
import { systemClock } from '../time/system-clock.js'
import { becomeWorker, parkedInWorker, workerHost, type TaskScope, type WorkerHost } from './worker-mode.js'

let parked = 0
const host: WorkerHost = {
  '~sluice': 'worker-host/1',
  task: new AsyncLocalStorage<TaskScope>(),
  shared: new Map(),
  broadcast: (name) => `the driver's ${name}`,
  parked: () => void parked++,
}

beforeAll(() => {
  expect(workerHost()).toBeUndefined()
  expect(parkedInWorker('count')).toBeUndefined()
  becomeWorker(host)
})

async function isPending(action: Promise<unknown>): Promise<boolean> {
  const settled = action.then(
    () => false,
    () => false,
  )
  return Promise.race([settled, systemClock.sleep(20).then(() => true)])
}

describe('E24: in a worker', () => {
  test('actions never resolve', async () => {
    const context = new SluiceContext({ log: 'error' })
    const rdd = context.parallelize([1, 2])
    const reading = rdd[Symbol.asyncIterator]()
    const actions = [rdd.count(), rdd.foreach(() => undefined), rdd.saveAsTextFile('nowhere'), reading.next()]
    expect(await Promise.all(actions.map(isPending))).toEqual([true, true, true, true])
    expect(parked).toBe(4)
  })

  test('start() never returns, and streams can be declared before', async () => {
    const ssc = new StreamingContext({ batchInterval: seconds(1), log: 'error' })
    ssc.queueStream([[1]]).print()
    parked = 0
    expect(await isPending(ssc.start())).toBe(true)
    expect([parked, ssc.state]).toEqual([1, 'initialized'])
  })

  test('broadcasts have the value of the driver, whatever the module gave', () => {
    expect(new SluiceContext().broadcast(1, { name: 'a' }).value).toBe("the driver's a")
    expect(new SluiceContext().broadcast(1).value).toBe("the driver's broadcast-0")
  })

  test('accumulators leave what a task adds with the task', () => {
    const accumulator = new SluiceContext().accumulator('n', 5, (a, b: number) => a + b)
    accumulator.add(1)
    expect(accumulator.value).toBe(5)
    const scope: TaskScope = { added: [] }
    host.task.run(scope, () => {
      accumulator.add(2)
      expect(() => accumulator.value).toThrow("cannot read 'n'")
    })
    expect(scope.added).toEqual([['n', 2]])
  })

  test('shared variables of one name in two contexts are refused when they are used', () => {
    const [first] = [1, 2].map((value) => new SluiceContext().broadcast(value, { name: 'both' }))
    expect(() => first?.value).toThrow("two contexts have broadcasts named 'both'")
    const [accumulator] = [1, 2].map((zero) => new SluiceContext().accumulator('both', zero, (a, b: number) => a + b))
    expect(() => accumulator?.add(1)).toThrow("two contexts have accumulators named 'both'")
  })
})
