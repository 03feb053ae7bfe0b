/**
 * Plays files to whoever connects, as the shop's tills would have sent them: lines over a TCP socket, numbered, and from
 * where the reader asks for (see `sequencedLineDecoder` of source-socket).
 *
 * It needs no thread of its own: alone it sends about fifteen times as many lines a second as the job takes, so it costs
 * the job little, and the engine lets timers and sockets run every few milliseconds, so it keeps its pace.
 */
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { isHeader } from './orders.js'

/** Lines a second, or as fast as the reader takes them. */
export type ReplaySpeed = number | 'max'

export interface ReplayOptions {
  /** Played one after the other. A first line that names the columns is left out. */
  readonly files: readonly string[]
  readonly speed: ReplaySpeed
  /** Begins again at the end, for ever. */
  readonly loop: boolean
}

export interface Replay {
  readonly host: string
  readonly port: number
  /**
   * Resolves when the replay is over: with true when the last line is sent, with false when the reader left before.
   * Rejects when a file cannot be read.
   */
  readonly finished: Promise<boolean>
  close(): Promise<void>
}

const HOST = '127.0.0.1'

/** Starts a server that plays the files to its first reader, once; what is sent waits for the reader to take it. */
export async function startReplay(options: ReplayOptions): Promise<Replay> {
  const server = createServer({ noDelay: true })
  const stopping = new AbortController()
  const finished = playToFirstReader(server, options, stopping.signal)
  finished.catch(() => undefined) // whoever awaits it hears of it; until then it is no unhandled rejection
  server.listen(0, HOST)
  await once(server, 'listening')
  return {
    host: HOST,
    port: (server.address() as AddressInfo).port,
    finished,
    close: async () => {
      stopping.abort()
      await finished.catch(() => undefined)
    },
  }
}

async function playToFirstReader(server: Server, options: ReplayOptions, stopping: AbortSignal): Promise<boolean> {
  const readerGone = new AbortController()
  const signal = AbortSignal.any([stopping, readerGone.signal])
  let reader: Socket | undefined
  try {
    ;[reader] = (await once(server, 'connection', { signal })) as [Socket]
    for (const event of ['error', 'close']) reader.on(event, () => readerGone.abort())
    const last = await askedFor(reader, signal)
    for await (const chunk of paced(options, last, signal)) {
      signal.throwIfAborted()
      if (!reader.write(chunk)) await once(reader, 'drain', { signal })
    }
    reader.end('END\n')
    await once(reader, 'finish', { signal })
    return true
  } catch (error) {
    reader?.destroy()
    if (signal.aborted) return false
    throw error
  } finally {
    server.close()
  }
}

/** The number of the last line that the reader has. */
async function askedFor(reader: Socket, signal: AbortSignal): Promise<number> {
  let text = ''
  while (!text.includes('\n')) text += String((await once(reader, 'data', { signal })) as [Buffer])
  const [, last] = /^RESUME (\d+)\n/.exec(text) ?? []
  if (last === undefined)
    throw new Error(`the reader sent '${text.slice(0, 40).trim()}' in place of RESUME and a number`)
  return Number(last)
}

const CHUNK_BYTES = 64 * 1024
const SHORTEST_PAUSE_MS = 20

/** The lines after the `last` one in chunks, each when it is due. After a wait for the reader it catches up. */
async function* paced(options: ReplayOptions, last: number, signal: AbortSignal): AsyncGenerator<Buffer> {
  const msPerLine = options.speed === 'max' ? 0 : 1_000 / options.speed
  const start = performance.now()
  let number = 0
  let sent = 0
  let chunk: Buffer[] = []
  let sizeBytes = 0
  for await (const lines of linesOf(options)) {
    for (const line of lines) {
      if (++number <= last) continue
      const waitMs = msPerLine === 0 ? 0 : start + sent * msPerLine - performance.now()
      if (chunk.length > 0 && (waitMs > 0 || sizeBytes >= CHUNK_BYTES)) {
        yield Buffer.concat(chunk)
        chunk = []
        sizeBytes = 0
      }
      if (waitMs > 0) await sleep(Math.max(waitMs, SHORTEST_PAUSE_MS), undefined, { signal })
      const prefix = Buffer.from(`${String(number)}\t`)
      chunk.push(prefix, line)
      sizeBytes += prefix.length + line.length
      sent++
    }
  }
  yield Buffer.concat(chunk)
}

/** Lines with their ends, as many at a time as were read. */
export async function* linesOf({ files, loop }: Pick<ReplayOptions, 'files' | 'loop'>): AsyncGenerator<Buffer[]> {
  let hasLines: boolean
  do {
    hasLines = false
    for (const file of files) {
      for await (const lines of fileLines(file)) {
        hasLines = true
        yield lines
      }
    }
  } while (loop && hasLines)
}

const BYTE_ORDER_MARK = Buffer.from('\uFEFF')

/** The lines of a file as they stand there, each with its line end, without a header; as many at a time as were read. */
async function* fileLines(file: string): AsyncGenerator<Buffer[]> {
  let isFirst = true
  for await (const lines of rawLines(file)) {
    const [first] = lines
    if (isFirst && first !== undefined) {
      const hasMark = first.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK)
      const unmarked = hasMark ? first.subarray(BYTE_ORDER_MARK.length) : first
      lines.splice(0, 1, ...(isHeader(unmarked.toString()) ? [] : [unmarked]))
      isFirst = false
    }
    if (lines.length > 0) yield lines
  }
}

const LINE_FEED = 0x0a

async function* rawLines(file: string): AsyncGenerator<Buffer[]> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const part of createReadStream(file) as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? part : Buffer.concat([rest, part])
    const lines: Buffer[] = []
    let from = 0
    for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, from)) {
      lines.push(bytes.subarray(from, end + 1))
      from = end + 1
    }
    rest = bytes.subarray(from)
    yield lines
  }
  if (rest.length > 0) yield [Buffer.concat([rest, Buffer.of(LINE_FEED)])]
}
