/** Files over restarts: each is read once, whenever the process dies. */
import { expect, test } from 'vitest'
import type { FileStreamOptions } from './file-source.js'
import type { FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { firstStart, Gate, harness, until, type Harness } from '../testing/harness.js'
import { LedgerStore } from '../testing/ledger-store.js'
import { mortalFileSystem } from '../testing/mortal-file-system.js'
import { seconds } from '../time/duration.js'
import { ManualClock } from '../time/manual-clock.js'

/** A folder of files whose times are those of the clock that runs. */
class Folder {
  /** Of the process that runs, and of the disk. */
  clock = new ManualClock(100_000)
  readonly disk: FileSystem
  readonly store = new LedgerStore()

  constructor() {
    const now = (): number => this.clock.now()
    const clock = new Proxy(this.clock, {
      get: (target, name) => (name === 'now' ? now : (Reflect.get(target, name) as unknown)),
    })
    this.disk = memoryFileSystem({ clock })
  }

  async write(...names: string[]): Promise<void> {
    for (const name of names) await this.disk.create(`in/${name}`, Buffer.from(`${name}\n`))
  }

  launch(options: FileStreamOptions = {}, disk: FileSystem = this.disk, downMs = 0): Harness {
    this.clock = new ManualClock(this.clock.now() + downMs)
    const app = harness({ localFileSystem: disk, checkpoint: 'ckpt', takeOver: true, clock: this.clock })
    app.ssc.textFileStream('in', options).to(this.store.sink('lines'))
    return app
  }

  get lines(): unknown[] {
    return (this.store.contents()['lines'] ?? []).map((row) => (row as unknown[])[2])
  }
}

async function folder(): Promise<Folder> {
  const made = new Folder()
  await made.disk.makeDirectory('in')
  return made
}

async function stop(app: Harness): Promise<void> {
  await app.ssc.stop({ graceful: false })
}

test('files of the down time are read once, and those before are not read again', async () => {
  const files = await folder()
  const first = files.launch()
  await first.ssc.start()
  await files.write('a')
  await first.batches(2)
  await stop(first)
  files.clock = new ManualClock(files.clock.now() + 5_000)
  await files.write('b', 'c')
  for (let restart = 0; restart < 3; restart++) {
    const next = files.launch({}, files.disk, 1_000)
    await next.ssc.start()
    await next.batches(1)
    await stop(next)
  }
  expect(files.lines).toEqual(['a', 'b', 'c'])
})

test('files that were there before the very first start are left out after restarts, too', async () => {
  const files = await folder()
  await files.write('old1', 'old2')
  for (let restart = 0; restart < 3; restart++) {
    const app = files.launch()
    await app.ssc.start()
    await files.write(`new${String(restart)}`)
    await app.batches(restart === 0 ? 2 : 1)
    await stop(app)
  }
  expect(files.lines).toEqual(['new0', 'new1', 'new2'])
})

test('a start that ended before its first batch has left nothing out that came after it', async () => {
  const files = await folder()
  files.clock = new ManualClock(99_000)
  await files.write('old')
  files.clock = new ManualClock(100_000)
  const first = files.launch()
  await first.clock.advance(500)
  await first.ssc.start()
  await first.clock.advance(200)
  await files.write('new')
  await stop(first)
  const second = files.launch()
  await second.ssc.start()
  await second.clock.advance(300)
  await until(() => second.completed.length === 1)
  await stop(second)
  expect(files.lines).toEqual(['new'])
})

test.each([true, false])(
  'files that wait because of maxFilesPerBatch are read after a restart, in order, with newFilesOnly %s',
  async (newFilesOnly) => {
    const files = await folder()
    const options = { maxFilesPerBatch: 2, newFilesOnly, remember: seconds(3) }
    const app = files.launch(options)
    await app.ssc.start()
    const names = Array.from({ length: 14 }, (_, i) => `f${String(i).padStart(2, '0')}`)
    await files.write(...names.slice(0, 10))
    await app.batches(2)
    await stop(app)
    // Longer than files may be late: those that wait are not late for that.
    files.clock = new ManualClock(files.clock.now() + 20_000)
    await files.write(...names.slice(10))
    for (let restart = 0; restart < 5; restart++) {
      const next = files.launch(options)
      await next.ssc.start()
      await next.batches(1)
      await stop(next)
    }
    expect(files.lines).toEqual(names)
  },
)

test('E12: whether a file is late is counted from the last planned tick, however long the down time was', async () => {
  const files = await folder()
  const options = { remember: seconds(10) }
  const first = files.launch(options)
  await first.ssc.start()
  await first.batches(2)
  await stop(first)
  const last = files.clock.now()
  // Written in the down time, long before the start.
  files.clock = new ManualClock(last + 1_000)
  await files.write('early')
  files.clock = new ManualClock(last - 9_000)
  await files.write('just')
  files.clock = new ManualClock(last - 10_001)
  await files.write('late')
  files.clock = new ManualClock(last + 3_600_000)
  const second = files.launch(options)
  await second.ssc.start()
  await second.batches(2)
  await stop(second)
  expect(files.lines).toEqual(['just', 'early'])
})

test('a file that was planned and not committed is read with its batch, and no file after it twice', async () => {
  const files = await folder()
  const first = files.launch()
  const sink = files.store.sink('lines')
  let isHeld = true
  files.store.sink = () => ({
    ...sink,
    writePartition: (...args) => (isHeld ? new Promise<void>(() => undefined) : sink.writePartition(...args)),
  })
  await stop(first)
  const held = files.launch()
  await held.ssc.start()
  await files.write('a')
  await held.clock.advance(1_000)
  await files.write('b')
  await held.clock.advance(1_000)
  await until(() => held.events.includes(`submitted ${String(held.clock.now())}`))
  const running = stop(held)
  for (let i = 0; i < 3; i++) await held.clock.advance(1_000)
  await running
  isHeld = false
  const second = files.launch()
  await second.ssc.start()
  await until(() => second.completed.length === 2)
  await second.batches(1)
  await stop(second)
  expect(files.store.contents()['lines']).toEqual([
    [0, 0, 'a'],
    [1_000, 0, 'b'],
  ])
})

test('what a restart must know stays small: names of files are only in the plans that are kept', async () => {
  const files = await folder()
  const heads: unknown[] = []
  const app = files.launch({ maxFilesPerBatch: 3 })
  const { fileSource } = await import('./file-source.js')
  const source = fileSource<string>({
    fileSystem: files.disk,
    directory: 'in',
    options: { maxFilesPerBatch: 3 },
    read: () => (async function* () {})(),
  })
  await source.start?.(firstStart(files.clock))
  await files.write(...Array.from({ length: 50 }, (_, i) => `f${String(i)}`))
  for (let i = 1; i <= 10; i++) heads.push((await source.plan(files.clock.now() + i * 1_000))?.head)
  for (const head of heads) expect(JSON.stringify(head).length).toBeLessThan(100)
  await stop(app)
})

test('no file is lost and none is read twice, whichever disk operation the process dies at', async () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
  const run = async (dieAt: number | undefined, when: 'before' | 'after'): Promise<number> => {
    const files = await folder()
    await files.write('old')
    const death = new Gate()
    const mortal = mortalFileSystem(files.disk, { dieAt, when, onDeath: death.open })
    let isOver = false
    void death.opened.then(() => {
      isOver = true
    })
    const options = { maxFilesPerBatch: 2 }
    const todo = [...names]
    const work = async (app: Harness, death: Promise<void>): Promise<void> => {
      const started = app.ssc.start()
      started.catch(() => undefined)
      await Promise.race([started, death])
      for (let i = 0; i < 20 && !isOver && files.lines.length < names.length; i++) {
        await files.write(...todo.splice(0, 3))
        const before = app.completed.length
        await app.clock.advance(1_000)
        await until(() => app.completed.length > before || isOver)
      }
      if (!isOver) await Promise.race([stop(app), death])
    }
    await work(files.launch(options, mortal.fileSystem), death.opened)
    const { operations } = mortal
    isOver = false
    if (dieAt !== undefined) await work(files.launch(options), new Promise(() => undefined))
    const expected = dieAt !== undefined && files.lines.length === names.length + 1 ? ['old', ...names] : names
    expect([...files.lines].sort(), `died ${when} operation ${String(dieAt)}`).toEqual([...expected].sort())
    return operations
  }
  const operations = await run(undefined, 'before')
  expect(operations).toBeGreaterThan(30)
  for (let n = 1; n <= operations; n++) {
    await run(n, 'before')
    await run(n, 'after')
  }
}, 600_000)
