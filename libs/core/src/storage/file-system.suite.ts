/** What every file system must do: the same tests over the local disk, memory and, from testkit, each object store. */
import assert from 'node:assert/strict'
import { isSluiceError, type ErrorCode } from '../errors.js'
import type { FileSystem } from './file-system.js'
import { joinPath } from './paths.js'

/** The two functions of a test runner that the suite needs; those of vitest, jest, mocha and `node:test` fit. */
export interface SuiteRunner {
  describe(name: string, define: () => void): void
  test(name: string, run: () => Promise<void>): void
}

/** A file system under test and an existing, empty folder in it that nobody else uses. */
export interface OpenedFileSystem {
  readonly fileSystem: FileSystem
  readonly root: string
  /** Called after the test, also after a failed one. Removes the folder. */
  close(): Promise<void>
}

/** What a test works with: paths below the empty folder. */
interface Bench {
  readonly fs: FileSystem
  at(...names: string[]): string
  /** Makes a file with this text. */
  write(name: string, text: string): Promise<string>
  text(path: string): Promise<string>
  names(path: string): Promise<string[]>
}

type Define = (title: string, run: (bench: Bench) => Promise<void>) => void

/** Defines the suite under `name`. `open` is called once for each test. */
export function fileSystemSuite(runner: SuiteRunner, name: string, open: () => Promise<OpenedFileSystem>): void {
  const define: Define = (title, run) => {
    runner.test(title, async () => {
      const opened = await open()
      try {
        await run(benchOf(opened))
      } finally {
        await opened.close()
      }
    })
  }
  runner.describe(`file system: ${name}`, () => {
    for (const group of [createTests, readTests, listTests, removeTests, folderTests]) group(define)
    for (const group of [appendTests, appendLifeTests, renameTests, renameFolderTests, linkTests]) group(define)
  })
}

function benchOf({ fileSystem, root }: OpenedFileSystem): Bench {
  const bench: Bench = {
    fs: fileSystem,
    at: (...names) => joinPath(root, ...names),
    write: async (name, text) => {
      await fileSystem.create(bench.at(name), bytes(text))
      return bench.at(name)
    },
    text: async (path) => textOf(await fileSystem.read(path)),
    names: async (path) => {
      const names: string[] = []
      for await (const entry of fileSystem.list(path)) names.push(`${entry.kind} ${entry.name}`)
      return names.sort()
    },
  }
  return bench
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text)
}

function textOf(data: Uint8Array): string {
  return Buffer.from(data).toString()
}

/** The rejection is an error of Sluice with this code, and its message names the path. */
async function rejects(code: ErrorCode, path: string, work: () => Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(isSluiceError(error), `an error of Sluice, not ${String(error)}`)
    assert.equal(error.code, code, error.message)
    assert.ok(error.message.includes(path), `the message names ${path}: ${error.message}`)
    return true
  })
}

/** Runs the test where the operation is supported; elsewhere the operation must say that it is not. */
async function whereSupported(
  bench: Bench,
  what: keyof FileSystem['supports'],
  attempt: () => Promise<unknown>,
  run: () => Promise<void>,
): Promise<void> {
  if (bench.fs.supports[what]) return run()
  await assert.rejects(attempt, (error: unknown) => isSluiceError(error, 'FILE_SYSTEM_UNSUPPORTED'))
}

function createTests(define: Define): void {
  define('create writes a file that read gives back', async (bench) => {
    const path = await bench.write('a', 'hello')
    assert.equal(await bench.text(path), 'hello')
  })

  define('create without sync writes the same file', async (bench) => {
    await bench.fs.create(bench.at('a'), bytes('hello'), { sync: false })
    assert.equal(await bench.text(bench.at('a')), 'hello')
  })

  define('create of a name that is taken rejects with FILE_EXISTS and leaves the file as it was', async (bench) => {
    const path = await bench.write('a', 'first')
    await rejects('FILE_EXISTS', path, () => bench.fs.create(path, bytes('second')))
    assert.equal(await bench.text(path), 'first')
    assert.deepEqual(await bench.names(bench.at()), ['file a'])
  })

  define('of many creates of one name exactly one succeeds, and its contents stand', async (bench) => {
    const path = bench.at('a')
    const tries = Array.from({ length: 16 }, (_, i) => bench.fs.create(path, bytes(`writer ${String(i)}`)))
    const results = await Promise.allSettled(tries)
    const winners = results.flatMap((result, i) => (result.status === 'fulfilled' ? [i] : []))
    assert.equal(winners.length, 1)
    assert.equal(await bench.text(path), `writer ${String(winners[0])}`)
    for (const result of results)
      if (result.status === 'rejected') assert.ok(isSluiceError(result.reason, 'FILE_EXISTS'))
    assert.deepEqual(await bench.names(bench.at()), ['file a'])
  })

  define('create does not keep hold of the bytes it was given', async (bench) => {
    const data = bytes('hello')
    await bench.fs.create(bench.at('a'), data)
    data.fill(0)
    assert.equal(await bench.text(bench.at('a')), 'hello')
  })

  define('create accepts an empty file, spaces and letters of any script in names', async (bench) => {
    const path = await bench.write('größe 数.txt', '')
    assert.equal((await bench.fs.stat(path))?.sizeBytes, 0)
    assert.deepEqual(await bench.names(bench.at()), ['file größe 数.txt'])
  })
}

