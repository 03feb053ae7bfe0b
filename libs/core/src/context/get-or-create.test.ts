import { expect, test } from 'vitest'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import type { FileSystem } from '../storage/file-system.js'
import { memoryLogger, until } from '../testing/harness.js'
import { scriptedSource } from '../testing/scripted-source.js'
import { seconds } from '../time/duration.js'
import { ManualClock } from '../time/manual-clock.js'
import { StreamingContext } from './streaming-context.js'

function builder(disk: FileSystem, clock: ManualClock, out: unknown[], checkpoint?: string) {
  return (dir: string): StreamingContext => {
    const ssc = new StreamingContext({
      batchInterval: seconds(1),
      checkpoint: checkpoint ?? dir,
      localFileSystem: disk,
      clock,
      logger: memoryLogger(),
      signals: false,
    })
    ssc.inputStream(scriptedSource([[1], [2], [3], [4]])).foreachRDD(async (rdd) => {
      out.push(...(await rdd.collect()))
    })
    return ssc
  }
}

test('getOrCreate builds at each start, and goes on from the checkpoint where there is one', async () => {
  const disk = memoryFileSystem()
  const clock = new ManualClock()
  const out: unknown[] = []
  for (let start = 1; start <= 3; start++) {
    const ssc = await StreamingContext.getOrCreate('ckpt', builder(disk, clock, out))
    expect(ssc.state).toBe('initialized')
    let isCommitted = false
    ssc.addListener({
      onBatchCompleted: () => {
        isCommitted = true
      },
    })
    await ssc.start()
    await clock.advance(1_000)
    await until(() => isCommitted)
    expect(out).toHaveLength(start)
    await ssc.stop({ graceful: false })
  }
  expect(out).toEqual([1, 2, 3])
})

test.each(['./ckpt', 'ckpt/'])('getOrCreate takes %s for the same folder', async (checkpoint) => {
  const build = builder(memoryFileSystem(), new ManualClock(), [], checkpoint)
  await (await StreamingContext.getOrCreate('ckpt', build)).stop()
})

test('getOrCreate refuses a context with another checkpoint, or none', async () => {
  const refused = (message: RegExp): object => ({
    code: 'ARGUMENT_INVALID',
    message: expect.stringMatching(message) as string,
  })
  const disk = memoryFileSystem()
  for (const other of ['other', '/ckpt']) {
    await expect(
      StreamingContext.getOrCreate('ckpt', builder(disk, new ManualClock(), [], other)),
    ).rejects.toMatchObject(refused(/the context has the checkpoint \S+, and not ckpt; give checkpoint: 'ckpt'/))
  }
  const without = (): StreamingContext =>
    new StreamingContext({ batchInterval: seconds(1), logger: memoryLogger(), localFileSystem: disk })
  await expect(StreamingContext.getOrCreate('ckpt', without)).rejects.toMatchObject(refused(/has no checkpoint/))
})
