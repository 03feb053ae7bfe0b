/** E14: a receiver is told the position of what is safe, whichever receiver of its stream has stored it. */
import { expect, test } from 'vitest'
import { crashableFileSystem } from '../testing/crashable-file-system.js'
import { harness, until } from '../testing/harness.js'
import type { Receiver, ReceiverContext } from './receiver.js'

class HandReceiver implements Receiver<string> {
  readonly '~sluice' = 'receiver/1'
  context!: ReceiverContext<string>

  onStart(context: ReceiverContext<string>): void {
    this.context = context
  }

  onStop(): void {
    // It holds nothing.
  }
}

async function startedOn(isFull: () => boolean) {
  const localFileSystem = crashableFileSystem({
    fail: ({ kind, path }) => (isFull() && kind === 'append' && path.includes('/records/') ? 'ENOSPC' : undefined),
  })
  const run = harness({ localFileSystem, checkpoint: 'ckpt' })
  const [one, other] = [new HandReceiver(), new HandReceiver()] as const
  run.ssc.receiverStream<string>([one, other], { reliable: true }).foreachRDD(() => undefined)
  await run.ssc.start()
  await until(() => (one.context as unknown) !== undefined && (other.context as unknown) !== undefined)
  return { ...run, one, other }
}

test('E14: a store that is under way does not move the position, and one that is done does', async () => {
  const { ssc, one, other } = await startedOn(() => false)
  const stored = one.context.storeAll(['a'], { position: { p: 5n } })
  expect(other.context.position).toEqual({})
  await stored
  expect(other.context.position).toEqual({ p: 5n })
  await ssc.stop({ graceful: false })
})

test('E14: what failed on its way into the log is not safe, neither for the receiver that stored it nor for another one', async () => {
  let isFull = false
  const { ssc, one, other, end } = await startedOn(() => isFull)
  const ended = end()
  await one.context.storeAll(['a'], { position: { p: 5n } })
  isFull = true
  await expect(one.context.storeAll(['b'], { position: { p: 6n } })).rejects.toMatchObject({
    code: 'FILE_SYSTEM_FAILED',
  })
  for (const { context } of [one, other]) {
    expect(context.position).toEqual({ p: 5n })
    // It has come again, as far as the stream knows, and is not in the log for that.
    await expect(context.storeAll(['b'], { position: { p: 6n } })).rejects.toMatchObject({ code: 'FILE_SYSTEM_FAILED' })
  }
  await ssc.stop({ graceful: false }).catch(() => undefined)
  await ended
})

test('E14: a position without records moves when what was stored before it is safe', async () => {
  const { ssc, one } = await startedOn(() => false)
  const stored = one.context.storeAll(['a'], { position: { p: 5n } })
  await one.context.storeAll([], { position: { p: 7n } })
  expect(one.context.position).toEqual({})
  await stored
  await until(() => one.context.position['p'] === 7n)
  await ssc.stop({ graceful: false })
})
