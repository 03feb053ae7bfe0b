import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openResults, RunError, type Results, type ResultsOptions } from './results.js'
import { formatTotals, totalsOf } from './totals.js'

const START = new Date(2010, 11, 1, 8, 26, 5)

let folder: string
const here = process.cwd()
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'results-'))
})
afterEach(async () => {
  process.chdir(here)
  await rm(folder, { recursive: true })
})

const openIn = (directory: string | undefined, options: Partial<ResultsOptions> = {}): Promise<Results> =>
  openResults({ outDirectory: directory, checkpoint: undefined, fresh: false, ...options }, START)

const namesIn = async (directory: string): Promise<string[]> => (await readdir(directory, { recursive: true })).sort()

/** What a run writes while it runs. */
async function work(results: Results): Promise<void> {
  for (const prefix of Object.values(results.prefixes)) {
    const batch = `${prefix}-1000`
    await mkdir(batch, { recursive: true })
    for (const name of ['part-00000', 'part-00001', '_SUCCESS', '_identity', '_temporary-1-0-0']) {
      await writeFile(join(batch, name), '')
    }
  }
  for (const name of ['epochs', 'data-0000000001'])
    await mkdir(join(results.checkpoint, name, 'sub'), { recursive: true })
  await writeFile(join(results.checkpoint, 'app.json'), '')
}

/** A folder as a run leaves it. */
async function finishedRun(directory: string, options: Partial<ResultsOptions> = {}): Promise<void> {
  const results = await openIn(directory, options)
  await work(results)
  await results.writeTotals(totalsOf([]), true)
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
    expect(await namesIn(folder)).toEqual(['a', 'a/b', 'a/b/run.json', 'notes.txt', 'run.json'])
  })

  it('refuses the folder of a finished run and names the remedy', async () => {
    await finishedRun(folder)
    await expect(openIn(folder)).rejects.toThrow(RunError)
    await expect(openIn(folder)).rejects.toThrow(/holds the results of a finished run; .*--fresh/)
  })

  it('goes on with a run that was killed, also right at its start', async () => {
    await openIn(folder)
    await work(await openIn(folder))
    const before = await namesIn(folder)
    const { checkpoint } = await openIn(folder)
    expect(checkpoint).toBe(join(folder, 'checkpoint'))
    expect(await namesIn(folder)).toEqual(before)
  })

  it('goes on with a run that was stopped, whose totals are no longer all', async () => {
    const results = await openIn(folder)
    await work(results)
    const before = await namesIn(folder)
    await results.writeTotals(totalsOf([]), false)
    await openIn(folder)
    expect(await namesIn(folder)).toEqual(before)
  })

  it('refuses results and a log that do not belong together', async () => {
    const one = join(folder, 'one')
    const results = await openIn(one)
    await work(results)
    const other = join(folder, 'other')
    await expect(openIn(one, { checkpoint: other })).rejects.toThrow(/belongs to another checkpoint.*--fresh/)
    await expect(openIn(other, { checkpoint: results.checkpoint })).rejects.toThrow(/holds the log of another run/)
    await rm(results.checkpoint, { recursive: true })
    await expect(openIn(one)).rejects.toThrow(/the log of the run in .* is gone/)
    await rm(join(one, 'run.json'))
    await expect(openIn(one)).rejects.toThrow(/holds results of a run that cannot be resumed/)
    await openIn(one, { fresh: true })
  })

  it('a finished run takes its log away, wherever it is, and nothing else from there', async () => {
    const checkpoint = join(folder, 'log')
    await mkdir(checkpoint)
    await writeFile(join(checkpoint, 'notes.txt'), 'mine')
    await finishedRun(join(folder, 'out'), { checkpoint })
    expect(await namesIn(checkpoint)).toEqual(['notes.txt'])
    await openIn(join(folder, 'next'), { checkpoint })
  })

  it('with fresh removes the results of an earlier run', async () => {
    await finishedRun(folder)
    await openIn(folder, { fresh: true })
    expect(await namesIn(folder)).toEqual(['run.json'])
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
    await openIn(folder, { fresh: true })
    for (const name of others) expect(await readFile(join(folder, name), 'utf8')).toBe('mine')
    expect(await namesIn(join(folder, 'metrics', 'batch-1000'))).toEqual(['notes.txt'])
  })

  it('says what is wrong with a folder that cannot be made', async () => {
    await writeFile(join(folder, 'file'), '')
    await expect(openIn(join(folder, 'file'))).rejects.toThrow(/cannot write to .*file: /)
  })
})

describe('results', () => {
  it('rejected lines of all batches come together in the order of batches and parts', async () => {
    const results = await openIn(folder)
    const parts = ['900/part-00000', '1000/part-00001', '1000/part-00000', '1000/_temporary-0-1-0', '1000/_SUCCESS']
    for (const name of parts) {
      const [batch = '', part = ''] = name.split('/')
      await mkdir(`${results.prefixes.rejected}-${batch}`, { recursive: true })
      await writeFile(join(`${results.prefixes.rejected}-${batch}`, part), part === '_SUCCESS' ? '' : `${name}\n`)
    }
    await results.writeTotals(totalsOf([]), true)
    const text = await readFile(join(folder, 'rejected.ndjson'), 'utf8')
    expect(text).toBe('900/part-00000\n1000/part-00000\n1000/part-00001\n')
  })

  it('totals.json stands there whole, with nothing beside it', async () => {
    const results = await openIn(folder)
    const path = await results.writeTotals(totalsOf([]), true)
    expect(basename(path)).toBe('totals.json')
    expect(await readFile(path, 'utf8')).toBe(formatTotals(totalsOf([])))
    expect(await namesIn(folder)).toEqual(['rejected.ndjson', 'totals.json'])
  })
})
