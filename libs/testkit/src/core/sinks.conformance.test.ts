import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFileSystem, objectFileSink, SluiceContext, textFileSink, type FileSystem, type Sink } from '@sluice/core'
import { describe, test } from 'vitest'
import {
  awkwardBytes,
  awkwardTexts,
  crashableFileSystem,
  memoryFileSystem,
  sinkConformance,
  type SinkTarget,
  type Skip,
} from '../index.js'

/** Paths of all parts below `folder`, by batch and number. */
async function partsOf(fileSystem: FileSystem, folder: string): Promise<string[]> {
  const parts: string[] = []
  if ((await fileSystem.stat(folder)) === undefined) return parts
  for await (const { name, kind } of fileSystem.list(folder)) {
    const path = `${folder}/${name}`
    if (kind === 'directory') parts.push(...(await partsOf(fileSystem, path)))
    else if (name.startsWith('part-')) parts.push(path)
  }
  return parts.sort()
}

interface Place {
  readonly fileSystem: FileSystem
  readonly root: string
  close?(): Promise<void>
}

async function localDisk(): Promise<Place> {
  const root = await mkdtemp(join(tmpdir(), 'sluice-sink-'))
  return { fileSystem: nodeFileSystem(), root, close: () => rm(root, { recursive: true, force: true }) }
}

function memoryDisk(): Promise<Place> {
  return Promise.resolve({ fileSystem: memoryFileSystem(), root: '/work' })
}

type MakeSink<T> = (options: { prefix: string; fileSystem: FileSystem }) => Sink<T>
type ReadPart<T> = (fileSystem: FileSystem, path: string) => Promise<readonly T[]>

async function targetOf<T>(place: () => Promise<Place>, make: MakeSink<T>, read: ReadPart<T>): Promise<SinkTarget<T>> {
  const { fileSystem, root, close } = await place()
  const sink = (): Sink<T> => make({ prefix: `${root}/out/batch`, fileSystem })
  return {
    sink: sink(),
    reopen: sink,
    readBack: async () => {
      const records: T[] = []
      for (const part of await partsOf(fileSystem, `${root}/out`)) records.push(...(await read(fileSystem, part)))
      return records
    },
    ...(close === undefined ? {} : { close }),
  }
}

async function linesOf(fileSystem: FileSystem, path: string): Promise<string[]> {
  const text = Buffer.from(await fileSystem.read(path)).toString()
  return text === '' ? [] : text.slice(0, -1).split('\n')
}

async function objectsOf(fileSystem: FileSystem, path: string): Promise<readonly unknown[]> {
  const context = new SluiceContext({ localFileSystem: fileSystem, log: 'silent' })
  try {
    return await context.objectFile(path).collect()
  } finally {
    await context.stop()
  }
}

/** Can neither append nor link. */
function objectStore(): Promise<Place> {
  const fileSystem = crashableFileSystem({ supports: { append: false, rename: false, link: false } })
  return Promise.resolve({ fileSystem, root: '/work' })
}

/** A disk on which a file stands where the sink wants a folder. */
function fullOfFiles(): FileSystem {
  const fileSystem = memoryFileSystem()
  void fileSystem.create('/x', new Uint8Array(0))
  return fileSystem
}

const skip: readonly Skip[] = [
  {
    test: 'a late older batch is refused',
    reason: 'each batch has a folder of its own, so that nothing newer is overwritten',
  },
  {
    test: 'E8: once a higher epoch has opened, a lower one can write no more',
    reason: 'files have no record that could fence (E8); parts are put if absent, so that a late one changes nothing',
  },
]
for (const [name, place] of [
  ['local disk', localDisk],
  ['memory disk', memoryDisk],
  ['memory disk that cannot append, as an object store', objectStore],
] as const) {
  for (const skipEmpty of [true, false]) {
    sinkConformance<string>({
      describe,
      test,
      name: `textFileSink on ${name}, skipEmpty: ${String(skipEmpty)}`,
      open: () => targetOf(place, (options) => textFileSink<string>({ ...options, skipEmpty }), linesOf),
      record: (index) => `line ${String(index)}`,
      awkward: awkwardTexts,
      refused: 'none',
      broken: () => textFileSink({ prefix: '/x/y/batch', fileSystem: fullOfFiles() }),
      skip,
    })
  }

  sinkConformance<unknown>({
    describe,
    test,
    name: `objectFileSink on ${name}`,
    open: () => targetOf<unknown>(place, (options) => objectFileSink(options), objectsOf),
    record: (index) => ({ index, key: `key ${String(index % 7)}`, half: index / 2 }),
    awkward: [...awkwardTexts, ...awkwardBytes, null, NaN, -0, 2n ** 80n, new Date(0), new Map([[1, new Set(['a'])]])],
    refused: 'none',
    broken: () => objectFileSink({ prefix: '/x/y/batch', fileSystem: fullOfFiles() }),
    skip,
  })
}
