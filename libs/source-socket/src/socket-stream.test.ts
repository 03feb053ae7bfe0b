import type { DStream, Receiver, StreamingContext } from '@sluice/core'
import { expect, expectTypeOf, test } from 'vitest'
import { socketStream, socketTextStream } from './index.js'
import type { ReceiverStreams } from './index.js'

function recordingContext(): { ssc: ReceiverStreams; calls: { receiver: Receiver<unknown>; options: unknown }[] } {
  const calls: { receiver: Receiver<unknown>; options: unknown }[] = []
  const receiverStream = <T>(receiver: Receiver<T>, options?: unknown): DStream<T> => {
    calls.push({ receiver, options })
    return {} as DStream<T>
  }
  return { ssc: { receiverStream }, calls }
}

test('a text stream is a receiver stream, and what concerns the stream is passed on', () => {
  const { ssc, calls } = recordingContext()
  const lines: DStream<string> = socketTextStream(ssc, {
    host: 'localhost',
    port: 9999,
    name: 'words',
    storageLevel: 'disk',
    maxHeldBytes: 1_000,
    maxRate: 500,
  })
  expect(lines).toBeDefined()
  expect(calls[0]?.receiver).toMatchObject({ '~sluice': 'receiver/1', name: 'socket localhost:9999' })
  expect(calls[0]?.options).toEqual({ name: 'words', storageLevel: 'disk', maxHeldBytes: 1_000, maxRate: 500 })
})

test('the decoder decides the type of the records', () => {
  const { ssc } = recordingContext()
  const decode = () => ({ write: (chunk: Buffer) => [chunk.length], end: () => [] })
  const sizes: DStream<number> = socketStream(ssc, { host: 'localhost', port: 9999, decode })
  expect(sizes).toBeDefined()
})

test('wrong options are refused at the call', () => {
  const { ssc, calls } = recordingContext()
  expect(() => socketTextStream(ssc, { host: 'localhost', port: 70_000 })).toThrow(/\[source-socket\] port must be/)
  expect(() => socketTextStream(ssc, { host: 'localhost', port: 9999, maxLineBytes: -1 })).toThrow(/maxLineBytes/)
  expect(calls).toEqual([])
})

test('a StreamingContext is what it takes', () => {
  expectTypeOf<StreamingContext>().toExtend<ReceiverStreams>()
})
