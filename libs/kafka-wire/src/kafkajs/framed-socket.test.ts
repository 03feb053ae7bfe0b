import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, expect, it, vi } from 'vitest'
import { AnswerBuffers } from './answer-buffers.js'
import { Frames, framedSockets } from './framed-socket.js'

const KIB = 1024

/** An answer of so many bytes behind its size, each of them `fill`. */
function answer(length: number, fill: number): Buffer {
  const bytes = Buffer.alloc(4 + length, fill)
  bytes.writeInt32BE(length, 0)
  return bytes
}

/** Lets `bytes` come in, as many at a time as `sizes` say, and gives what is handed out. */
function cut(bytes: Buffer, sizes: readonly number[], buffers = new AnswerBuffers()): Buffer[] {
  const handedOut: Buffer[] = []
  const frames = new Frames(buffers, (frame) => {
    handedOut.push(Buffer.from(frame))
    // As one who has decoded it does.
    buffers.giveBack(frame.fill(0xaa))
  })
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const { room } = frames
    expect(room.length).toBeGreaterThan(0)
    const came = Math.min(room.length, sizes[i % sizes.length] as number, bytes.length - at)
    bytes.copy(room, 0, at, (at += came))
    expect(frames.came(came)).toBe(true)
  }
  return handedOut
}

it('hands out each answer as one piece, however it comes in', () => {
  const lengths = fc.array(fc.oneof(fc.nat(20), fc.nat(300 * KIB), fc.integer({ min: 65_520, max: 65_550 })), {
    maxLength: 12,
  })
  const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 60_000, max: 200_000 })), {
    minLength: 1,
    maxLength: 20,
  })
  fc.assert(
    fc.property(lengths, sizes, (all, parts) => {
      // Bytes one by one take their time where there are many.
      fc.pre(all.reduce((sum, length) => sum + length, 0) / Math.max(...parts) < 20_000)
      const answers = all.map((length, i) => answer(length, i + 1))
      const handedOut = cut(Buffer.concat(answers), parts)
      expect(handedOut).toHaveLength(answers.length)
      expect(handedOut.every((each, i) => each.equals(answers[i] as Buffer))).toBe(true)
    }),
    { numRuns: 200 },
  )
})

it('makes no new memory for large answers while those before are given back', () => {
  const buffers = new AnswerBuffers()
  const take = vi.spyOn(buffers, 'take')
  cut(Buffer.concat(Array.from({ length: 30 }, (_, i) => answer(500 * KIB, i))), [100_000], buffers)
  const memory = take.mock.results.map(({ value }) => (value as Buffer).buffer)
  expect(memory).toHaveLength(30)
  expect(new Set(memory).size).toBe(1)
})

it.each([
  ['a size below zero', Buffer.from([0xff, 0xff, 0xff, 0xf0, 1, 2, 3])],
  ['a size that no answer has', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
])('hands out %s as it comes, and all that follows', (_name, foreign) => {
  const first = answer(10, 1)
  const handedOut = cut(Buffer.concat([first, foreign, answer(3, 2)]), [5])
  expect(handedOut[0]).toEqual(first)
  expect(Buffer.concat(handedOut.slice(1))).toEqual(Buffer.concat([foreign, answer(3, 2)]))
})

const open: { close(): unknown }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})

/** A server that writes `answers` to whom connects, and ends the connection. */
async function serverOf(answers: readonly Buffer[]): Promise<number> {
  const server = createServer((socket) => {
    for (const each of answers) socket.write(each)
    socket.end()
  }).listen(0, '127.0.0.1')
  open.push(server)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

it('connects as kafkajs does: answers are its data, and the end is told', async () => {
  const answers = [answer(3, 1), answer(2_000_000, 2), answer(0, 3), answer(70_000, 4), answer(65_532, 5)]
  const port = await serverOf(answers)
  const onConnect = vi.fn()
  const options = { host: '127.0.0.1', port, onConnect } as unknown as Parameters<ReturnType<typeof framedSockets>>[0]
  const socket: Socket = framedSockets(new AnswerBuffers())(options)
  const came: Buffer[] = []
  socket.on('data', (data: Buffer) => came.push(data))
  await once(socket, 'end')
  socket.destroy()
  expect(onConnect).toHaveBeenCalledOnce()
  expect(came.map(({ length }) => length)).toEqual(answers.map(({ length }) => length))
  expect(came.every((each, i) => each.equals(answers[i] as Buffer))).toBe(true)
})
