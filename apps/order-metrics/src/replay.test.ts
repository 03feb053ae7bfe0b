import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startReplay, type Replay, type ReplayOptions } from './replay.js'

let folder: string
let replay: Replay | undefined
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'replay-'))
})
afterEach(async () => {
  await replay?.close()
  await rm(folder, { recursive: true })
})

async function start(contents: readonly (string | Buffer)[], options: Partial<ReplayOptions> = {}): Promise<Replay> {
  const files = contents.map((_, i) => join(folder, `${String(i)}.csv`))
  await Promise.all(files.map((file, i) => writeFile(file, contents[i]!)))
  replay = await startReplay({ files, speed: 'max', loop: false, ...options })
  return replay
}

/** Connects, and asks for what comes after a line. */
function reader({ host, port }: Replay, last = 0): Socket {
  const socket = connect({ host, port })
  socket.write(`RESUME ${String(last)}\n`)
  return socket
}

/** All lines, without their numbers and the mark of the end, which must be right. */
async function readAll(replay: Replay, last = 0): Promise<string> {
  return linesOf((await buffer(reader(replay, last))).toString(), last)
}

function linesOf(text: string, last = 0): string {
  const lines = text.split('\n')
  expect(lines.splice(-2)).toEqual(['END', ''])
  return lines
    .map((line, i) => {
      const prefix = `${String(last + i + 1)}\t`
      if (!line.startsWith(prefix)) throw new Error(`'${line}' should begin with ${prefix}`)
      return `${line.slice(prefix.length)}\n`
    })
    .join('')
}

describe('startReplay', () => {
  it('plays the files one after the other and closes', async () => {
    const played = await start(['a\nb\n', 'c\n'])
    expect(await readAll(played)).toBe('a\nb\nc\n')
    expect(await played.finished).toBe(true)
  })

  it("leaves out a file's first line that names the columns, and no other", async () => {
    const header = 'InvoiceNo,StockCode\n'
    expect(await readAll(await start([`${header}a\n${header}`, `\uFEFF${header}b\n`, header, 'InvoiceNo\n']))).toBe(
      `a\n${header}b\nInvoiceNo\n`,
    )
  })

  it('adds the line end that a last line lacks, keeps blank lines and line ends as they are', async () => {
    expect(await readAll(await start(['a\r\n\r\n\nb', '', 'c']))).toBe('a\r\n\r\n\nb\nc\n')
  })

  it('leaves out a byte order mark', async () => {
    expect(await readAll(await start(['\uFEFFa\n']))).toBe('a\n')
  })

  it('plays files larger than what is read at once, byte for byte', async () => {
    const text = Array.from({ length: 50_000 }, (_, i) => `${String(i)} é\u2028 ${'x'.repeat(i % 40)}\n`).join('')
    expect(await readAll(await start([text]))).toBe(text)
  })

  it('sends at the asked speed', async () => {
    const began = performance.now()
    await readAll(await start(['x\n'.repeat(50)], { speed: 100 }))
    expect(performance.now() - began).toBeGreaterThan(480)
  })

  it('waits for a reader that does not read', async () => {
    const played = await start([
      'x'.repeat(99),
      ...Array.from({ length: 20 }, () => `${'y'.repeat(999)}\n`.repeat(1_000)),
    ])
    const paused = reader(played).pause()
    const first = await Promise.race([played.finished, new Promise((resolve) => setTimeout(resolve, 300, 'waits'))])
    expect(first).toBe('waits')
    expect(linesOf((await buffer(paused)).toString())).toHaveLength(100 + 20_000_000)
    expect(await played.finished).toBe(true)
  })

  it('begins again with loop, until the reader leaves', async () => {
    const played = await start(['a\n'.repeat(10_000), 'b\n'], { loop: true })
    let text = ''
    for await (const part of reader(played) as AsyncIterable<Buffer>) {
      text += part.toString()
      if (text.length > 400_000) break
    }
    const lines = text.split('\n').slice(0, -1)
    expect(lines.length).toBeGreaterThan(40_004)
    const expected = lines.map((_, i) => `${String(i + 1)}\t${i % 10_001 === 10_000 ? 'b' : 'a'}`)
    expect(lines).toEqual(expected)
    expect(await played.finished).toBe(false)
  })

  it('ends with loop when there is not a single line', async () => {
    expect(await readAll(await start([''], { loop: true }))).toBe('')
  })

  it('goes on after the line that its reader has', async () => {
    expect(await readAll(await start(['a\nb\nc\n', 'd\n']), 2)).toBe('c\nd\n')
    expect(await readAll(await start(['a\n']), 1)).toBe('')
  })

  it('goes on after any round with loop', async () => {
    const socket = reader(await start(['a\nb\n'], { loop: true }), 1_001)
    for await (const part of socket as AsyncIterable<Buffer>) {
      expect(part.toString()).toMatch(/^1002\tb\n1003\ta\n/)
      break
    }
  })

  it('fails when its reader asks for nothing that it knows', async () => {
    const played = await start(['a\n'])
    connect({ host: played.host, port: played.port })
      .on('error', () => undefined)
      .write('GET / HTTP/1.1\n')
    await expect(played.finished).rejects.toThrow(/sent 'GET/)
  })

  it('fails when a file cannot be read', async () => {
    replay = await startReplay({ files: [join(folder, 'missing.csv')], speed: 'max', loop: false })
    await readAll(replay).catch(() => undefined)
    await expect(replay.finished).rejects.toThrow('ENOENT')
  })

  it('can be closed before anybody came, and more than once', async () => {
    const played = await start(['a\n'])
    await played.close()
    await played.close()
    expect(await played.finished).toBe(false)
  })
})
