/** Finds the files of a path and cuts them into the partitions of an RDD. */
import { SluiceError } from '../errors.js'
import type { Pipeline, Source } from '../rdd/pipeline.js'
import { joinPath, type FileSystems } from '../storage/paths.js'
import { splitFile } from '../storage/text.js'

interface FoundFile {
  readonly path: string
  readonly sizeBytes: number
}

/** Exactly `partitions` sources that cover the lines of all files, in order, about the same number of bytes in each. */
export async function textSources(
  fileSystems: FileSystems,
  path: string,
  partitions: number,
): Promise<readonly Source[]> {
  const files = await filesOf(fileSystems, path)
  const total = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const target = Math.max(1, Math.ceil(total / partitions))
  const pieces = files.flatMap((file) => {
    const splits = Math.max(1, Math.round(file.sizeBytes / target))
    return splitFile(file, splits, 1).map(({ start, length }) => ({ path: file.path, start, length }))
  })
  return dealt(
    pieces.map((piece) => ({ source: { kind: 'text', ...piece }, bytes: piece.length })),
    partitions,
    target,
  )
}

/** Exactly `partitions` sources that give the files whole. */
export async function wholeFileSources(
  fileSystems: FileSystems,
  path: string,
  partitions: number,
): Promise<readonly Source[]> {
  const files = await filesOf(fileSystems, path)
  const total = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const pieces = files.map((file) => ({ source: { kind: 'bytes' as const, path: file.path }, bytes: file.sizeBytes }))
  return dealt(pieces, partitions, Math.max(1, Math.ceil(total / partitions)))
}

/** Neighbours go together until a partition has its share. */
function dealt(pieces: readonly { source: Source; bytes: number }[], partitions: number, target: number): Source[] {
  const inputs: Pipeline[][] = Array.from({ length: partitions }, () => [])
  let before = 0
  for (const { source, bytes } of pieces) {
    // By the middle of the piece: it belongs to the partition that holds most of it.
    const at = Math.min(partitions - 1, Math.floor((before + bytes / 2) / target))
    inputs[at]?.push({ source, ops: [] })
    before += bytes
  }
  return inputs.map((each) => ({ kind: 'concat', inputs: each }))
}

async function filesOf(fileSystems: FileSystems, path: string): Promise<FoundFile[]> {
  const { fileSystem, path: own } = fileSystems.resolve(path)
  const stat = await fileSystem.stat(own)
  if (stat === undefined) throw notFound(path)
  if (stat.kind === 'file') return [{ path, sizeBytes: stat.sizeBytes }]
  const names: string[] = []
  for await (const entry of fileSystem.list(own)) {
    // Names that begin so are hidden: _SUCCESS, temporary files.
    if (entry.kind === 'file' && !/^[._]/.test(entry.name)) names.push(entry.name)
  }
  const files: FoundFile[] = []
  for (const name of names.sort()) {
    const file = await fileSystem.stat(joinPath(own, name))
    if (file !== undefined) files.push({ path: joinPath(path, name), sizeBytes: file.sizeBytes })
  }
  return files
}

function notFound(path: string): SluiceError {
  return new SluiceError({
    code: 'FILE_NOT_FOUND',
    component: 'textFile',
    message: `there is no file or folder at ${path}; check the path`,
  })
}