function readTests(define: Define): void {
  define('read of a range gives these bytes, cut at the end of the file', async (bench) => {
    const path = await bench.write('a', '0123456789')
    const part = async (start: number, length: number) => textOf(await bench.fs.read(path, { start, length }))
    assert.equal(await part(0, 4), '0123')
    assert.equal(await part(3, 4), '3456')
    assert.equal(await part(8, 100), '89')
    assert.equal(await part(10, 1), '')
    assert.equal(await part(99, 1), '')
    assert.equal(await part(4, 0), '')
  })

  define('read of a negative or fractional range rejects with ARGUMENT_INVALID', async (bench) => {
    const path = await bench.write('a', '0123456789')
    for (const range of [
      { start: -1, length: 2 },
      { start: 0, length: -1 },
      { start: 0.5, length: 1 },
    ]) {
      await assert.rejects(bench.fs.read(path, range), (error: unknown) => isSluiceError(error, 'ARGUMENT_INVALID'))
    }
  })

  define('bytes that were read can be changed without changing the file', async (bench) => {
    const path = await bench.write('a', 'hello')
    const data = await bench.fs.read(path)
    data.fill(0)
    assert.equal(await bench.text(path), 'hello')
  })

  define('read of nothing rejects with FILE_NOT_FOUND', async (bench) => {
    await rejects('FILE_NOT_FOUND', bench.at('none'), () => bench.fs.read(bench.at('none')))
  })

  define('stat tells a file with its size, and undefined where nothing is', async (bench) => {
    const path = await bench.write('a', 'hello')
    const stat = await bench.fs.stat(path)
    assert.equal(stat?.kind, 'file')
    assert.equal(stat.sizeBytes, 5)
    assert.ok(Number.isFinite(stat.modifiedMs))
    assert.equal(await bench.fs.stat(bench.at('none')), undefined)
    assert.equal(await bench.fs.stat(bench.at('a', 'below-a-file')), undefined)
  })
}

function listTests(define: Define): void {
  define('list gives files and folders of this folder only', async (bench) => {
    await bench.write('a', '')
    await bench.fs.makeDirectory(bench.at('d', 'deep'))
    await bench.write('d/b', 'b')
    assert.deepEqual(await bench.names(bench.at()), ['directory d', 'file a'])
    assert.deepEqual(await bench.names(bench.at('d')), ['directory deep', 'file b'])
  })

  define('list of an empty folder gives nothing, of a missing one rejects with FILE_NOT_FOUND', async (bench) => {
    await bench.fs.makeDirectory(bench.at('d'))
    assert.deepEqual(await bench.names(bench.at('d')), [])
    await rejects('FILE_NOT_FOUND', bench.at('none'), () => bench.names(bench.at('none')))
  })

  define('list can be left early and gives all of many entries', async (bench) => {
    await Promise.all(Array.from({ length: 100 }, (_, i) => bench.write(`f${String(i)}`, '')))
    for await (const entry of bench.fs.list(bench.at())) {
      assert.equal(entry.kind, 'file')
      break
    }
    assert.equal((await bench.names(bench.at())).length, 100)
  })

  define('files that are removed while they are listed do no harm', async (bench) => {
    await Promise.all(['a', 'b', 'c'].map((name) => bench.write(name, '')))
    for await (const entry of bench.fs.list(bench.at())) await bench.fs.remove(bench.at(entry.name))
    assert.deepEqual(await bench.names(bench.at()), [])
  })
}

