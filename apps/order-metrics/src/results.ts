/** The folder that a run's results go to. */
import { access, mkdir, open, readdir, readFile, rename, rm, rmdir, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { formatTotals, type Totals } from './totals.js'

const TOTALS = 'totals.json'
const REJECTED = 'rejected.ndjson'
/** There as long as the run can be resumed. */
const RUN = 'run.json'
/** SQLite's files. */
const DATABASE = ['metrics.db', 'metrics.db-wal', 'metrics.db-shm']
/** What is written for each batch; a folder each. */
const BATCH_RESULTS = ['metrics', 'suspicious', 'blacklisted', 'rejected'] as const
const BATCH = 'batch'

type BatchResult = (typeof BATCH_RESULTS)[number]

/** A run cannot begin, or go on, for a reason outside this program. The message says what to do. */
export class RunError extends Error {}

export interface Results {
  readonly directory: string
  /** Where the log is from which the run is resumed. */
  readonly checkpoint: string
  /** Start of the paths that what each batch gives goes to: batch T has the folder `metrics/batch-T`. */
  readonly prefixes: Readonly<Record<BatchResult, string>>
  /**
   * Writes `rejected.ndjson`, and then `totals.json`, whole or not at all. Returns the path of the latter. A run that is at its end is
   * finished then: it cannot be resumed.
   */
  writeTotals(totals: Totals, isAtEnd: boolean): Promise<string>
}

export interface ResultsOptions {
  /** Undefined: a new one, with the time of the start in its name. */
  readonly outDirectory: string | undefined
  /** Undefined: `checkpoint` in the folder of the results. */
  readonly checkpoint: string | undefined
  /** Removes an earlier run first. */
  readonly fresh: boolean
}

/**
 * Makes a folder ready for a run, or for going on with one that was stopped or killed. A finished run is refused, unless `fresh` says to
 * remove its results. What is no result of this program stays in any case. Throws {@link RunError}.
 */
export async function openResults(options: ResultsOptions, start: Date): Promise<Results> {
  const directory = options.outDirectory ?? (await newDirectory(start))
  const { checkpoint = join(directory, 'checkpoint'), fresh } = options
  try {
    await mkdir(directory, { recursive: true })
    if (fresh) await removeResults(directory, checkpoint)
    const isResumed = !fresh && (await requireOwnRun(directory, checkpoint))
    // Of a run that was stopped: there will be others.
    for (const name of [TOTALS, REJECTED]) await rm(join(directory, name), { force: true })
    if (!isResumed) await writeWhole(directory, RUN, runRecord(directory, checkpoint))
  } catch (error) {
    if (error instanceof RunError) throw error
    throw new RunError(`cannot write to ${directory}: ${(error as Error).message}`, { cause: error })
  }
  const prefixOf = (result: BatchResult): string => join(directory, result, BATCH)
  return {
    directory,
    checkpoint,
    prefixes: {
      metrics: prefixOf('metrics'),
      suspicious: prefixOf('suspicious'),
      blacklisted: prefixOf('blacklisted'),
      rejected: prefixOf('rejected'),
    },
    writeTotals: async (totals, isAtEnd) => {
      await writeWhole(directory, REJECTED, await rejectedLines(directory))
      await writeWhole(directory, TOTALS, formatTotals(totals))
      if (isAtEnd) await finish(directory, checkpoint)
      return join(directory, TOTALS)
    },
  }
}

/** Which log the results belong to: where it is, as seen from them. */
function runRecord(directory: string, checkpoint: string): string {
  return `${JSON.stringify({ checkpoint: relative(directory, checkpoint) })}\n`
}

/** Whether there is a run that can go on; false for a folder without one. Throws when results and log do not belong together. */
async function requireOwnRun(directory: string, checkpoint: string): Promise<boolean> {
  const refuse = (problem: string): never => {
    throw new RunError(`${problem}; choose another folder, or add --fresh to remove those results first`)
  }
  const run = await textOf(join(directory, RUN))
  const hasLog = await exists(join(checkpoint, 'app.json'))
  const hasResults = (await batchFolders(join(directory, 'metrics'))).length > 0
  if (run === undefined) {
    if (await exists(join(directory, TOTALS))) refuse(`${directory} holds the results of a finished run`)
    if (hasResults) refuse(`${directory} holds results of a run that cannot be resumed`)
    if (hasLog) refuse(`${checkpoint} holds the log of another run`)
    return false
  }
  if (run !== runRecord(directory, checkpoint)) refuse(`${directory} belongs to another checkpoint (${run.trim()})`)
  if (hasResults && !hasLog) refuse(`the log of the run in ${directory} is gone from ${checkpoint}`)
  return true
}

/** Nothing is left to go on with. */
async function finish(directory: string, checkpoint: string): Promise<void> {
  await rm(join(directory, RUN), { force: true })
  await removeCheckpoint(checkpoint)
}

/** All rejected lines, as the batches have written them. */
async function rejectedLines(directory: string): Promise<string> {
  const texts: string[] = []
  for (const folder of await batchFolders(join(directory, 'rejected'))) {
    const parts = (await readdir(folder)).filter((name) => name.startsWith('part-')).sort()
    for (const part of parts) texts.push(await readFile(join(folder, part), 'utf8'))
  }
  return texts.join('')
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

/** Removes what a run writes, by name: never a whole folder with whatever is in it. */
async function removeResults(directory: string, checkpoint: string): Promise<void> {
  for (const name of [TOTALS, REJECTED, ...DATABASE]) await rm(join(directory, name), { force: true })
  for (const name of await readdir(directory)) {
    if (/^metrics\.db\.holder\.\d+$/.test(name)) await rm(join(directory, name))
  }
  for (const result of BATCH_RESULTS) await removeBatches(join(directory, result))
  await finish(directory, checkpoint)
}

async function removeCheckpoint(checkpoint: string): Promise<void> {
  if (!(await exists(checkpoint))) return
  // First of all what makes it one: a removal that breaks off leaves none.
  await rm(join(checkpoint, 'app.json'), { force: true })
  for (const name of await readdir(checkpoint)) {
    if (/^(epochs|data-\d{10})$/.test(name)) await rm(join(checkpoint, name), { recursive: true })
  }
  await removeIfEmpty(checkpoint)
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

/** In the order of their times. */
async function batchFolders(directory: string): Promise<string[]> {
  if (!(await exists(directory))) return []
  const entries = await readdir(directory, { withFileTypes: true })
  return entries
    .filter((entry) => entry.isDirectory() && /^batch-\d+$/.test(entry.name))
    .map((entry) => join(directory, entry.name))
    .sort((a, b) => timeOf(a) - timeOf(b))
}

function timeOf(folder: string): number {
  return Number(basename(folder).slice(BATCH.length + 1))
}

async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') throw error
  }
}

async function writeWhole(directory: string, name: string, text: string): Promise<void> {
  const temporary = join(directory, `_${name}`)
  await synced(await open(temporary, 'w'), (file) => file.writeFile(text))
  await rename(temporary, join(directory, name))
  await synced(await open(directory, 'r'))
}

async function textOf(path: string): Promise<string | undefined> {
  return (await exists(path)) ? readFile(path, 'utf8') : undefined
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
