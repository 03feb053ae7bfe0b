/**
 * A contestant of `socket`, a program of its own, with its sender in another one. Arguments: the reader; the number of lines; `standing`
 * for a connection that stands from run to run, `new` for one of each run.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { milliseconds, StreamingContext, type Rdd } from '@sluice/core'
import { socketTextStream } from '@sluice/source-socket'
import { serveContestant, type Running } from '../contestant.js'

const INTERVAL_MS = 500

/** Reads lines and says how many came. Resolves when it is set up, with what resolves when the stream has ended and with its stop. */
type Reader = (port: number, onLines: (count: number) => void) => Promise<Reading>

interface Reading {
  readonly ended: Promise<unknown>
  stop(): Promise<void>
}

const readLines: Reader = (port, onLines) => readStream(port, onLines, (rdd) => rdd.filter(isFull).count())

const readCounts: Reader = (port, onLines) => readStream(port, onLines, (rdd) => rdd.count())

const isFull = (line: string): boolean => line !== ''

async function readStream(
  port: number,
  onLines: (count: number) => void,
  count: (rdd: Rdd<string>) => Promise<number>,
): Promise<Reading> {
  const ssc = new StreamingContext({ batchInterval: milliseconds(INTERVAL_MS), log: 'error', signals: false })
  socketTextStream(ssc, { host: '127.0.0.1', port, onEnd: 'stop' }).foreachRDD(async (rdd) => {
    onLines(await count(rdd))
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
  for (const line of lines) if (isFull(line)) count++
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

const readers: Readonly<Record<string, Reader>> = {
  lines: readLines,
  count: readCounts,
  raw: readRaw,
  held: readHeld,
}

async function openStanding(reader: Reader, lines: number): Promise<Running> {
  const sender = startSender(lines, 'standing')
  let counted = 0
  let onAll: () => void = () => undefined
  const reading = await reader(await portOf(sender), (count) => {
    counted += count
    if (counted >= lines) onAll()
  })
  const run = async (): Promise<number> => {
    counted = 0
    const all = new Promise<void>((resolve) => (onAll = resolve))
    sender.send('more')
    await all
    return counted
  }
  const stop = async (): Promise<void> => {
    await reading.stop()
    sender.kill()
  }
  return { run, stop }
}

async function openNew(reader: Reader, lines: number): Promise<Running> {
  const sender = startSender(lines, 'once')
  const port = await portOf(sender)
  const run = async (): Promise<number> => {
    let counted = 0
    const { ended, stop } = await reader(port, (count) => (counted += count))
    await ended
    await stop()
    return counted
  }
  return { run, stop: () => sender.kill() }
}

function startSender(lines: number, kind: 'once' | 'standing'): ChildProcess {
  return fork(fileURLToPath(new URL('./socket-sender.js', import.meta.url)), [String(lines), kind])
}

async function portOf(sender: ChildProcess): Promise<number> {
  const [port] = (await once(sender, 'message')) as [number]
  return port
}

await serveContestant(([name = '', lines, kind]) => {
  const reader = readers[name]
  if (reader === undefined) throw new Error(`there is no reader '${name}'`)
  return kind === 'new' ? openNew(reader, Number(lines)) : openStanding(reader, Number(lines))
})