function removeTests(define: Define): void {
  define('remove takes a file away and is no error where there is none', async (bench) => {
    const path = await bench.write('a', '')
    await bench.fs.remove(path)
    assert.equal(await bench.fs.stat(path), undefined)
    await bench.fs.remove(path)
    await bench.fs.remove(bench.at('none', 'below'))
  })

  define('removeTree takes a folder away with all in it and is no error where there is none', async (bench) => {
    await bench.fs.makeDirectory(bench.at('d', 'deep'))
    await bench.write('d/deep/a', 'a')
    await bench.write('e', 'stays')
    await bench.fs.removeTree(bench.at('d'))
    await bench.fs.removeTree(bench.at('d'))
    assert.deepEqual(await bench.names(bench.at()), ['file e'])
  })

  define('a removed name can be created again', async (bench) => {
    const path = await bench.write('a', 'first')
    await bench.fs.remove(path)
    await bench.fs.create(path, bytes('second'))
    assert.equal(await bench.text(path), 'second')
  })
}

function folderTests(define: Define): void {
  define('makeDirectory makes parents and is no error where the folder exists', async (bench) => {
    await bench.fs.makeDirectory(bench.at('d', 'deep'))
    await bench.fs.makeDirectory(bench.at('d', 'deep'))
    await bench.write('d/deep/a', 'a')
    assert.equal(await bench.text(bench.at('d', 'deep', 'a')), 'a')
    await bench.fs.syncDirectory(bench.at('d', 'deep'))
  })

  define('create in a missing folder rejects with FILE_NOT_FOUND', async (bench) => {
    const path = bench.at('none', 'a')
    await rejects('FILE_NOT_FOUND', path, () => bench.fs.create(path, bytes('a')))
  })

  define('a folder is no file, and a file is no folder', async (bench) => {
    const file = await bench.write('a', '')
    const folder = bench.at('d')
    await bench.fs.makeDirectory(folder)
    assert.equal((await bench.fs.stat(folder))?.kind, 'directory')
    await rejects('FILE_SYSTEM_FAILED', folder, () => bench.fs.read(folder))
    await rejects('FILE_SYSTEM_FAILED', folder, () => bench.fs.remove(folder))
    await rejects('FILE_EXISTS', folder, () => bench.fs.create(folder, bytes('a')))
    await rejects('FILE_SYSTEM_FAILED', file, () => bench.names(file))
    await rejects('FILE_EXISTS', file, () => bench.fs.makeDirectory(file))
    await rejects('FILE_SYSTEM_FAILED', file, () => bench.fs.syncDirectory(file))
  })
}

function appendTests(define: Define): void {
  const defineAppend: Define = (title, run) => {
    define(title, (bench) =>
      whereSupported(
        bench,
        'append',
        () => bench.fs.openAppend(bench.at('log')),
        () => run(bench),
      ),
    )
  }

  defineAppend('openAppend makes an empty file where there is none', async (bench) => {
    const file = await bench.fs.openAppend(bench.at('log'))
    assert.equal(file.sizeBytes, 0)
    await file.close()
    assert.equal((await bench.fs.stat(bench.at('log')))?.sizeBytes, 0)
  })

  defineAppend('what was appended can be read at once, and goes on at the end after opening again', async (bench) => {
    const first = await bench.fs.openAppend(bench.at('log'))
    await first.append(bytes('one'))
    await first.append(bytes('two'))
    assert.equal(first.sizeBytes, 6)
    assert.equal(await bench.text(bench.at('log')), 'onetwo')
    await first.sync()
    await first.close()
    const second = await bench.fs.openAppend(bench.at('log'))
    assert.equal(second.sizeBytes, 6)
    await second.append(bytes('three'))
    await second.close()
    assert.equal(await bench.text(bench.at('log')), 'onetwothree')
  })

  defineAppend('append takes no bytes and many bytes', async (bench) => {
    const file = await bench.fs.openAppend(bench.at('log'))
    await file.append(new Uint8Array(0))
    await file.append(new Uint8Array(3_000_000).fill(7))
    await file.close()
    const data = await bench.fs.read(bench.at('log'))
    assert.equal(data.byteLength, 3_000_000)
    assert.ok(data.every((byte) => byte === 7))
  })
}

