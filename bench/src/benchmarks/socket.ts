/**
 * Lines from a socket, counted batch by batch, against a raw socket and a loop that splits: one that lets go of each line at
 * once, and one that holds them until their half second has ended, as a batch has to. What lies between the two is the garbage
 * collector's work on lines that live that long. Connections stand from run to run, as those of a stream do; in `socket, new`
 * each run has a context and a connection of its own.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { milliseconds, StreamingContext } from '@sluice/core'
import { socketTextStream } from '@sluice/source-socket'
import type { Benchmark } from '../benchmark.js'
import { measure, type Contest } from '../measure.js'
import { wholeChunks } from './socket-sender.js'

const LINES = 5_000_000
const AIM = 0.8
const INTERVAL_MS = 500

export const socket: Benchmark = {
  name: 'socket',
  about: '5 M lines from another process through socketTextStream, counted, against net and split',
  run: async (sizes) => {
    const count = wholeChunks(sizes.count(LINES))
    const sides: Side[] = []
    const opened = async (reader: Reader): Promise<() => Promise<number>> => {
      const side = await openSide(count, reader)
      sides.push(side)
      return side.count
    }
    const sender = startSender(count, 'once')
    const contest = (name: string, ours: Contest['ours'], reference: Contest['reference']): Contest => {
      return { name, aim: AIM, noun: 'lines', count, ours, reference }
    }
    try {
      const port = await portOf(sender)
      const [ours, raw, held] = [await opened(readBatches), await opened(readRaw), await opened(readHeld)]
      const contests = [
        contest('socket', ours, raw),
        contest('socket, held', ours, held),
        contest(
          'socket, new',
          () => countToEnd(readBatches, port),
          () => countToEnd(readRaw, port),
        ),
      ]
      return await measure(contests, sizes.repeats({ warmUp: 4, rounds: 9 }))
    } finally {
      for (const { close } of sides) await close()
      sender.kill()
    }
  },
}

/** Reads lines and says how many came. Resolves when it is set up, with what resolves when the stream has ended and with its stop. */
type Reader = (port: number, onLines: (count: number) => void) => Promise<Reading>

interface Reading {
  readonly ended: Promise<unknown>
  stop(): Promise<void>
}

/** One contestant with its standing connection, and the process at the other end. */
interface Side {
  /** Has the lines sent and resolves when they are counted. */
  readonly count: () => Promise<number>
  readonly close: () => Promise<void>
}

async function openSide(lines: number, reader: Reader): Promise<Side> {
  const sender = startSender(lines, 'standing')
  let counted = 0
  let onAll: () => void = () => undefined
  const reading = await reader(await portOf(sender), (count) => {
    counted += count
    if (counted >= lines) onAll()
  })
  const count = async (): Promise<number> => {
    counted = 0
    const all = new Promise<void>((resolve) => (onAll = resolve))
    sender.send('more')
    await all
    return counted
  }
  const close = async (): Promise<void> => {
    await reading.stop()
    sender.kill()
  }
  return { count, close }
}

async function countToEnd(reader: Reader, port: number): Promise<number> {
  let lines = 0
  const { ended, stop } = await reader(port, (count) => (lines += count))
  await ended
  await stop()
  return lines
}

function startSender(lines: number, kind: 'once' | 'standing'): ChildProcess {
  return fork(fileURLToPath(new URL('./socket-sender.js', import.meta.url)), [String(lines), kind])
}

async function portOf(sender: ChildProcess): Promise<number> {
  const [port] = (await once(sender, 'message')) as [number]
  return port
}

const readBatches: Reader = async (port, onLines) => {
  const ssc = new StreamingContext({ batchInterval: milliseconds(INTERVAL_MS), log: 'error', signals: false })
  socketTextStream(ssc, { host: '127.0.0.1', port, onEnd: 'stop' }).foreachRDD(async (rdd) => {
    onLines(await rdd.count())
  })
  const ended = new Promise<void>((resolve) => {
    ssc.addListener({ onReceiverStopped: () => void resolve() })
  })
  await ssc.start()
  return { ended, stop: () => ssc.stop() }
}

function readSplit(port: number, onLines: (lines: readonly string[]) => void): Reading {
  const stream = connect({ host: '127.0.0.1', port })
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text) => {
    const lines = (rest + String(text)).split('\n')
    rest = lines.pop() ?? ''
    onLines(lines)
  })
  const stop = async (): Promise<void> => {
    stream.destroy()
    await Promise.resolve()
  }
  return { ended: once(stream, 'close'), stop }
}

function counted(lines: readonly string[]): number {
  let count = 0
  for (const line of lines) if (line !== '') count++
  return count
}

const readRaw: Reader = (port, onLines) => {
  const reading = readSplit(port, (lines) => {
    onLines(counted(lines))
  })
  return Promise.resolve(reading)
}

const readHeld: Reader = (port, onLines) => {
  let held: string[] = []
  const timer = setInterval(() => {
    const lines = held
    held = []
    onLines(counted(lines))
  }, INTERVAL_MS)
  const { ended, stop } = readSplit(port, (lines) => {
    for (const line of lines) held.push(line)
  })
  const stopBoth = (): Promise<void> => {
    clearInterval(timer)
    return stop()
  }
  return Promise.resolve({ ended, stop: stopBoth })
}
