/**
 * Files that appear in folders: each new file becomes part of the first batch after it. What a batch reads is fixed when it is
 * planned: names, sizes, times; a file that has changed since fails the batch by name (E15).
 */
import { isSluiceError, messageOf, requireArgument, SluiceError } from '../errors.js'
import type { FileSystem } from '../storage/file-system.js'
import { basenameOf, joinPath } from '../storage/paths.js'
import { formatDuration, milliseconds, type BatchTime, type Duration } from '../time/duration.js'
import { FoundFiles, isBefore, JudgedNames, WaitingFiles, type FilePlace, type PlannedFile } from './file-names.js'
import type { InputContext, InputPlan, InputSource } from './input.js'

export interface FileStreamOptions {
  readonly name?: string | undefined
  /** Which names count. Default: those that do not begin with `.` or `_`. */
  readonly filter?: ((name: string) => boolean) | undefined
  /**
   * Leaves out files that were there before the start, and late ones. Default: true. If false, each file of the folder is
   * taken, whatever its time.
   */
  readonly newFilesOnly?: boolean | undefined
  /**
   * How long before the last listing a file may have been written to be taken still; an older one is late, is left out and a
   * warning says so. Files must appear whole, by a rename into the folder, within this time. Default: 60 s.
   */
  readonly remember?: Duration | undefined
  /** Most files that a batch takes, the oldest first; the others are taken by the next ones. Default: 10 000. */
  readonly maxFilesPerBatch?: number | undefined
}

interface FilePlan {
  readonly files: readonly PlannedFile[]
  /** In the first plan: names that were there before the start. */
  readonly left?: readonly string[] | undefined
}

/** What a restart must know besides the files of the last plans. */
interface FileHead {
  /** When the folder was listed last. */
  readonly listedAt: number
  /** The first of the files that wait for a batch. */
  readonly waiting: FilePlace | undefined
}

const DEFAULT_REMEMBER_MS = 60_000
const DEFAULT_MOST_FILES = 10_000
/** Entries of a folder looked at before others have their turn. */
const TURN_ENTRIES = 500
/** For so many times as long as a file may be late, a restart finds the plans. */
const KEPT_PLANS = 2
/** Files whose size and time are asked for at once. */
const STATS_AT_ONCE = 32
/** Files that a description lists. */
const DESCRIBED_FILES = 100

export interface FileSourceParts<T> {
  readonly fileSystem: FileSystem
  readonly directory: string
  readonly options: FileStreamOptions
  read(file: PlannedFile): AsyncIterable<readonly T[]>
}

/**
 * A source of the new files of a folder, one partition each, in the order of their times and names. A name counts once for as
 * long as the file stands there: one that is replaced or appended to is not read again.
 *
 * After a restart it goes on from the last listing: a file of the down time is new if it was written at most `remember` before
 * that listing, also with `newFilesOnly: false`. What is older and not among those that were waiting counts as read, or as late.
 */
export function fileSource<T>(parts: FileSourceParts<T>): InputSource<T, FilePlan> {
  return new FileSource(parts)
}

class FileSource<T> implements InputSource<T, FilePlan> {
  readonly '~sluice' = 'input/1'
  readonly name: string
  readonly replayable = true
  readonly keepPlansMs: number
  readonly #parts: FileSourceParts<T>
  readonly #accepts: (name: string) => boolean
  readonly #rememberMs: number
  readonly #mostFiles: number
  readonly #judged = new JudgedNames()
  readonly #waiting = new WaitingFiles()
  readonly #found: FoundFiles
  #late: string[] = []
  /** When the folder was listed last: a batch time. */
  #listedAt = 0
  /** Of an earlier run, until the folder is listed again. */
  #head: FileHead | undefined
  /** Names to be told with the first plan. */
  #left: readonly string[] | undefined
  #isFailing = false
  /** Monotonic time before which the folder is not listed again. */
  #restUntil = -Infinity
  #context: InputContext | undefined

