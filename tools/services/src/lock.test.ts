import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { withLock } from './lock.js'
import { identifySelf } from './process-identity.js'

const BUILT_LOCK = resolve(import.meta.dirname, '../dist/lock.js')

describe('a lock between processes', () => {
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-lock-'))
  })

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  test('lets one call in at a time, also within a process, and gives what each returns', async () => {
    let inside = 0
    const enter = (value: number) =>
      withLock(folder, 'a', async () => {
        inside += 1
        expect(inside).toBe(1)
        await new Promise(setImmediate)
        inside -= 1
        return value
      })
    expect(await Promise.all([1, 2, 3, 4].map(enter))).toEqual([1, 2, 3, 4])
  })

  test('other names do not wait for it', async () => {
    expect(await withLock(folder, 'a', () => withLock(folder, 'b', () => Promise.resolve('in')))).toBe('in')
  })

  test('is given back when the body fails', async () => {
    await expect(withLock(folder, 'a', () => Promise.reject(new Error('body')))).rejects.toThrow('body')
    expect(await withLock(folder, 'a', () => Promise.resolve('in'))).toBe('in')
  })

  test('of a dead process is taken over, and so is that of a number that another process has by now', async () => {
    const self = await identifySelf()
    await writeFile(join(folder, 'a.lock.7'), JSON.stringify({ ...self, birth: 'of another one' }))
    await writeFile(join(folder, 'a.lock.6'), 'free')
    expect(await withLock(folder, 'a', () => readdir(folder))).toEqual(['a.lock.8'])
  })

  test('of a living process is not taken', async () => {
    const path = join(folder, 'a.lock.1')
    await writeFile(path, JSON.stringify(await identifySelf()))
    let isIn = false
    const waiting = withLock(folder, 'a', async () => {
      isIn = true
    })
    // It has looked by the time that another lock was taken and given back several times.
    for (let round = 0; round < 20; round += 1) await withLock(folder, 'b', () => Promise.resolve())
    expect(isIn).toBe(false)
    await writeFile(path, 'free')
    await waiting
    expect(isIn).toBe(true)
  })

  test('keeps processes apart: what they count by reading and writing a file is never lost', async () => {
    const counter = join(folder, 'counter')
    await writeFile(counter, '0')
    const script = `
      import { readFile, writeFile } from 'node:fs/promises'
      import { withLock } from ${JSON.stringify(BUILT_LOCK)}
      for (let i = 0; i < 10; i += 1) {
        await withLock(${JSON.stringify(folder)}, 'counter', async () => {
          const count = Number(await readFile(${JSON.stringify(counter)}, 'utf8'))
          await new Promise(setImmediate)
          await writeFile(${JSON.stringify(counter)}, String(count + 1))
        })
      }`
    const children = [1, 2, 3].map(() =>
      spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'ignore', 'inherit'] }),
    )
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0] as number))
    expect(codes).toEqual([0, 0, 0])
    expect(await readFile(counter, 'utf8')).toBe('30')
  })
})
