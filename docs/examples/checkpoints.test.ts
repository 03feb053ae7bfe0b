/** Runs the examples of checkpoints.md, and provokes the errors that it shows. */
import { hostname } from 'node:os'
import { blocksOf, quotedBlock } from '@sluice/doc-blocks'
import { expect, test } from 'vitest'
import { milliseconds, StreamingContext, type StreamingContextOptions } from '@sluice/core'
import { ManualClock, memoryFileSystem } from '@sluice/core/testing'
import { changedState, exactMessages, pricedOnce, tellResumption, wordCounts } from './checkpoints.js'
import { BrokerReceiver, type Client } from './receiver-class.js'

const messages = blocksOf('docs/checkpoints.md').flatMap(({ language, source }) =>
  language === 'text' ? [source.trim()] : [],
)

test('the examples of checkpoints.md are those that run here', () => {
  quotedBlock('docs/checkpoints.md', 'wordCounts', 'docs/examples/checkpoints.ts')
  quotedBlock('docs/checkpoints.md', 'tellResumption', 'docs/examples/checkpoints.ts')
  quotedBlock('docs/checkpoints.md', 'exactMessages', 'docs/examples/checkpoints.ts')
  quotedBlock('docs/checkpoints.md', 'pricedOnce', 'docs/examples/checkpoints.ts')
  quotedBlock('docs/checkpoints.md', 'changedState', 'docs/examples/checkpoints.ts')
})

interface World {
  readonly clock: ManualClock
  readonly options: StreamingContextOptions
  put(name: string, text: string): Promise<void>
  remove(name: string): Promise<void>
}

async function world(): Promise<World> {
  const clock = new ManualClock()
  const disk = memoryFileSystem({ clock })
  await disk.makeDirectory('in')
  const batchInterval = milliseconds(1_000)
  return {
    clock,
    options: { batchInterval, clock, localFileSystem: disk, checkpoint: 'ckpt', log: 'silent', signals: false },
    put: (name, text) => disk.create(`in/${name}`, Buffer.from(text)),
    remove: (name) => disk.remove(`in/${name}`),
  }
}

type Context = Pick<World, 'clock'> & { readonly ssc: StreamingContext }

async function batch({ ssc, clock }: Context): Promise<void> {
  const done = new Promise<void>((resolve) => {
    ssc.addListener({ onBatchCompleted: () => resolve() })
  })
  await clock.advance(1_000)
  await done
}

/** Collects the last batch of counts. */
function declared(
  { options, clock }: World,
  build: (ssc: StreamingContext, out: unknown[]) => void,
): Context & { readonly out: unknown[] } {
  const ssc = new StreamingContext(options)
  const out: unknown[] = []
  build(ssc, out)
  return { ssc, clock, out }
}

function onesOf(ssc: StreamingContext) {
  return ssc
    .textFileStream('in', { name: 'lines' })
    .flatMap((line) => line.split(' '))
    .map((word) => [word, 1])
}

test('counts go on after a restart, and are told; then the state is renamed and has another shape', async () => {
  const here = await world()
  const first = wordCounts(here.options)
  await first.start()
  await here.put('a', 'to be\n')
  await batch({ ssc: first, clock: here.clock })
  await first.stop({ graceful: false })
  const told: string[] = []
  const second = declared(here, (ssc, out) => {
    tellResumption(ssc, (text) => void told.push(text))
    changedState(onesOf(ssc)).foreachRDD(async (rdd) => void out.push(...(await rdd.collect())))
  })
  await second.ssc.start()
  await here.put('b', 'be\n')
  await batch(second)
  await second.ssc.stop({ graceful: false })
  expect(told).toEqual(['after 1000: 2 keys, 0 batches to run again'])
  expect(second.out).toEqual([
    ['to', { count: 1, batches: 1 }],
    ['be', { count: 2, batches: 1 }],
  ])
})

test('a reliable receiver continues above what is durable', async () => {
  const here = await world()
  const subscriptions: Parameters<Client['subscribe']>[0][] = []
  const client: Client = {
    subscribe: (options) => {
      subscriptions.push(options)
      return Promise.resolve({ close: () => Promise.resolve() })
    },
  }
  const build = (ssc: StreamingContext, out: unknown[]): void => {
    exactMessages(ssc, new BrokerReceiver(client)).foreachRDD(async (rdd) => void out.push(...(await rdd.collect())))
  }
  const first = declared(here, build)
  await first.ssc.start()
  await here.clock.settle()
  await subscriptions[0]!.onMessages([{ offset: 7n, text: 'a' }])
  await first.ssc.stop({ graceful: false })
  const second = declared(here, build)
  await second.ssc.start()
  await here.clock.settle()
  await subscriptions[1]!.onMessages([{ offset: 7n, text: 'a' }])
  await subscriptions[1]!.onMessages([{ offset: 8n, text: 'b' }])
  await batch(second)
  await second.ssc.stop({ graceful: false })
  expect(subscriptions[1]!.after).toBe(7n)
  expect([...first.out, ...second.out]).toEqual(['a', 'b'])
})

test('answers are asked for once, also when the batch fails and runs again', async () => {
  const here = await world()
  let calls = 0
  let fails = true
  const build = (ssc: StreamingContext, out: unknown[]): void => {
    pricedOnce(ssc.textFileStream('in', { name: 'lines' }), () => Promise.resolve(++calls)).foreachRDD(async (rdd) => {
      if (fails) throw new Error('the server is down')
      out.push(...(await rdd.collect()))
    })
  }
  const first = declared(here, build)
  const ended = first.ssc.awaitTermination()
  await first.ssc.start()
  await here.put('a', 'tea\n')
  await Promise.all([expect(ended).rejects.toThrowError('the server is down'), here.clock.advance(1_000)])
  fails = false
  const second = declared(here, build)
  const done = new Promise<void>((resolve) => {
    second.ssc.addListener({ onBatchCompleted: () => resolve() })
  })
  await second.ssc.start()
  await done
  await second.ssc.stop({ graceful: false })
  expect(second.out).toEqual([['tea', 1]])
  expect(calls).toBe(1)
})

async function messageOf(failing: Promise<unknown>): Promise<string> {
  return failing.then(
    () => 'it did not fail',
    (error: unknown) => (error as Error).message,
  )
}

test('the errors that the page shows are those that are thrown', async () => {
  const here = await world()
  const sum = (values: readonly number[], before: number | undefined): number => values.length + (before ?? 0)
  const start = (build: (ssc: StreamingContext) => void): Promise<string> =>
    messageOf(declared(here, (ssc) => build(ssc)).ssc.start())
  const running = wordCounts(here.options)
  await running.start()
  const owned = await start((ssc) => onesOf(ssc).updateStateByKey(sum, { name: 'counts' }).print())
  await batch({ ssc: running, clock: here.clock })
  await running.stop({ graceful: false })
  const thrown = [
    await start((ssc) => {
      const words = onesOf(ssc)
      words.updateStateByKey(sum).print()
      words.updateStateByKey(sum).print()
    }),
    await start((ssc) => onesOf(ssc).print()),
    await start((ssc) => onesOf(ssc).updateStateByKey(sum, { name: 'counts', version: 1 }).print()),
    owned.replace(String(process.pid), '4711').replace(hostname(), 'host-a'),
  ]
  const losing = wordCounts(here.options)
  const ended = messageOf(losing.awaitTermination())
  losing.addListener({ onBatchSubmitted: () => void here.remove('a.txt') })
  await losing.start()
  await here.put('a.txt', 'gone\n')
  await here.clock.advance(1_000)
  expect([...thrown, await ended]).toEqual(messages)
})
