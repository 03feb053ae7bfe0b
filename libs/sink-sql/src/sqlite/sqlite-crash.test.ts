/** Processes that are killed, paused, or there twice. They run the built package: `tsc -b` comes first. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { isSluiceError, ownProcess, systemClock, type Sink } from '@sluice/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readSqlite } from './read-sqlite.js'
import { loadDriver, type SqliteDriverName } from './sqlite-driver.js'
import { sqliteSink } from './sqlite-sink.js'

const names: readonly SqliteDriverName[] = ['node:sqlite', 'better-sqlite3', 'node-sqlite3-wasm']
const there = await Promise.all(names.map((name) => loadDriver(name).catch(() => undefined)))
const drivers = there.filter((driver) => driver !== undefined).map(({ name }) => name)

const PACKAGE = fileURLToPath(new URL('../../', import.meta.url))
const ROWS = 3_000
/** Of a whole batch. */
const ANSWERS = 1 + ROWS / 100
const columns = { id: 'integer', batch: 'integer' } as const

/** Writes batch after batch, from the one given on, and says when each begins and ends. Stepwise, each batch and one row in a hundred wait for an answer. */
const WRITER = `
import { systemClock } from '@sluice/core'
import { sqliteSink } from '@sluice/sink-sql/sqlite'
import { readSync } from 'node:fs'
const [file, driver, epoch, from, rows, stepwise] = process.argv.slice(1)
const say = (text) => process.stdout.write(text + '\\n')
const quiet = () => undefined
const sink = sqliteSink({ file, driver, table: 'rows', mode: 'custom', columns: { id: 'integer', batch: 'integer' },
  apply: (db, records) => {
    db.run('PRAGMA cache_size = 5')
    for (const [at, { id, batch }] of records.entries()) {
      db.run('INSERT INTO rows VALUES (?, ?)', [id, batch])
      if (stepwise === 'stepwise' && at % 100 === 0) { say('row ' + batch + ' ' + at); readSync(0, Buffer.alloc(1)) }
    }
  } })
const signal = new AbortController().signal
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }
try {
  await sink.open({ app: 'app', output: 'to-0', epoch: Number(epoch), lastPlanned: 1e12, logger, clock: systemClock, signal })
  say('open')
  for (let batch = Number(from); ; batch++) {
    const chunk = Array.from({ length: Number(rows) }, (_, i) => ({ id: batch * Number(rows) + i, batch }))
    const id = { app: 'app', output: 'to-0', batchTime: batch, partition: 0, partitions: 1, planDigest: 'p', epoch: Number(epoch), attempt: 0 }
    say('begin ' + batch)
    if (stepwise === 'stepwise') readSync(0, Buffer.alloc(1))
    await sink.writePartition(id, (async function* () { yield chunk })(), { signal, reject: quiet, settleRejects: async () => undefined })
    say('end ' + batch)
  }
} catch (error) { say('error ' + error.code + ' ' + error.message) }
`

class Writer {
  readonly child: ChildProcess
  readonly lines: string[] = []
  readonly #waiting: { text: string; resolve: () => void }[] = []
  readonly ended: Promise<unknown>

  constructor(file: string, driver: string, { epoch = 1, from = 1, stepwise = false } = {}) {
    const args = [file, driver, String(epoch), String(from), String(ROWS), stepwise ? 'stepwise' : 'fast']
    this.child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '--eval', WRITER, ...args], {
      cwd: PACKAGE,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.ended = once(this.child, 'exit')
    this.child.stdin?.on('error', () => undefined)
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.lines.push(line)
      for (const { text, resolve } of this.#waiting) if (line.startsWith(text)) resolve()
    })
  }

  says(text: string): Promise<void> {
    if (this.lines.some((line) => line.startsWith(text))) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ text, resolve }))
  }

  goOn(answers: number): void {
    this.child.stdin?.write('.'.repeat(answers))
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }
}

