/**
 * Lines from a socket, counted batch by batch, against a raw socket and a loop that splits: one that lets go of each line at
 * once, and one that holds them until their half second has ended, as a batch has to. What lies between the two is the garbage
 * collector's work on lines that live that long.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { milliseconds, StreamingContext } from '@sluice/core'
import { socketTextStream } from '@sluice/source-socket'
import type { Benchmark } from '../benchmark.js'
import { measure } from '../measure.js'
import { wholeChunks } from './socket-sender.js'

const LINES = 5_000_000
const AIM = 0.8
const INTERVAL_MS = 500

export const socket: Benchmark = {
  name: 'socket',
  about: '5 M lines from another process through socketTextStream, counted, against net and split',
  run: async (sizes) => {
    const count = wholeChunks(sizes.count(LINES))
    const sender = fork(fileURLToPath(new URL('./socket-sender.js', import.meta.url)), [String(count)])
    try {
      const port = await portOf(sender)
      return await measure(
        [
          {
            name: 'socket',
            aim: AIM,
            noun: 'lines',
            count,
            ours: () => countBatches(port),
            reference: () => countRaw(port),
          },
          {
            name: 'socket, held',
            aim: AIM,
            noun: 'lines',
            count,
            ours: () => countBatches(port),
            reference: () => countHeld(port),
          },
        ],
        sizes.repeats({ warmUp: 1, rounds: 7 }),
      )
    } finally {
      sender.kill()
    }
  },
}

async function portOf(sender: ChildProcess): Promise<number> {
  const [port] = (await once(sender, 'message')) as [number]
  return port
}

async function countBatches(port: number): Promise<number> {
  const ssc = new StreamingContext({ batchInterval: milliseconds(INTERVAL_MS), log: 'error', signals: false })
  let lines = 0
  socketTextStream(ssc, { host: '127.0.0.1', port, onEnd: 'stop' }).foreachRDD(async (rdd) => {
    lines += await rdd.count()
  })
  const ended = new Promise<void>((resolve) => {
    ssc.addListener({ onReceiverStopped: () => void resolve() })
  })
  await ssc.start()
  await ended
  await ssc.stop()
  return lines
}

async function readLines(port: number, onLines: (lines: readonly string[]) => void): Promise<void> {
  const stream = connect({ host: '127.0.0.1', port })
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text) => {
    const lines = (rest + String(text)).split('\n')
    rest = lines.pop() ?? ''
    onLines(lines)
  })
  await once(stream, 'close')
}

async function countRaw(port: number): Promise<number> {
  let count = 0
  await readLines(port, (lines) => {
    for (const line of lines) if (line !== '') count++
  })
  return count
}

async function countHeld(port: number): Promise<number> {
  let held: string[] = []
  let count = 0
  const endBatch = (): void => {
    for (const line of held) if (line !== '') count++
    held = []
  }
  const timer = setInterval(endBatch, INTERVAL_MS)
  await readLines(port, (lines) => {
    for (const line of lines) held.push(line)
  })
  clearInterval(timer)
  endBatch()
  return count
}
