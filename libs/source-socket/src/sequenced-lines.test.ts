import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { milliseconds, StreamingContext, type SourcePosition } from '@sluice/core'
import { ManualClock } from '@sluice/core/testing'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sequencedLineDecoder, socketTextStream, type ResumingDecoder } from './index.js'

const { resuming } = sequencedLineDecoder()
if (resuming === undefined) throw new Error('it cannot resume')
const { greeting, decoder } = resuming
const open = (position: SourcePosition = {}): ResumingDecoder<string> =>
  decoder({ clock: new ManualClock(), report: () => undefined }, position)
const numbered = (texts: readonly string[], from = 1): string =>
  texts.map((text, i) => `${String(from + i)}\t${text}\n`).join('')
const write = (target: ResumingDecoder<string>, text: string): readonly string[] => target.write(Buffer.from(text))

describe('the decoder', () => {
  test('takes the number off, and keeps tabs, empty lines and line ends as lines have them', () => {
    const target = open()
    expect(write(target, '1\ta\tb\n2\t\r\n3\t4\tc\n')).toEqual(['a\tb', '', '4\tc'])
    expect(target.position).toEqual({ line: 3n })
    expect(target.failure).toBeUndefined()
  })

  test('asks for what comes after the last line that is safe', () => {
    expect(greeting({})).toBe('RESUME 0\n')
    expect(greeting({ line: 9_007_199_254_740_993n })).toBe('RESUME 9007199254740993\n')
  })

  test('E14: leaves out what is not above the position', () => {
    const target = open({ line: 2n })
    expect(write(target, numbered(['a', 'b', 'c', 'd']) + numbered(['c', 'd'], 3))).toEqual(['c', 'd'])
    expect(target.position).toEqual({ line: 4n })
  })

  test.each([
    ['a line that is missing', '1\ta\n3\tc\n', 'line 3 came after line 1'],
    ['a line without a number', '1\ta\nb\n', "'b' does not begin with a number"],
    ['a number without a tab', '1\ta\n2\n', "'2' does not begin with a number"],
    ['a negative number', '1\ta\n-2\tb\n', "'-2\tb' does not begin with a number"],
  ])('keeps what came before %s, and fails', (_, text, message) => {
    const target = open()
    expect(write(target, `${text}2\tlate\n`)).toEqual(['a'])
    expect(target.position).toEqual({ line: 1n })
    expect(target.failure).toMatchObject({
      code: 'DATA_CORRUPT',
      message: expect.stringContaining(message) as string,
    })
  })

  test('takes no half line at the end, and knows an end without a mark from one with it', () => {
    const broken = open()
    expect([...write(broken, '1\ta\n2\tb'), ...broken.end()]).toEqual(['a'])
    expect(broken).toMatchObject({ isComplete: false, position: { line: 1n } })
    const whole = open()
    expect([...write(whole, '1\ta\nEND\n'), ...whole.end()]).toEqual(['a'])
    expect(whole.isComplete).toBe(true)
  })

  test('E14: however the bytes are cut and the connection breaks, each line is there once', () => {
    const texts = fc.array(fc.string({ unit: fc.constantFrom('a', '€', '\t', '7', ' ') }), { maxLength: 20 })
    fc.assert(
      fc.property(texts, fc.array(fc.tuple(fc.nat(60), fc.nat(5)), { maxLength: 5 }), (lines, breaks) => {
        const got: string[] = []
        let position: SourcePosition = {}
        for (const [size, back] of [...breaks, [Infinity, 0] as const]) {
          // The server may begin earlier than it was asked to.
          const from = Math.max(0, Number(position['line'] ?? 0n) - back)
          const target = open(position)
          const bytes = Buffer.from(numbered(lines.slice(from), from + 1))
          for (let at = 0; at < Math.min(bytes.length, size); at += 7)
            got.push(...target.write(bytes.subarray(at, Math.min(at + 7, size))))
          expect(target.failure).toBeUndefined()
          target.drop?.()
          position = target.position
        }
        expect(got).toEqual(lines)
      }),
    )
  })
})

/** Sends numbered lines from where it is asked to, breaking each connection after some, and says what it was asked. */
async function lineServer(lines: readonly string[], perConnection: number): Promise<{ port: number; asked: number[] }> {
  const asked: number[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', (request) => {
      const from = Number(/^RESUME (\d+)\n$/.exec(request.toString())?.[1])
      asked.push(from)
      const end = from + perConnection
      socket.end(
        numbered(lines.slice(from, end), from + 1) + (end < lines.length ? `${String(end + 1)}\thalf` : 'END\n'),
      )
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { port: (server.address() as AddressInfo).port, asked }
}

test('E14: connections that break and applications that end take nothing away and double nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-sequenced-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const lines = Array.from({ length: 500 }, (_, i) => `line ${String(i)}`)
  const { port, asked } = await lineServer(lines, 60)
  const batches = new Map<number, readonly string[]>()
  /** Runs until so many lines are committed, then ends at once; or until the server has sent all. */
  const run = async (enough: number): Promise<void> => {
    const checkpoint = join(folder, 'checkpoint')
    const ssc = new StreamingContext({
      appName: 'lines',
      batchInterval: milliseconds(20),
      checkpoint,
      log: 'silent',
      signals: false,
    })
    const stream = socketTextStream(ssc, {
      host: '127.0.0.1',
      port,
      sequenced: true,
      reliable: true,
      onEnd: 'stop',
      reconnect: { minDelay: milliseconds(5) },
    })
    stream.foreachRDD(async (rdd, time) => void batches.set(time, await rdd.collect()))
    const counted = (): number => [...batches.values()].flat().length
    ssc.addListener({
      onBatchCompleted: () => {
        if (counted() >= enough) void ssc.stop({ graceful: false }).catch(() => undefined)
      },
      onReceiverStopped: () => void ssc.stop().catch(() => undefined),
    })
    await ssc.start()
    await ssc.awaitTermination().catch(() => undefined)
  }
  await run(100)
  await run(250)
  await run(Infinity)
  expect([...batches].sort(([a], [b]) => a - b).flatMap(([, batch]) => batch)).toEqual(lines)
  expect(asked.length).toBeGreaterThanOrEqual(9)
}, 60_000)