  constructor(parts: FileSourceParts<T>) {
    const { directory, options } = parts
    this.name = options.name ?? `files of ${directory}`
    this.#parts = parts
    this.#accepts = options.filter ?? isVisible
    this.#rememberMs = options.remember ?? DEFAULT_REMEMBER_MS
    this.#mostFiles = options.maxFilesPerBatch ?? DEFAULT_MOST_FILES
    this.#found = new FoundFiles(this.#rememberMs)
    this.keepPlansMs = KEPT_PLANS * this.#rememberMs
    requireArgument(this.#rememberMs > 0, this.name, 'remember must be longer than 0')
    requireArgument(this.#mostFiles >= 1, this.name, 'maxFilesPerBatch must be at least 1')
  }

  async start(context: InputContext): Promise<void> {
    this.#context = context
    const { fileSystem, directory, options } = this.#parts
    const stat = await fileSystem.stat(directory)
    if (stat?.kind !== 'directory') {
      throw new SluiceError({
        code: 'FILE_NOT_FOUND',
        component: this.name,
        message: `there is no folder ${directory}; make it before the start`,
      })
    }
    const { resumed } = context
    if (resumed?.head !== undefined) {
      this.#resume(resumed.head as FileHead, resumed.plans)
      return
    }
    this.#listedAt = context.clock.now()
    if (options.newFilesOnly === false) return
    // Where a first run died before its first plan, what came since its start is new.
    await this.#leaveStanding(context, resumed?.zeroTime)
  }

  /** Leaves out files that are there, written before `until`. */
  async #leaveStanding(context: InputContext, until = Infinity): Promise<void> {
    const { fileSystem, directory } = this.#parts
    const left: string[] = []
    for await (const name of this.#unjudged(context)) {
      const stat = until === Infinity ? undefined : await fileSystem.stat(joinPath(directory, name))
      if ((stat?.modifiedMs ?? -Infinity) >= until) continue
      this.#judged.add(name)
      left.push(name)
    }
    this.#judged.endListing()
    if (left.length > 0) this.#left = left
  }

  /** Goes on after an earlier run, from its last plans. */
  #resume(head: FileHead, plans: readonly { readonly data: unknown }[]): void {
    this.#head = head
    this.#listedAt = head.listedAt
    for (const { data } of plans) {
      const { files, left = [] } = data as FilePlan
      for (const name of left) this.#judged.add(name)
      for (const { path, modifiedMs } of files) {
        this.#judged.add(basenameOf(path))
        this.#found.add(basenameOf(path), modifiedMs)
      }
    }
    this.#judged.endListing()
  }

  async plan(time: BatchTime): Promise<InputPlan<FilePlan>> {
    const context = this.#context
    if (context !== undefined) await this.#lookRested(time, context)
    const files: PlannedFile[] = []
    while (files.length < this.#mostFiles) {
      const file = this.#waiting.shift()
      if (file === undefined) break
      files.push(file)
    }
    const left = this.#left
    this.#left = undefined
    return {
      data: left === undefined ? { files } : { files, left },
      description: describe(files),
      head: this.#headNow(),
    }
  }

