/** Rules for what every file system can do: create, read, list, remove, folders. */
import assert from 'node:assert/strict'
import { isSluiceError } from '@sluice/core'
import { bytes, rejects, rulesOf, textOf, type Define } from './file-system-bench.js'

function declarationTests(define: Define): void {
  define('it declares contract, name and what it supports', async ({ fs }) => {
    assert.equal(fs['~sluice'], 'file-system/1')
    assert.match(fs.name, /\S/, 'name')
    for (const what of ['append', 'rename', 'link'] as const) assert.equal(typeof fs.supports[what], 'boolean', what)
    await Promise.resolve()
  })
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

  define('a file that is being created is not there, or it is there whole', async (bench) => {
    const data = new Uint8Array(4_000_000).fill(7)
    const path = bench.at('a')
    let created = false
    const creating = bench.fs.create(path, data).finally(() => (created = true))
    for (let looked = 0; looked < 2 || !created; looked++) {
      const stat = await bench.fs.stat(path)
      if (stat !== undefined) assert.equal((await bench.fs.read(path)).byteLength, data.byteLength)
    }
    await creating
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

export const fileRules = rulesOf(declarationTests, createTests, readTests, listTests, removeTests, folderTests)