let folder: string
let file: string
let writers: Writer[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-sqlite-'))
  file = join(folder, 'rows.db')
  writers = []
})
afterEach(async () => {
  for (const writer of writers) await writer.kill()
  await rm(folder, { recursive: true })
})

function start(...args: ConstructorParameters<typeof Writer>): Writer {
  const writer = new Writer(...args)
  writers.push(writer)
  return writer
}

const quiet = (): void => undefined
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }
const open = (sink: Sink<never>, epoch: number): Promise<void> =>
  sink.open?.({
    ...{ app: 'app', output: 'to-0', epoch, lastPlanned: 1e12, logger, clock: systemClock },
    signal: new AbortController().signal,
  }) ?? Promise.resolve()

describe.each(drivers)('by %s', (driver) => {
  const make = (): Sink<never> =>
    sqliteSink<never>({ file, driver, table: 'rows', mode: 'insert', columns, busyTimeoutMs: 60_000 })

  async function batchSizes(): Promise<Record<string, number>> {
    const rows = await readSqlite({ file, driver }, (db) =>
      db.all('SELECT batch, count(*) AS n, count(DISTINCT id) AS ids FROM rows GROUP BY batch'),
    )
    for (const { n, ids } of rows) expect(ids).toBe(n)
    return Object.fromEntries(rows.map(({ batch, n }) => [String(batch), Number(n)]))
  }

  test('E1, E21: a process killed in the middle of a transaction leaves nothing of it, and the batch run again is there once', async () => {
    const first = start(file, driver, { stepwise: true })
    first.goOn(ANSWERS)
    await first.says('end 1')
    first.goOn(21)
    // More rows than the cache takes: some have gone to the disk.
    await first.says('row 2 2000')
    await first.kill()
    const second = start(file, driver, { epoch: 2, from: 2 })
    await second.says('end 2')
    await second.kill()
    const { '1': one, '2': two } = await afterRecovery(3)
    expect([one, two]).toEqual([ROWS, ROWS])
  }, 120_000)

  test('E1, E21: a process killed again and again at any moment leaves whole batches, and each once', async () => {
    let from = 1
    for (let epoch = 1; epoch <= 8; epoch++) {
      const writer = start(file, driver, { epoch, from })
      await writer.says(`begin ${String(from + 1)}`)
      // Somewhere in the transaction, another place each time.
      for (let turn = 0; turn < epoch * 5; turn++) await new Promise((resolve) => setImmediate(resolve))
      await writer.kill()
      from += 1
    }
    const sizes = await afterRecovery(9)
    for (let batch = 1; batch <= 8; batch++) expect(sizes[batch]).toBe(ROWS)
    expect(Object.values(sizes).every((size) => size === ROWS)).toBe(true)
  }, 240_000)

  /** A new owner opens the file, and closes it in order. */
  async function afterRecovery(epoch: number): Promise<Record<string, number>> {
    const sink = make()
    await open(sink, epoch)
    await sink.close?.()
    return batchSizes()
  }

  test('E8: while one process writes, another one of a lower epoch cannot, and of a higher epoch only in order', async () => {
    const writer = start(file, driver)
    await writer.says('end 1')
    const sink = make()
    if (driver === 'node-sqlite3-wasm') {
      await expect(open(sink, 2)).rejects.toThrow(/process \d+ of .* writes to .*rows\.db by node-sqlite3-wasm/)
      await writer.kill()
      await open(sink, 2)
    } else {
      await open(sink, 2)
      await writer.says('error FENCED')
      await writer.ended
    }
    await sink.close?.()
    expect(Object.values(await batchSizes()).every((size) => size === ROWS)).toBe(true)
  }, 120_000)

  test('E8: a process that was paused in a transaction and wakes after a new owner has come writes nothing more', async () => {
    const writer = start(file, driver, { stepwise: true })
    writer.goOn(ANSWERS + 1)
    await writer.says('row 2 0')
    writer.child.kill('SIGSTOP')
    const sink = make()
    const opening = open(sink, 2).then(
      () => 'opened',
      (error: unknown) => isSluiceError(error) && error.code,
    )
    if (driver === 'node-sqlite3-wasm') {
      // It may wake at any time: refused, and its lock is left alone.
      expect(await opening).toBe('CONNECTION_FAILED')
      writer.child.kill('SIGCONT')
      writer.goOn(ANSWERS - 1)
      await writer.says('end 2')
    } else {
      writer.child.kill('SIGCONT')
      writer.goOn(ANSWERS - 1)
      expect(await opening).toBe('opened')
      writer.goOn(1)
      await writer.says('error FENCED')
    }
    await writer.kill()
    await sink.close?.()
    expect(Object.values(await afterRecovery(3)).every((size) => size === ROWS)).toBe(true)
  }, 120_000)

  test('a reader sees whole batches while they are written', async () => {
    const writer = start(file, driver)
    await writer.says('end 1')
    for (let read = 0; read < 10; read++) {
      const sizes = Object.values(await batchSizes())
      expect(sizes.every((size) => size === ROWS)).toBe(true)
      expect(sizes.length).toBeGreaterThan(0)
    }
    await writer.kill()
  }, 120_000)
})