  /** Of the earlier run still, while the folder could not be listed since. */
  #headNow(): FileHead {
    if (this.#head !== undefined) return this.#head
    const first = this.#waiting.first
    const waiting = first === undefined ? undefined : { path: first.path, modifiedMs: first.modifiedMs }
    return { listedAt: this.#listedAt, waiting }
  }

  /** A folder so large that listing it takes longer than a tick is listed half of the time, and not ever later. */
  async #lookRested(time: BatchTime, context: InputContext): Promise<void> {
    const beganAt = context.clock.monotonic()
    if (beganAt < this.#restUntil) return
    await this.#look(time, context)
    const endedAt = context.clock.monotonic()
    this.#restUntil = endedAt + (endedAt - beganAt)
  }

  /** Finds what is new. When the folder cannot be listed it may be back at the next tick. */
  async #look(time: BatchTime, context: InputContext): Promise<void> {
    // Both the wall clock and the time of batches may have jumped since the last listing, in which case nothing may be lost.
    const now = this.#head === undefined ? context.clock.now() : Infinity
    const after = Math.min(this.#listedAt, now) - this.#rememberMs
    try {
      let group: string[] = []
      for await (const name of this.#unjudged(context)) {
        group.push(name)
        if (group.length < STATS_AT_ONCE) continue
        await this.#judge(group, time, after)
        group = []
      }
      await this.#judge(group, time, after)
    } catch (error) {
      if (context.signal.aborted) return
      // Not the folder: the filter.
      if (!isSluiceError(error)) throw error
      if (!this.#isFailing) context.logger.warn(`[${this.name}] cannot list the folder: ${messageOf(error)}`)
      this.#isFailing = true
      return
    }
    if (this.#isFailing) context.logger.info(`[${this.name}] the folder can be listed again`)
    this.#isFailing = false
    this.#head = undefined
    this.#listedAt = time
    this.#judged.endListing()
    this.#found.endListing(time)
    this.#tellLate(context)
  }

  /** Names of files that are not judged yet. */
  async *#unjudged({ clock, signal }: InputContext): AsyncGenerator<string> {
    const { fileSystem, directory } = this.#parts
    let looked = 0
    for await (const { kind, name } of fileSystem.list(directory)) {
      if (++looked % TURN_ENTRIES === 0) {
        await clock.yield()
        signal.throwIfAborted()
      }
      if (kind === 'file' && !this.#judged.has(name) && this.#accepts(name)) yield name
    }
  }

  async #judge(names: readonly string[], time: BatchTime, after: number): Promise<void> {
    const { fileSystem, directory, options } = this.#parts
    const stats = await Promise.all(names.map((name) => fileSystem.stat(joinPath(directory, name))))
    for (const [index, name] of names.entries()) {
      const stat = stats[index]
      // One that is gone, or whose time is still to come.
      if (stat === undefined || stat.modifiedMs > time) continue
      this.#judged.add(name)
      const { sizeBytes, modifiedMs } = stat
      if (this.#found.has(name, modifiedMs)) continue
      const path = joinPath(directory, name)
      if (this.#isOfEarlierRun({ path, modifiedMs }, after)) continue
      if (modifiedMs <= after && options.newFilesOnly !== false && this.#head === undefined) {
        this.#late.push(path)
        continue
      }
      this.#found.add(name, modifiedMs)
      this.#waiting.push({ path, sizeBytes, modifiedMs })
    }
  }

  /** Whether an earlier run has taken the file, or left it out: all those that are as old, and none that was waiting. */
  #isOfEarlierRun(file: FilePlace, after: number): boolean {
    if (this.#head === undefined || file.modifiedMs > after) return false
    const { waiting } = this.#head
    return waiting === undefined || isBefore(file, waiting)
  }

  #tellLate({ logger }: InputContext): void {
    const [first] = this.#late
    if (first === undefined) return
    const others = this.#late.length === 1 ? '' : ` and ${String(this.#late.length - 1)} more`
    const limit = formatDuration(milliseconds(this.#rememberMs))
    logger.warn(
      `[${this.name}] left out ${first}${others}: written more than ${limit} before; rename files into the folder sooner, or raise remember`,
    )
    this.#late = []
  }

  partitions({ files }: FilePlan): readonly PlannedFile[] {
    return files
  }

  async *read(file: PlannedFile): AsyncGenerator<readonly T[]> {
    await this.#requireUnchanged(file)
    try {
      yield* this.#parts.read(file)
    } catch (error) {
      // Whatever else it seems to be, the reason is that it is another file.
      await this.#requireUnchanged(file, error)
      throw isSluiceError(error, 'FILE_NOT_FOUND') ? changed(this.name, file, 'was gone', error) : error
    }
    // What was read is what was planned only if it was the same file to the end.
    await this.#requireUnchanged(file)
  }

  async #requireUnchanged(file: PlannedFile, cause?: unknown): Promise<void> {
    const stat = await this.#parts.fileSystem.stat(file.path)
    if (stat === undefined) throw changed(this.name, file, 'is gone', cause)
    if (stat.sizeBytes !== file.sizeBytes || stat.modifiedMs !== file.modifiedMs) {
      throw changed(this.name, file, 'has changed', cause)
    }
  }
}

function isVisible(name: string): boolean {
  return !/^[._]/.test(name)
}

function describe(files: readonly PlannedFile[]): string {
  const lines = files.slice(0, DESCRIBED_FILES).map(({ path }) => path)
  if (files.length > DESCRIBED_FILES) lines.push(`and ${String(files.length - DESCRIBED_FILES)} more`)
  return lines.join('\n')
}

function changed(name: string, { path }: PlannedFile, what: string, cause: unknown): SluiceError {
  return new SluiceError({
    code: 'FILE_CHANGED',
    component: name,
    message: `${path} ${what} since its batch was planned; write files elsewhere and rename them into the folder, and keep them`,
    cause,
  })
}
