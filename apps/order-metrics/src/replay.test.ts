import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
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

async function readAll({ host, port }: Replay): Promise<string> {
  return (await buffer(connect({ host, port }))).toString()
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
    const reader = connect({ host: played.host, port: played.port }).pause()
    const first = await Promise.race([played.finished, new Promise((resolve) => setTimeout(resolve, 300, 'waits'))])
    expect(first).toBe('waits')
    expect((await buffer(reader)).length).toBe(100 + 20_000_000)
    expect(await played.finished).toBe(true)
  })

  it('begins again with loop, until the reader leaves', async () => {
    const played = await start(['a\n'.repeat(10_000), 'b\n'], { loop: true })
    const reader = connect({ host: played.host, port: played.port })
    let text = ''
    for await (const part of reader as AsyncIterable<Buffer>) {
      text += part.toString()
      if (text.length > 100_000) break
    }
    expect(text).toMatch(/^((a\n){10000}b\n){4}[ab\n]*$/)
    expect(await played.finished).toBe(false)
  })

  it('ends with loop when there is not a single line', async () => {
    expect(await readAll(await start([''], { loop: true }))).toBe('')
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
