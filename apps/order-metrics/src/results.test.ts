import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RejectedLine } from './orders.js'
import { openResults, RunError, type Results } from './results.js'
import { formatTotals, totalsOf } from './totals.js'

const START = new Date(2010, 11, 1, 8, 26, 5)
const rejectedLine = (line: string): RejectedLine => ({ kind: 'rejected', line, reason: 'date not a date' })

let folder: string
let opened: Results[]
const here = process.cwd()
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'results-'))
  opened = []
})
afterEach(async () => {
  process.chdir(here)
  for (const results of opened) await results.close()
  await rm(folder, { recursive: true })
})

async function openIn(directory: string | undefined, fresh = false): Promise<Results> {
  const results = await openResults(directory, fresh, START)
  opened.push(results)
  return results
}

const namesIn = async (directory: string): Promise<string[]> => (await readdir(directory, { recursive: true })).sort()

/** A folder as a run leaves it. */
async function finishedRun(directory: string): Promise<void> {
  const results = await openIn(directory)
  for (const prefix of Object.values(results.prefixes)) {
    const batch = `${prefix}-1000`
    await mkdir(batch, { recursive: true })
    for (const name of ['part-00000', 'part-00001', '_SUCCESS', '_identity', '_temporary-1-0-0']) {
      await writeFile(join(batch, name), '')
    }
  }
  await results.writeTotals(totalsOf([]))
}

describe('openResults', () => {
  it('makes a new folder for each run that names none, also within one second', async () => {
    process.chdir(folder)
    const names = [await openIn(undefined), await openIn(undefined)].map(({ directory }) => directory)
    expect(names).toEqual([
      join('out', 'order-metrics-20101201-082605'),
      join('out', 'order-metrics-20101201-082605-2'),
    ])
  })

  it('makes the folder with its parents, or takes one without results', async () => {
    await openIn(join(folder, 'a', 'b'))
    await writeFile(join(folder, 'notes.txt'), '')
    await openIn(folder)
    expect(await namesIn(folder)).toEqual(['a', 'a/b', 'a/b/rejected.ndjson', 'notes.txt', 'rejected.ndjson'])
  })

  it('refuses the folder of a finished run and names the remedy', async () => {
    await finishedRun(folder)
    await expect(openIn(folder)).rejects.toThrow(RunError)
    await expect(openIn(folder)).rejects.toThrow(/holds the results of a finished run; .*--fresh/)
  })

  it('refuses the folder of an unfinished run', async () => {
    await openIn(folder)
    await expect(openIn(folder)).rejects.toThrow(/did not finish, which cannot be resumed; .*--fresh/)
  })

  it('with fresh removes the results of an earlier run', async () => {
    await finishedRun(folder)
    await openIn(folder, true)
    expect(await namesIn(folder)).toEqual(['rejected.ndjson'])
  })

  it('with fresh leaves everything that is no result', async () => {
    await finishedRun(folder)
    const others = [
      'notes.txt',
      'metrics/notes.txt',
      'metrics/batch-1000/notes.txt',
      'metrics/batch-x/part-00000',
      'suspicious/notes.txt',
      'sub/totals.json',
    ]
    await mkdir(join(folder, 'sub'))
    await mkdir(join(folder, 'metrics/batch-x'))
    for (const name of others) await writeFile(join(folder, name), 'mine')
    await openIn(folder, true)
    for (const name of others) expect(await readFile(join(folder, name), 'utf8')).toBe('mine')
    expect(await namesIn(join(folder, 'metrics', 'batch-1000'))).toEqual(['notes.txt'])
  })

  it('says what is wrong with a folder that cannot be made', async () => {
    await writeFile(join(folder, 'file'), '')
    await expect(openIn(join(folder, 'file'))).rejects.toThrow(/cannot write to .*file: /)
  })
})

describe('results', () => {
  it('rejected lines stand with their reason and batch, one a line, once each however often their batch is run', async () => {
    const results = await openIn(folder)
    await results.writeRejected(1_000, [rejectedLine('a "line"'), rejectedLine('')])
    await results.writeRejected(2_000, [rejectedLine('twice')])
    await results.writeRejected(2_000, [rejectedLine('twice')])
    expect(await readFile(join(folder, 'rejected.ndjson'), 'utf8')).toBe(
      [
        '{"line":"a \\"line\\"","reason":"date not a date","batchTime":1000}',
        '{"line":"","reason":"date not a date","batchTime":1000}',
        '{"line":"twice","reason":"date not a date","batchTime":2000}',
        '',
      ].join('\n'),
    )
  })

  it('totals.json stands there whole, with nothing beside it', async () => {
    const results = await openIn(folder)
    const path = await results.writeTotals(totalsOf([]))
    expect(basename(path)).toBe('totals.json')
    expect(await readFile(path, 'utf8')).toBe(formatTotals(totalsOf([])))
    expect(await namesIn(folder)).toEqual(['rejected.ndjson', 'totals.json'])
  })
})
