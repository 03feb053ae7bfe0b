import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  nodeFileSystem,
  seconds,
  StreamingContext,
  systemClock,
  type DStream,
  type FileSystem,
  type InputSource,
  type OpOptions,
} from '@sluice/core'
import { describe, test } from 'vitest'
import { inputConformance, ManualClock, memoryFileSystem, type InputTarget, type Skip } from '../index.js'

/** A context that runs nothing: what it is for is the source behind a stream. */
class SourceContext extends StreamingContext {
  source: InputSource<unknown> | undefined

  override inputStream<T>(source: InputSource<T>, options?: OpOptions): DStream<T> {
    this.source = source
    return super.inputStream<T>({ ...idle, name: source.name } as InputSource<T>, options)
  }
}

const idle: InputSource<unknown> = {
  '~sluice': 'input/1',
  name: 'idle',
  replayable: true,
  plan: () => undefined,
  partitions: () => [],
  read: () => [],
}

/** The source of a stream; nobody has started it. */
function sourceOf<T>(fileSystem: FileSystem, declare: (ssc: StreamingContext) => DStream<T>): InputSource<T> {
  const ssc = new SourceContext({ batchInterval: seconds(1), localFileSystem: fileSystem, log: 'silent' })
  declare(ssc)
  return ssc.source as InputSource<T>
}

async function filesTarget<T>(
  fileSystem: FileSystem,
  root: string,
  declare: (ssc: StreamingContext, folder: string) => DStream<T>,
  encode: (records: readonly T[]) => Uint8Array,
): Promise<InputTarget<T>> {
  const folder = `${root}/in`
  await fileSystem.makeDirectory(folder)
  const open = (): InputSource<T> => sourceOf(fileSystem, (ssc) => declare(ssc, folder))
  let files = 0
  const names: string[] = []
  return {
    source: open(),
    reopen: open,
    add: async (records) => {
      const name = `${String(files++).padStart(5, '0')}.txt`
      await fileSystem.create(`${root}/${name}`, encode(records))
      await fileSystem.rename(`${root}/${name}`, `${folder}/${name}`)
      names.push(`${folder}/${name}`)
    },
    lose: async () => {
      for (const name of names) await fileSystem.remove(name)
    },
  }
}

const linesOf = (lines: readonly string[]): Uint8Array => Buffer.from(lines.map((line) => `${line}\n`).join(''))
const textFiles = (ssc: StreamingContext, folder: string): DStream<string> => ssc.textFileStream(folder)
const missingFolder = (): InputSource<never> =>
  sourceOf<never>(memoryFileSystem(), (ssc) => ssc.binaryRecordsStream('/nowhere', 1) as DStream<never>)

inputConformance<string>({
  describe,
  test,
  name: 'textFileStream on the memory disk',
  open: (clock) => filesTarget(memoryFileSystem({ clock }), '/work', textFiles, linesOf),
  record: (index) => `line ${String(index)}`,
  broken: missingFolder,
})

inputConformance<string>({
  describe,
  test,
  name: 'textFileStream on the local disk',
  clock: () => new ManualClock(systemClock.now()),
  open: async () => {
    const root = await mkdtemp(join(tmpdir(), 'sluice-source-'))
    const target = await filesTarget(nodeFileSystem(), root, textFiles, linesOf)
    return { ...target, close: () => rm(root, { recursive: true, force: true }) }
  },
  record: (index) => `line ${String(index)}`,
  broken: missingFolder,
})

const RECORD_BYTES = 1_024

inputConformance<Uint8Array>({
  describe,
  test,
  name: 'binaryRecordsStream',
  open: (clock) =>
    filesTarget<Uint8Array>(
      memoryFileSystem({ clock }),
      '/work',
      (ssc, folder) => ssc.binaryRecordsStream(folder, RECORD_BYTES),
      (records) => Buffer.concat(records),
    ),
  record: (index) => {
    const record = Buffer.alloc(RECORD_BYTES, index % 256)
    record.writeUInt32BE(index)
    return record
  },
  manyRecords: 20_000,
  broken: missingFolder,
})

const inMemory: readonly Skip[] = [
  { test: 'read gives bounded chunks, however much was planned', reason: 'its batches are arrays in memory already' },
  {
    test: 'a start that cannot work rejects, naming component, problem and remedy, and can be stopped',
    reason: 'there is nothing that could be missing',
  },
]

for (const [name, options] of [
  ['queueStream', {}],
  ['queueStream in three partitions', { partitions: 3 }],
  ['queueStream, all at once', { oneAtATime: false }],
] as const) {
  inputConformance<{ readonly n: number }>({
    describe,
    test,
    name,
    open: () => {
      const queue: (readonly { readonly n: number }[])[] = []
      const source = sourceOf(memoryFileSystem(), (ssc) => ssc.queueStream(queue, options))
      return { source, add: (records) => void queue.push(records) }
    },
    record: (n) => ({ n }),
    maxChunkRecords: Infinity,
    skip: inMemory,
  })
}
