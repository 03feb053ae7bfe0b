/** What the rules for logs work with: owners that come one after another, and damage. */
import assert from 'node:assert/strict'
import { isSluiceError, type AppendFile, type FileSystem } from '@sluice/core'
import type { EntryLog, InspectLog, LogEntry, LogReport, OpenLog } from '@sluice/core/testing'
import { assertHelpful, settled, silentLogger } from '../suite/checks.js'
import type { Rule, Skip, SuiteRunner } from '../suite/runner.js'

/** A file system under test and an existing, empty folder in it that nobody else uses. */
export interface OpenedLogStorage {
  readonly fileSystem: FileSystem
  readonly root: string
  /** Called after the test, also after a failed one. Removes the folder. */
  close?(): Promise<void>
}

export interface LogConformanceOptions extends SuiteRunner {
  /** Names the suite, e.g. `local disk`. */
  readonly name: string
  /** Called once for each test. */
  readonly open: () => OpenedLogStorage | Promise<OpenedLogStorage>
  /** The log. Default: the one under Sluice's checkpoints, in the layout that the file system allows. */
  readonly openLog?: OpenLog | undefined
  readonly inspectLog?: InspectLog | undefined
  /** In how many places each file is damaged, one after the other. Fewer make a slow storage bearable. Default: 80. */
  readonly damages?: number | undefined
  readonly skip?: readonly Skip[] | undefined
}

/** What an owner found when it opened the log. */
interface Owner {
  readonly log: EntryLog
  readonly entries: readonly LogEntry[]
  readonly texts: readonly string[]
}

interface OwnerOptions {
  readonly epoch?: number
  readonly segmentBytes?: number
  /** Default: the file system under test. */
  readonly fileSystem?: FileSystem
  /** Default: the bench's own. */
  readonly folder?: string
  readonly onEntry?: (entry: LogEntry) => void | Promise<void>
}

export interface LogBench {
  readonly fs: FileSystem
  readonly folder: string
  /** In how many places each file is damaged. */
  readonly damages: number
  /** The next owner: with the next epoch, unless told otherwise. */
  owner(options?: OwnerOptions): Promise<Owner>
  inspect(folder?: string): Promise<LogReport>
  /** The names of the log's files, sorted. */
  files(): Promise<string[]>
  /** A copy of the log in another folder, in which one file has other contents, or is gone. */
  copyWith(name: string, data: Uint8Array | undefined): Promise<string>
  close(): Promise<void>
}

const DEFAULT_DAMAGES = 80

export type LogRule = Rule<LogBench>
export type Define = (name: string, run: (bench: LogBench) => Promise<void>) => void

/** The rules that groups define. */
export function rulesOf(...groups: readonly ((define: Define) => void)[]): LogRule[] {
  const rules: LogRule[] = []
  for (const group of groups) group((name, run) => void rules.push({ name, run }))
  return rules
}

export function benchOf(
  { fileSystem, root, close }: OpenedLogStorage,
  openLog: OpenLog,
  inspectLog: InspectLog,
  damages = DEFAULT_DAMAGES,
): LogBench {
  const folder = `${root}/log`
  const opened: EntryLog[] = []
  let epochs = 0
  let copies = 0
  const bench: LogBench = {
    fs: fileSystem,
    folder,
    damages,
    async owner({ epoch = ++epochs, onEntry, segmentBytes, ...place } = {}) {
      const entries: LogEntry[] = []
      const options = { fileSystem, folder, ...place, epoch, segmentBytes, logger: silentLogger }
      const log = await openLog(options, (entry) => {
        entries.push(entry)
        return onEntry?.(entry)
      })
      opened.push(log)
      return { log, entries, texts: entries.map(({ payload }) => textOf(payload)) }
    },
    inspect: (at = folder) => inspectLog({ fileSystem, folder: at }),
    async files() {
      const names: string[] = []
      for await (const { name, kind } of fileSystem.list(folder)) if (kind === 'file') names.push(name)
      return names.sort()
    },
    async copyWith(changed, data) {
      const copy = `${root}/copy-${String(++copies)}`
      await fileSystem.makeDirectory(copy)
      for (const name of await bench.files()) {
        const contents = name === changed ? data : await fileSystem.read(`${folder}/${name}`)
        if (contents !== undefined) await fileSystem.create(`${copy}/${name}`, contents)
      }
      return copy
    },
    async close() {
      // A log that failed rejects here, too: that has its own rule.
      for (const log of opened) await settled(() => log.close())
      await close?.()
    },
  }
  return bench
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text)
}

function textOf(data: Uint8Array): string {
  return Buffer.from(data).toString()
}

/** Appends these together. */
export function append(log: EntryLog, ...texts: readonly string[]): Promise<number[]> {
  return Promise.all(texts.map((text) => log.append(1, bytes(text))))
}

/**
 * A damaged copy of a log is refused with `DATA_CORRUPT`, or gives the first entries of the undamaged one: all of `durable`,
 * and maybe more. Never anything else.
 */
export async function assertNothingLostSilently(
  bench: LogBench,
  copy: string,
  all: readonly string[],
  durable: number,
): Promise<void> {
  const outcome = await settled(async () => {
    const { texts } = await bench.owner({ folder: copy, epoch: 1_000 })
    assert.deepEqual(texts, all.slice(0, texts.length))
    assert.ok(texts.length >= durable, `${String(texts.length)} entries of ${String(durable)} durable ones are left`)
  })
  if (!outcome.rejected) return
  assertHelpful(outcome.error)
  assert.ok(isSluiceError(outcome.error, 'DATA_CORRUPT'), String(outcome.error))
  assert.ok(outcome.error.message.includes(copy), `the message names the file: ${outcome.error.message}`)
  assert.notEqual((await bench.inspect(copy)).damage, undefined, 'inspect tells of the damage, too')
}

/** The file system, except that writes fail while `error` gives one. */
export function failingWrites(fs: FileSystem, error: () => Error | undefined): FileSystem {
  const unlessFailing = async <T>(work: () => Promise<T>): Promise<T> => {
    const failure = error()
    if (failure !== undefined) throw failure
    return work()
  }
  const guarded = (file: AppendFile): AppendFile => ({
    get sizeBytes() {
      return file.sizeBytes
    },
    append: (data) => unlessFailing(() => file.append(data)),
    sync: () => unlessFailing(() => file.sync()),
    close: () => file.close(),
  })
  return {
    '~sluice': 'file-system/1',
    name: fs.name,
    supports: fs.supports,
    create: (path, data, options) => unlessFailing(() => fs.create(path, data, options)),
    openAppend: async (path) => guarded(await fs.openAppend(path)),
    read: (path, range) => fs.read(path, range),
    stat: (path) => fs.stat(path),
    list: (path) => fs.list(path),
    makeDirectory: (path) => fs.makeDirectory(path),
    rename: (from, to) => fs.rename(from, to),
    link: (from, to) => fs.link(from, to),
    remove: (path) => fs.remove(path),
    removeTree: (path) => fs.removeTree(path),
    syncDirectory: (path) => fs.syncDirectory(path),
  }
}
