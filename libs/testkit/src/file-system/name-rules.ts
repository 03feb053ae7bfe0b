/** Rules for what a file system declares: append, rename, link. Where it is not supported, the operation must say so. */
import assert from 'node:assert/strict'
import { isSluiceError } from '@sluice/core'
import { bytes, rejects, rulesOf, whereSupported, type Define } from './file-system-bench.js'

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

export const nameRules = rulesOf(appendTests, appendLifeTests, renameTests, renameFolderTests, linkTests)
