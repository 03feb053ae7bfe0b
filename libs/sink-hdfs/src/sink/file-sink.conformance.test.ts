import { gunzipSync } from 'node:zlib'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newIdentity, nodeFileSystem, type FileSystem, type Sink } from '@sluice/core'
import { describeWithServices } from '@sluice/services'
import { awkwardTexts, memoryFileSystem, sinkConformance, type SinkTarget, type Skip } from '@sluice/testkit'
import { describe, test } from 'vitest'
import { hdfs } from '../hdfs/hdfs-file-system.js'
import { s3 } from '../s3/s3-file-system.js'
import { configOf, makeBucket } from '../testing/s3-bucket.js'
import { committedFiles } from './committed-files.js'
import { fileSink } from './file-sink.js'
import type { FileSinkOptions } from './file-sink.config.js'
import { ndjson, text } from './format.js'

interface Order {
  readonly id: string
  readonly country: string
  readonly amount: number | bigint
}

interface Place {
  readonly fileSystem: FileSystem
  readonly root: string
  close?(): Promise<void>
}

type Options<T> = Omit<FileSinkOptions<T>, 'path' | 'fileSystem'>

async function targetOf<T>(place: Place, options: Options<T>, parse: (line: string) => T): Promise<SinkTarget<T>> {
  const { fileSystem, root, close } = place
  const path = `${root}/out`
  const make = (): Sink<T> => fileSink<T>({ path, fileSystem, ...options })
  return {
    sink: make(),
    reopen: make,
    // Only what the manifests list counts.
    readBack: async () => {
      const records: T[] = []
      for (const file of await committedFiles(path, fileSystem)) {
        const bytes = await fileSystem.read(file.path)
        const lines = Buffer.from(file.path.endsWith('.gz') ? gunzipSync(bytes) : bytes)
          .toString()
          .split('\n')
        records.push(...lines.slice(0, -1).map(parse))
      }
      return records
    },
    ...(close === undefined ? {} : { close }),
  }
}

const skip: readonly Skip[] = [
  {
    test: 'a late older batch is refused',
    reason: 'each batch has files of its own, so that nothing newer is overwritten',
  },
  {
    test: 'E8: once a higher epoch has opened, a lower one can write no more',
    reason: 'files have no record that could fence (E8); they are put if absent, so that a late one changes nothing',
  },
]

const order = (index: number): Order => ({
  id: `order ${String(index)}`,
  country: `c${String(index % 3)}`,
  amount: index,
})

function broken(): FileSystem {
  const fileSystem = memoryFileSystem()
  void fileSystem.create('/x', new Uint8Array(0))
  return fileSystem
}

interface Setting {
  readonly name: string
  readonly open: () => Promise<Place>
  readonly manyRecords: number
  /** Only in folders, which does all that the other one does. */
  readonly isSlow?: boolean
}

function conformance({ name, open, manyRecords, isSlow = false }: Setting): void {
  const common = { describe, test, manyRecords, deadlineMs: 60_000 }
  if (!isSlow) {
    sinkConformance<string>({
      ...common,
      name: `fileSink of text on ${name}`,
      open: async () => targetOf<string>(await open(), { format: text<string>() }, (line) => line),
      record: (index) => `line ${String(index)}`,
      awkward: awkwardTexts,
      refused: ['two\nlines', '\n'],
      broken: () => fileSink<string>({ path: '/x/y', fileSystem: broken(), format: text<string>() }),
      skip,
    })
  }
  sinkConformance<Order>({
    ...common,
    name: `fileSink of compressed NDJSON in folders, compacted, on ${name}`,
    open: async () =>
      targetOf<Order>(
        await open(),
        {
          format: ndjson<Order>({ gzip: true }),
          folders: 'dt={yyyy}-{MM}-{dd}/country={country}',
          compact: { batches: 3 },
          // So small that files are sent while they are made.
          bufferBytes: 1,
        },
        (line) => JSON.parse(line) as Order,
      ),
    record: order,
    awkward: awkwardTexts.map((id, index) => ({ id, country: [...id].slice(0, 20).join(''), amount: index })),
    refused: [
      { id: 'NaN', country: 'c0', amount: NaN },
      { id: 'bigint', country: 'c1', amount: 1n },
      { id: 'no folder', country: {} as string, amount: 1 },
    ],
    broken: () => fileSink<Order>({ path: '/x/y', fileSystem: broken(), format: ndjson<Order>() }),
    skip: [...skip, { test: 'the records of a partition keep their order', reason: 'they do so in each folder' }],
  })
}

conformance({
  name: 'the local disk',
  manyRecords: 100_000,
  open: async () => {
    const root = await mkdtemp(join(tmpdir(), 'sluice-files-'))
    return { fileSystem: nodeFileSystem(), root, close: () => rm(root, { recursive: true }) }
  },
})

await describeWithServices({ describe, test }, ['s3'], 'on S3', (values) => {
  conformance({
    name: 'S3',
    isSlow: true,
    manyRecords: 100_000,
    open: async () => {
      const { fileSystem } = s3({ config: configOf(values.s3), partBytes: 5 * 2 ** 20 })
      const root = `s3://${await makeBucket(values.s3)}/sink/${newIdentity()}`
      return { fileSystem, root, close: () => fileSystem.removeTree(root) }
    },
  })
})

await describeWithServices({ describe, test }, ['hdfs'], 'on HDFS', (values) => {
  conformance({
    name: 'HDFS',
    isSlow: true,
    manyRecords: 30_000,
    open: async () => {
      const { fileSystem } = hdfs({ nameNodes: values.hdfs.url, user: 'root' })
      const root = `hdfs://cluster/sink/${newIdentity()}`
      return { fileSystem, root, close: () => fileSystem.removeTree(root) }
    },
  })
})
