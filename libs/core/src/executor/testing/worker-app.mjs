/**
 * The app of the tests of `workerExecutor`: functions by name, as a user's module has them. Plain JavaScript on the build of
 * core, since workers of Node 20 load no TypeScript. The query of its URL makes a worker's copy go wrong on purpose.
 */
import { isMainThread, threadId } from 'node:worker_threads'
import { SluiceContext, task } from '../../../dist/index.js'

const fault = isMainThread ? '' : new URL(import.meta.url).search

/** Calls of user functions in this thread. */
export const calls = { count: 0 }

/** Registers a function that counts its calls. */
const counted = (name, fn) =>
  task(name, function counting(...args) {
    calls.count++
    return fn.apply(this, args)
  })

export const words = counted('words', (line) => line.split(' '))
export const pairOne = counted('pairOne', (word) => [word, 1])
export const add = counted('add', (a, b) => a + b)
export const addTo = counted('addTo', (total, value) => {
  total.sum += value
  return total
})
export const mergeTotals = counted('mergeTotals', (a, b) => ({ sum: a.sum + b.sum }))
export const double = counted('double', (x) => x * 2)
export const isEven = counted('isEven', (x) => x % 2 === 0)
export const lastDigit = counted('lastDigit', (x) => x % 10)
export const descending = counted('descending', (a, b) => b - a)
export const modulo3 = counted('modulo3', (key) => key % 3)
export const onThread = counted('onThread', (x) => [x, threadId])
export const later = counted('later', async (x) => x + 1)
export const reversedPartition = counted('reversedPartition', (records) => [...records].reverse())
export const nothing = counted('nothing', () => undefined)
export const callsHere = task('callsHere', (records) => [...records, calls.count])
export const makeInstance = task('makeInstance', () => new (class Unsendable {})())

export const explode = task('explode', function explodeOn13(x) {
  if (x === 13) throw Object.assign(new TypeError('thirteen', { cause: new RangeError('deep') }), { errno: -5 })
  return x
})
export const throwText = task('throwText', () => {
  throw 'just text'
})

export const exitOnce = task('exitOnce', (records, { partition, attempt }) => {
  if (partition === 1 && attempt === 0) process.exit(3)
  return records
})
export const exitAlways = task('exitAlways', () => process.exit(3))
export const uncaughtOnce = task('uncaughtOnce', (records, { partition, attempt }) => {
  if (partition !== 1 || attempt > 0) return records
  setImmediate(() => {
    throw new Error('thrown outside of the task')
  })
  return new Promise(() => undefined)
})
export const outOfMemoryOnce = task('outOfMemoryOnce', (records, { partition, attempt }) => {
  if (partition !== 1 || attempt > 0) return records
  const held = []
  for (let i = 0; ; i++) held.push({ i })
})
export const failOnce = task('failOnce', (records, { attempt }) => {
  if (attempt === 0) throw new Error('the first attempt fails')
  return records
})
export const failLate = task('failLate', function* (records, { attempt }) {
  yield* records
  if (attempt === 0) throw new Error('the first attempt fails at its end')
})
export const dieLater = task('dieLater', (x) => {
  setTimeout(() => {
    throw new Error('thrown while idle')
  }, 20)
  return x
})
export const never = task('never', () => new Promise(() => undefined))
export const actInTask = task('actInTask', async () => {
  await new SluiceContext().parallelize([1]).count()
  return []
})

/** Shared variables: in a worker made while the module loads, in the driver by each test. */
export const shared = {}
export function declareShared(context, rules) {
  shared.seen = context.accumulator('seen', 0, (total, value) => total + value)
  shared.names = context.accumulator('names', [], (all, name) => [...all, name])
  shared.rules = context.broadcast(rules, { name: 'rules' })
  shared.other = context.broadcast({ unnamed: true })
}
if (!isMainThread) declareShared(new SluiceContext(), 'what the worker itself would have')

export const see = task('see', (x) => {
  shared.seen.add(1)
  return x
})
export const addThenFail = task('addThenFail', (records, { partition, attempt }) => {
  shared.seen.add(records.length)
  shared.names.add(`${partition}.${attempt}`)
  if (attempt === 0) throw new Error('after it has added')
  return records
})
export const addThenExit = task('addThenExit', (records, { attempt }) => {
  shared.seen.add(records.length)
  if (attempt === 0) process.exit(1)
  return records
})
export const readSeen = task('readSeen', () => shared.seen.value)
export const readRules = task('readRules', () => shared.rules.value)
export const readOther = task('readOther', () => shared.other.value)
let last
/** Whether it is the very object that was read last in this thread. */
export const sameRules = task('sameRules', (x) => {
  const same = shared.rules.value === last
  last = shared.rules.value
  return [x, same, threadId]
})

if (fault !== '?missing') task('missingThere', (x) => x)
if (fault === '?differs') task('differsThere', (x) => x + 1)
else task('differsThere', (x) => x)
if (fault === '?throws') throw new RangeError('the app throws while it loads')
if (fault === '?exits') process.exit(7)
