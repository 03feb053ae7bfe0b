import { mkdtemp, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openBlacklist, parseBlacklist } from './blacklist.js'
import { RunError } from './results.js'

let folder: string
let path: string
let warnings: string[]
const warn = (message: string): void => void warnings.push(message)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blacklist-'))
  path = join(folder, 'blacklist.txt')
  warnings = []
})
afterEach(() => rm(folder, { recursive: true }))

describe('parseBlacklist', () => {
  it('reads customers one a line, each once, without comments, blanks and line ends', () => {
    const text = '\uFEFF# scalpers\r\n17850.0\r\n\n  12748.0\t# since Monday\n17850.0\n#13047.0\n'
    expect(parseBlacklist(text)).toEqual(['17850.0', '12748.0'])
    expect(parseBlacklist('')).toEqual([])
  })
})

describe('openBlacklist', () => {
  it('refuses a file that is not there, or is none, and names it', async () => {
    await expect(openBlacklist(path)).rejects.toThrow(RunError)
    await expect(openBlacklist(path)).rejects.toThrow(/cannot read the blacklist .*blacklist\.txt: ENOENT.*--blacklist/)
    await expect(openBlacklist(folder)).rejects.toThrow(/cannot read the blacklist .*EISDIR/)
  })

  it('sees a file that was changed, replaced or emptied', async () => {
    await writeFile(path, '17850.0\n')
    const blacklist = await openBlacklist(path)
    expect(await blacklist.customers(warn)).toEqual(['17850.0'])
    await writeFile(path, '17850.0\n12748.0\n')
    expect(await blacklist.customers(warn)).toEqual(['17850.0', '12748.0'])
    await writeFile(`${path}.new`, '13047.0\n')
    await rename(`${path}.new`, path)
    expect(await blacklist.customers(warn)).toEqual(['13047.0'])
    await writeFile(path, '')
    expect(await blacklist.customers(warn)).toEqual([])
    expect(warnings).toEqual([])
  })

  it('reads a file only when its time or size has changed', async () => {
    await writeFile(path, '17850.0\n')
    await utimes(path, 1_000, 1_000)
    const blacklist = await openBlacklist(path)
    const first = await blacklist.customers(warn)
    expect(await blacklist.customers(warn)).toBe(first)
    await writeFile(path, '12748.0\n')
    await utimes(path, 1_000, 1_000)
    expect(await blacklist.customers(warn)).toBe(first)
    await utimes(path, 1_001, 1_001)
    expect(await blacklist.customers(warn)).toEqual(['12748.0'])
  })

  it('keeps the last good list while the file cannot be read, and warns once each time it begins', async () => {
    await writeFile(path, '17850.0\n12748.0\n')
    const text = await readFile(path, 'utf8')
    const blacklist = await openBlacklist(path)
    for (let times = 0; times < 2; times++) {
      await rm(path)
      for (let batch = 0; batch < 3; batch++) expect(await blacklist.customers(warn)).toEqual(['17850.0', '12748.0'])
      await writeFile(path, text)
      expect(await blacklist.customers(warn)).toEqual(['17850.0', '12748.0'])
    }
    expect(warnings).toHaveLength(2)
    expect(warnings[0]).toMatch(/^cannot read the blacklist .*: ENOENT.*; its last 2 customers stand$/)
  })
})
