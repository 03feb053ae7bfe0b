/** For readers: the files that count. */
import { isSluiceError, type FileSystem, type SchemeFileSystem } from '@sluice/core'
import { below } from '../files/paths.js'
import { Ledger, LEDGERS, type ListedFile } from './ledger.js'

/** The whole path, and what the manifest says of it. */
export type CommittedFile = ListedFile

/**
 * The files below a file sink's folder that committed batches have, of all applications and outputs that write there, the oldest
 * first; none where nobody has. Paths are whole ones. While files are being compacted, one that was listed may be gone: list again.
 */
export async function committedFiles(
  path: string,
  given: SchemeFileSystem | FileSystem,
): Promise<readonly CommittedFile[]> {
  const fileSystem = 'fileSystem' in given ? given.fileSystem : given
  const files: CommittedFile[] = []
  for (const key of await ledgersIn(fileSystem, path)) {
    const listed = await filesIn(new Ledger(fileSystem, path, key))
    files.push(...listed.map((file) => ({ ...file, path: below(path, file.path) })))
  }
  return files
}

async function ledgersIn(fileSystem: FileSystem, path: string): Promise<string[]> {
  const keys: string[] = []
  try {
    for await (const { name, kind } of fileSystem.list(below(path, LEDGERS))) if (kind === 'directory') keys.push(name)
  } catch (error) {
    if (!isSluiceError(error, 'FILE_NOT_FOUND')) throw error
  }
  return keys.sort()
}

async function filesIn(ledger: Ledger): Promise<ListedFile[]> {
  const times = await ledger.times()
  const covered = new Set<number>()
  const files: ListedFile[] = []
  for (const time of times.merged) {
    const plan = await ledger.readPlan(time)
    if (plan === undefined) continue
    // Also of a process that was replaced, woke, and listed one of these batches again.
    for (const each of plan.times) covered.add(each)
    files.push(...plan.kept, ...plan.merges.map(({ to }) => to))
  }
  for (const time of times.manifest) if (!covered.has(time)) files.push(...(await ledger.filesOf(time)))
  return files
}
