/** The folder that a run's results go to. */
import { access, mkdir, open, readdir, rename, rm, rmdir, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BatchFile } from './batch-file.js'
import type { RejectedLine } from './orders.js'
import { formatTotals, type Totals } from './totals.js'

const TOTALS = 'totals.json'
const TOTALS_IN_THE_MAKING = '_totals.json'
const REJECTED = 'rejected.ndjson'
/** SQLite's files. */
const DATABASE = ['metrics.db', 'metrics.db-wal', 'metrics.db-shm']
/** What is written for each batch; a folder each. */
const BATCH_RESULTS = ['metrics', 'suspicious', 'blacklisted'] as const
const BATCH = 'batch'

type BatchResult = (typeof BATCH_RESULTS)[number]

/** A run cannot begin, or go on, for a reason outside this program. The message says what to do. */
export class RunError extends Error {}

export interface Results {
  readonly directory: string
  /** Start of the paths that what each batch gives goes to: batch T has the folder `metrics/batch-T`. */
  readonly prefixes: Readonly<Record<BatchResult, string>>
  /** Adds a batch's rejected lines to `rejected.ndjson`; a batch written again replaces what it wrote before. */
  writeRejected(batchTime: number, lines: readonly RejectedLine[]): Promise<void>
  /** Writes `totals.json`, whole or not at all: it marks the run as finished. Returns its path. */
  writeTotals(totals: Totals): Promise<string>
  close(): Promise<void>
}

/**
 * Makes the folder ready for a run: `directory`, or a new one with the time of the start in its name. A folder that holds
 * results is refused, unless `fresh` says to remove them. What is no result of this program stays in any case. Throws
 * {@link RunError}.
 */
export async function openResults(directory: string | undefined, fresh: boolean, start: Date): Promise<Results> {
  const own = directory ?? (await newDirectory(start))
  try {
    await mkdir(own, { recursive: true })
    if (fresh) await removeResults(own)
    await refuseResults(own)
    return await createResults(own)
  } catch (error) {
    if (error instanceof RunError) throw error
    throw new RunError(`cannot write to ${own}: ${(error as Error).message}`, { cause: error })
  }
}

async function createResults(directory: string): Promise<Results> {
  const rejected = await BatchFile.create(join(directory, REJECTED))
  const prefixOf = (result: BatchResult): string => join(directory, result, BATCH)
  return {
    directory,
    prefixes: {
      metrics: prefixOf('metrics'),
      suspicious: prefixOf('suspicious'),
      blacklisted: prefixOf('blacklisted'),
    },
    writeRejected: (batchTime, lines) => {
      const text = lines.map(({ line, reason }) => `${JSON.stringify({ line, reason, batchTime })}\n`).join('')
      return rejected.write(batchTime, text)
    },
    writeTotals: (totals) => writeTotals(directory, totals),
    close: () => rejected.close(),
  }
}

async function newDirectory(start: Date): Promise<string> {
  const digits = (value: number): string => String(value).padStart(2, '0')
  const date = `${String(start.getFullYear())}${digits(start.getMonth() + 1)}${digits(start.getDate())}`
  const time = `${digits(start.getHours())}${digits(start.getMinutes())}${digits(start.getSeconds())}`
  const first = join('out', `order-metrics-${date}-${time}`)
  await mkdir(dirname(first), { recursive: true })
  for (let run = 1; ; run++) {
    const directory = run === 1 ? first : `${first}-${String(run)}`
    try {
      await mkdir(directory)
      return directory
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

async function refuseResults(directory: string): Promise<void> {
  const remedy = 'choose another folder, or add --fresh to remove those results first'
  if (await exists(join(directory, TOTALS))) {
    throw new RunError(`${directory} holds the results of a finished run; ${remedy}`)
  }
  if (await exists(join(directory, REJECTED))) {
    throw new RunError(
      `${directory} holds the results of a run that did not finish, which cannot be resumed; ${remedy}`,
    )
  }
}

/** Removes what a run writes, by name: never a whole folder with whatever is in it. */
async function removeResults(directory: string): Promise<void> {
  // First of all the mark of a finished run: a removal that breaks off leaves an unfinished one.
  for (const name of [TOTALS, TOTALS_IN_THE_MAKING, REJECTED, ...DATABASE])
    await rm(join(directory, name), { force: true })
  for (const result of BATCH_RESULTS) await removeBatches(join(directory, result))
}

async function removeBatches(directory: string): Promise<void> {
  for (const folder of await batchFolders(directory)) {
    for (const name of await readdir(folder)) {
      if (/^(part-\d{5,}|_SUCCESS|_identity|_temporary-[\d-]+)$/.test(name)) await rm(join(folder, name))
    }
    await removeIfEmpty(folder)
  }
  await removeIfEmpty(directory)
}

async function batchFolders(directory: string): Promise<string[]> {
  if (!(await exists(directory))) return []
  const entries = await readdir(directory, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory() && /^batch-\d+$/.test(entry.name))
    .map((entry) => join(directory, entry.name))
}

async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw error
  }
}

async function writeTotals(directory: string, totals: Totals): Promise<string> {
  const path = join(directory, TOTALS)
  const temporary = join(directory, TOTALS_IN_THE_MAKING)
  await synced(await open(temporary, 'w'), (file) => file.writeFile(formatTotals(totals)))
  await rename(temporary, path)
  await synced(await open(directory, 'r'))
  return path
}

/** Lets `write` do its work on an open file or folder, waits until that is on the disk, and closes it. */
async function synced(file: FileHandle, write?: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await write?.(file)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}
