/**
 * Few files of many: when enough batches are committed, the small files of each folder become one. What is to be done is written down
 * first, under the time of the first batch, if nobody has done so; then the new files are put, then it is marked as done, and only
 * then the old ones are removed. Whoever comes after a crash, or too late, does the same again (E23).
 */
import { isSluiceError, type SinkContext } from '@sluice/core'
import { messageOf } from '../errors.js'
import { below, folderOf } from '../files/paths.js'
import type { FileSinkPlan } from './file-sink.config.js'
import { COMPONENT } from './format.js'
import { identityOf, type Ledger, type ListedFile, type MergePlan } from './ledger.js'

type CompactingPlan = FileSinkPlan & { readonly compact: NonNullable<FileSinkPlan['compact']> }

export class Compaction {
  readonly #plan: CompactingPlan
  readonly #ledger: Ledger
  readonly #key: string
  readonly #context: SinkContext
  /** Batches with files that no plan covers, the oldest first. */
  #pending: number[] = []

  constructor(plan: CompactingPlan, ledger: Ledger, key: string, context: SinkContext) {
    this.#plan = plan
    this.#ledger = ledger
    this.#key = key
    this.#context = context
  }

  /** Ends what a run before has begun. */
  async resume(): Promise<void> {
    const times = await this.#ledger.times()
    const covered = new Set<number>()
    for (const time of times.plan) {
      const plan = await this.#ledger.readPlan(time)
      if (plan === undefined) continue
      for (const each of plan.times) covered.add(each)
      const isLeft = plan.times.some((each) => times.manifest.includes(each))
      if (!times.merged.includes(time) || isLeft) await this.#execute(time, plan, times.merged.includes(time))
    }
    this.#pending = times.manifest.filter((time) => !covered.has(time))
  }

  /** That files are small does no harm to the batch: what fails here is told, and tried again after the next one. */
  async afterCommit(time: number, signal: AbortSignal): Promise<void> {
    if (!this.#pending.includes(time)) this.#pending.push(time)
    const [first] = this.#pending
    if (first === undefined || this.#pending.length < this.#plan.compact.batches) return
    try {
      const plan = await this.#ledger.putPlan(first, await this.#planOf(this.#pending))
      signal.throwIfAborted()
      await this.#execute(first, plan, false)
      this.#pending = this.#pending.filter((each) => !plan.times.includes(each))
    } catch (error) {
      this.#context.logger.warn(`[${COMPONENT}] ${this.#plan.target} could not be compacted: ${messageOf(error)}`)
    }
  }

  async #planOf(times: readonly number[]): Promise<MergePlan> {
    const { maxBytes } = this.#plan.compact
    const byFolder = new Map<string, ListedFile[]>()
    for (const time of times) {
      for (const file of await this.#ledger.filesOf(time)) {
        const folder = file.path.includes('/') ? folderOf(file.path) : ''
        byFolder.set(folder, [...(byFolder.get(folder) ?? []), file])
      }
    }
    const merges: { to: ListedFile; from: ListedFile[] }[] = []
    const kept: ListedFile[] = []
    for (const [folder, files] of byFolder) {
      for (const from of groupsOf(files, maxBytes)) {
        if (from.length === 1) kept.push(...from)
        else merges.push({ to: this.#mergedOf(folder, from, times, merges.length), from })
      }
    }
    return { times, merges, kept }
  }

  #mergedOf(folder: string, from: readonly ListedFile[], times: readonly number[], number: number): ListedFile {
    const range = `${String(times[0] ?? 0)}-${String(times.at(-1) ?? 0)}-${String(number).padStart(5, '0')}`
    const name = `merged-${range}-${this.#key}${this.#plan.format.extension}`
    const sum = (of: (file: ListedFile) => number): number => from.reduce((total, file) => total + of(file), 0)
    return {
      path: folder === '' ? name : `${folder}/${name}`,
      // Before heads are left out: it is nothing to rely on.
      sizeBytes: sum(({ sizeBytes }) => sizeBytes),
      records: sum(({ records }) => records),
    }
  }

  async #execute(time: number, plan: MergePlan, isMerged: boolean): Promise<void> {
    if (!isMerged) {
      for (const merge of plan.merges) await this.#merge(time, merge)
      await this.#ledger.markMerged(time)
    }
    const { path, fileSystem } = this.#plan
    for (const { from } of plan.merges) for (const file of from) await fileSystem.remove(below(path, file.path))
    for (const each of plan.times) {
      await this.#ledger.remove(each, 'identity')
      await this.#ledger.remove(each, 'manifest')
    }
  }

  async #merge(time: number, { to, from }: MergePlan['merges'][number]): Promise<void> {
    const { path, fileSystem, format } = this.#plan
    const target = below(path, to.path)
    // Where it is there the old files may be gone.
    if ((await fileSystem.stat(target)) !== undefined) return
    const files: Uint8Array[] = []
    for (const file of from) files.push(await fileSystem.read(below(path, file.path)))
    const merged = format.merge?.(files) ?? Buffer.concat(files)
    const identity = identityOf({ ...this.#context, batchTime: time, partitions: 0, planDigest: 'merged', attempt: 0 })
    async function* whole(): AsyncGenerator<Uint8Array, void, undefined> {
      await Promise.resolve()
      yield merged
    }
    try {
      if (fileSystem.createFrom === undefined) await fileSystem.create(target, merged)
      else await fileSystem.createFrom(target, whole(), { identity })
    } catch (error) {
      if (!isSluiceError(error, 'FILE_EXISTS')) throw error
    }
  }
}

/** Files one after the other, in groups of at most so many bytes, or of one file. */
function groupsOf(files: readonly ListedFile[], maxBytes: number): ListedFile[][] {
  const groups: ListedFile[][] = []
  let bytes = Infinity
  for (const file of files) {
    if (bytes + file.sizeBytes > maxBytes) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)?.push(file)
    bytes += file.sizeBytes
  }
  return groups
}
