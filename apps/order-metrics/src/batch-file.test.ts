import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BatchFile } from './batch-file.js'

let folder: string
let path: string
let file: BatchFile
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'batch-file-'))
  path = join(folder, 'lines.txt')
  file = await BatchFile.create(path)
})
afterEach(async () => {
  await file.close()
  await rm(folder, { recursive: true })
})

describe('BatchFile', () => {
  it('is an empty file before the first batch', async () => {
    expect(await readFile(path, 'utf8')).toBe('')
  })

  it('grows by a batch at a time', async () => {
    await file.write(1_000, 'é\n')
    await file.write(2_000, '')
    await file.write(3_000, 'b\nc\n')
    expect(await readFile(path, 'utf8')).toBe('é\nb\nc\n')
  })

  it('a batch written again replaces what it wrote before', async () => {
    await file.write(1_000, 'a\n')
    await file.write(2_000, 'b\nbb\n')
    await file.write(2_000, 'c\n')
    expect(await readFile(path, 'utf8')).toBe('a\nc\n')
    await file.write(2_000, '')
    await file.write(2_000, 'd\n')
    await file.write(3_000, 'e\n')
    expect(await readFile(path, 'utf8')).toBe('a\nd\ne\n')
  })

  it('refuses a batch older than the last one', async () => {
    await file.write(2_000, 'b\n')
    await expect(file.write(1_000, 'a\n')).rejects.toThrow('batch 1000 came after 2000')
    expect(await readFile(path, 'utf8')).toBe('b\n')
  })

  it('is not made over another file', async () => {
    await expect(BatchFile.create(path)).rejects.toThrow('EEXIST')
  })
})
