/** E15: what `start()` says of each output, for every combination of input, lineage, log and sink. */
import { expect, test } from 'vitest'
import type { DStream } from '../dstream/dstream.js'
import type { InputSource } from '../input/input.js'
import type { Sink } from '../sink/sink.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { harness, type Harness } from '../testing/harness.js'
import { scriptedSource } from '../testing/scripted-source.js'

const sink = (level: Sink<unknown>['guarantee']['level']): Sink<unknown> => ({
  '~sluice': 'sink/1',
  name: 'test',
  target: 'nowhere',
  guarantee: { level, condition: `why ${level}` },
  writePartition: () => Promise.resolve(),
})

const idle = { '~sluice': 'receiver/1', onStart: () => undefined, onStop: () => undefined } as const
const inputs: Record<string, (app: Harness) => DStream<unknown>> = {
  replayable: (app) => app.ssc.inputStream(scriptedSource<unknown>([]), { name: 'in' }),
  queue: (app) => app.ssc.queueStream<unknown>([], { name: 'in' }),
  direct: (app) => {
    const source: InputSource<unknown> = { ...scriptedSource<unknown>([], 'in'), replayable: false } as never
    return app.ssc.inputStream(source, { name: 'in' })
  },
  receiver: (app) => app.ssc.receiverStream<unknown>(idle, { name: 'in' }),
  'reliable receiver': (app) => app.ssc.receiverStream<unknown>(idle, { name: 'in', reliable: true }),
}
const lineages: Record<string, (stream: DStream<unknown>) => DStream<unknown>> = {
  map: (stream) => stream.map(String),
  mapAsync: (stream) => stream.mapAsync((n) => Promise.resolve(String(n)), { name: 'ask' }).map(String),
  'mapAsync, checkpointed': (stream) => {
    const answered = stream.mapAsync((n) => Promise.resolve(String(n)), { name: 'ask' })
    return answered.checkpoint()
  },
}

async function lineOf(
  checkpoint: string | undefined,
  input: string,
  lineage: string,
  level: Sink<unknown>['guarantee']['level'] | 'function',
): Promise<string | undefined> {
  const app = harness({ localFileSystem: memoryFileSystem(), checkpoint })
  const stream = lineages[lineage]?.((inputs[input] as (app: Harness) => DStream<unknown>)(app)) as DStream<unknown>
  if (level === 'function') stream.foreachRDD(() => undefined, { name: 'out' })
  else stream.to(sink(level), { name: 'out' })
  await app.ssc.start()
  await app.ssc.stop({ graceful: false })
  return app.log.find((line) => line.startsWith('info: output out'))
}

test('E15: with a checkpoint each output says the weakest of input, lineage and sink', async () => {
  for (const input of Object.keys(inputs)) {
    const isLossy = ['queue', 'direct', 'receiver'].includes(input)
    const loss = isLossy ? '; what in gave and was not committed is lost in a crash' : ''
    for (const lineage of Object.keys(lineages)) {
      for (const level of ['exactly-once', 'effectively-once', 'at-least-once', 'function'] as const) {
        const isWeaker = lineage === 'mapAsync' && level !== 'at-least-once'
        const promise = isWeaker
          ? 'at-least-once (ask may answer differently when a batch is run again; checkpoint() it)'
          : `${level} (why ${level})`
        const expected =
          level === 'function' ? 'at-least-once (a function of the program: a batch may be run again)' : promise
        const where = level === 'function' ? '' : ' → test nowhere'
        const line = await lineOf('ckpt', input, lineage, level)
        expect(line, `${input}, ${lineage}, ${level}`).toBe(`info: output out${where}: ${expected}${loss}`)
      }
    }
  }
})

test('E15: without a checkpoint every output is at most once across a crash', async () => {
  for (const input of ['replayable', 'queue', 'direct', 'receiver']) {
    for (const level of ['exactly-once', 'effectively-once', 'at-least-once', 'function'] as const) {
      const line = await lineOf(undefined, input, 'map', level)
      expect(line).toMatch(/: at-most-once across a crash \(no checkpoint\)/)
    }
  }
})