describe.runIf(drivers.includes('node-sqlite3-wasm'))("E8: the folder that is node-sqlite3-wasm's lock", () => {
  const driver = 'node-sqlite3-wasm'
  const make = (): Sink<never> =>
    sqliteSink<never>({ file, driver, table: 'rows', mode: 'insert', columns, busyTimeoutMs: 20 })
  const holder = (more: object): Promise<void> =>
    writeFile(`${file}.holder.3`, JSON.stringify({ ...ownProcess(), ...more }))

  test('is removed when its recorded holder is proven dead, and the record replaced', async () => {
    await mkdir(`${file}.lock`)
    await holder({ startTime: '1' })
    const sink = make()
    await open(sink, 1)
    expect((await readdir(folder)).sort()).toEqual(['rows.db', 'rows.db.holder.4'])
    await sink.close?.()
    expect(await readdir(folder)).toEqual(['rows.db'])
  })

  test.each([
    ['lives', {}],
    ['was on another host', { host: 'elsewhere', startTime: '1' }],
    ['was before the last start of the machine', { bootId: 'earlier', startTime: '1' }],
    ['is in another container', { pidNamespace: 'pid:[1]', startTime: '1' }],
  ])('stays where its recorded holder %s', async (_what, more) => {
    await mkdir(`${file}.lock`)
    await holder(more)
    await expect(open(make(), 1)).rejects.toThrow(/which only one process may/)
    expect((await readdir(folder)).sort()).toEqual(['rows.db.holder.3', 'rows.db.lock'])
  })

  test('stays where nobody is recorded, and the error says what to do', async () => {
    await mkdir(`${file}.lock`)
    await expect(open(make(), 1)).rejects.toThrow(/if nothing else uses it.*remove that folder/)
    expect(await readdir(folder)).toContain('rows.db.lock')
  })

  test('of two successors of a dead one, one opens the file', async () => {
    await holder({ startTime: '1' })
    const writers = [start(file, driver), start(file, driver, { epoch: 2 })]
    await Promise.all(writers.map((writer) => Promise.race([writer.says('open'), writer.says('error')])))
    expect(writers.map(({ lines }) => lines[0]?.split(' ')[0]).sort()).toEqual(['error', 'open'])
  }, 60_000)

  test('other files of other drivers are not touched: one in use, and one with a journal to be rolled back', async () => {
    for (const suffix of ['-shm', '-journal']) {
      await writeFile(file, '')
      await writeFile(file + suffix, 'x')
      await expect(open(make(), 1)).rejects.toThrow(/by (that|another SQLite) driver/)
      await rm(file + suffix)
    }
    expect(await readdir(folder)).toEqual(['rows.db'])
  })
})