function appendLifeTests(define: Define): void {
  define('a closed file rejects appends and syncs, and can be closed again', async (bench) => {
    if (!bench.fs.supports.append) return
    const file = await bench.fs.openAppend(bench.at('log'))
    await file.close()
    await file.close()
    await rejects('FILE_SYSTEM_FAILED', bench.at('log'), () => file.append(bytes('late')))
    await rejects('FILE_SYSTEM_FAILED', bench.at('log'), () => file.sync())
  })

  define('openAppend in a missing folder rejects with FILE_NOT_FOUND', async (bench) => {
    if (!bench.fs.supports.append) return
    await rejects('FILE_NOT_FOUND', bench.at('none', 'log'), () => bench.fs.openAppend(bench.at('none', 'log')))
  })

  define('a file goes on growing under its new name when it is renamed while open', async (bench) => {
    if (!bench.fs.supports.append || !bench.fs.supports.rename) return
    const file = await bench.fs.openAppend(bench.at('log'))
    await file.append(bytes('one'))
    await bench.fs.rename(bench.at('log'), bench.at('log-2'))
    await file.append(bytes('two'))
    await file.close()
    assert.equal(await bench.text(bench.at('log-2')), 'onetwo')
    assert.deepEqual(await bench.names(bench.at()), ['file log-2'])
  })
}

function renameTests(define: Define): void {
  define('rename gives a file its new name and replaces what stood there', async (bench) => {
    const from = await bench.write('a', 'new')
    const to = await bench.write('b', 'old')
    const work = () => bench.fs.rename(from, to)
    await whereSupported(bench, 'rename', work, async () => {
      await work()
      assert.equal(await bench.text(to), 'new')
      assert.deepEqual(await bench.names(bench.at()), ['file b'])
    })
  })

  define('rename of nothing rejects with FILE_NOT_FOUND', async (bench) => {
    if (!bench.fs.supports.rename) return
    const from = bench.at('none')
    await rejects('FILE_NOT_FOUND', from, () => bench.fs.rename(from, bench.at('b')))
  })

  define('rename to the same name changes nothing', async (bench) => {
    if (!bench.fs.supports.rename) return
    const path = await bench.write('a', 'same')
    await bench.fs.rename(path, path)
    assert.equal(await bench.text(path), 'same')
  })
}

function renameFolderTests(define: Define): void {
  define('rename moves a folder with all in it, and its old paths are gone', async (bench) => {
    if (!bench.fs.supports.rename) return
    await bench.fs.makeDirectory(bench.at('epoch-1', 'segments'))
    const old = await bench.write('epoch-1/segments/0', 'frames')
    await bench.fs.rename(bench.at('epoch-1'), bench.at('epoch-2'))
    assert.equal(await bench.text(bench.at('epoch-2', 'segments', '0')), 'frames')
    await rejects('FILE_NOT_FOUND', old, () => bench.fs.read(old))
    const late = bench.at('epoch-1', 'segments', '1')
    await rejects('FILE_NOT_FOUND', late, () => bench.fs.create(late, bytes('late')))
  })

  define('rename of a folder onto one that is not empty, or into itself, is refused', async (bench) => {
    if (!bench.fs.supports.rename) return
    await bench.fs.makeDirectory(bench.at('a'))
    await bench.fs.makeDirectory(bench.at('b', 'full'))
    await assert.rejects(bench.fs.rename(bench.at('a'), bench.at('b')), isSluiceError)
    await rejects('FILE_SYSTEM_FAILED', bench.at('b'), () => bench.fs.rename(bench.at('b'), bench.at('b', 'full', 'c')))
    assert.deepEqual(await bench.names(bench.at()), ['directory a', 'directory b'])
  })
}

function linkTests(define: Define): void {
  define('link gives a file a further name, which stays when the first is removed', async (bench) => {
    const from = await bench.write('a', 'hello')
    const work = () => bench.fs.link(from, bench.at('b'))
    await whereSupported(bench, 'link', work, async () => {
      await work()
      await bench.fs.remove(from)
      assert.equal(await bench.text(bench.at('b')), 'hello')
    })
  })

  define('E9: link to a name that is taken rejects with FILE_EXISTS and changes nothing', async (bench) => {
    if (!bench.fs.supports.link) return
    const from = await bench.write('a', 'late')
    const to = await bench.write('b', 'first')
    await rejects('FILE_EXISTS', to, () => bench.fs.link(from, to))
    assert.equal(await bench.text(to), 'first')
    assert.equal(await bench.text(from), 'late')
  })

  define('link of nothing rejects with FILE_NOT_FOUND', async (bench) => {
    if (!bench.fs.supports.link) return
    const from = bench.at('none')
    await rejects('FILE_NOT_FOUND', from, () => bench.fs.link(from, bench.at('b')))
  })
}
