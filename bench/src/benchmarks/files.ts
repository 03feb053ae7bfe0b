/** Rows of JSON written by the file sink, with its ledger, against a loop that makes and puts the same files by the same client. */
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { newIdentity, SluiceContext, type FileSystem, type Rdd } from '@sluice/core'
import { ServiceError, startService } from '@sluice/services'
import { committedFiles, csv, fileSink, hdfs, ndjson, type FileFormat } from '@sluice/sink-hdfs'
import { s3 } from '@sluice/sink-hdfs/s3'
import type { Benchmark } from '../benchmark.js'
import { measure, type Contest } from '../measure.js'
import type { Row } from '../row.js'

const ROWS = 400_000
const PARTITIONS = 4
/** More than a file has. */
const FILE_BYTES = 2 ** 24
const AIM = 0.8
const BUCKET = 'bench'

interface Order {
  readonly id: number
  readonly user: string
  readonly amount: number
  readonly text: string
}

export const files: Benchmark = {
  name: 'files',
  about:
    '400,000 rows to S3 and HDFS in 4 files, as NDJSON and CSV: the file sink with its manifest against a bulk writer',
  async run(sizes) {
    const repeats = sizes.repeats({ warmUp: 1, rounds: 5 })
    const rows: Row[] = []
    for (const open of [openS3, openHdfs]) {
      const place = await open().catch((error: unknown) => {
        if (!(error instanceof ServiceError)) throw error
        console.error(`files: skipped: ${error.message}`)
        return undefined
      })
      if (place === undefined) continue
      const context = new SluiceContext({ log: 'silent' })
      try {
        const orders = Array.from({ length: sizes.count(ROWS) }, (_, index) => orderOf(index))
        rows.push(...(await measure(contestsOf(place, context.parallelize(orders, PARTITIONS), orders), repeats)))
      } finally {
        await context.stop()
        await place.close()
      }
    }
    return rows
  },
}

function orderOf(id: number): Order {
  return {
    id,
    user: `user ${String(id % 1_000)}`,
    amount: id % 97,
    text: `order of ${String(id % 31)} things, "quoted"`,
  }
}

interface Place {
  readonly name: string
  readonly root: string
  readonly fileSystem: FileSystem
  /** As one writes it by hand: the whole file in one call. */
  put(path: string, body: string): Promise<unknown>
  close(): Promise<void>
}

async function openS3(): Promise<Place> {
  const own = await startService('s3')
  const { endpoint, accessKeyId, secretAccessKey } = own.values
  const credentials = { accessKeyId, secretAccessKey }
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
  return {
    name: 'S3',
    root: `s3://${BUCKET}`,
    // In one request, too.
    fileSystem: s3({ client, partBytes: FILE_BYTES }).fileSystem,
    put: (path, body) =>
      client.send(new PutObjectCommand({ Bucket: BUCKET, Key: path.replace(`s3://${BUCKET}/`, ''), Body: body })),
    close: async () => {
      client.destroy()
      await own.stop()
    },
  }
}

async function openHdfs(): Promise<Place> {
  const own = await startService('hdfs')
  const { fileSystem } = hdfs({ nameNodes: own.values.url, user: 'root' })
  return {
    name: 'HDFS',
    root: 'hdfs://cluster',
    fileSystem,
    put: (path, body) => fileSystem.create(path, Buffer.from(body)),
    close: () => own.stop(),
  }
}

const quoted = (text: string): string => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)

function contestsOf(place: Place, rdd: Rdd<Order>, orders: readonly Order[]): Contest[] {
  const common = { aim: AIM, noun: 'rows', count: orders.length }
  const columns = ['id', 'user', 'amount', 'text'] as const
  const csvLine = ({ id, user, amount, text }: Order): string =>
    `${String(id)},${quoted(user)},${String(amount)},${quoted(text)}`
  return [
    {
      ...common,
      name: `files, NDJSON to ${place.name}`,
      ours: () => bySink(place, rdd, ndjson<Order>()),
      reference: () => byHand(place, orders, (order) => JSON.stringify(order)),
    },
    {
      ...common,
      name: `files, CSV to ${place.name}`,
      ours: () => bySink(place, rdd, csv<Order>({ columns, header: false })),
      reference: () => byHand(place, orders, csvLine),
    },
  ]
}

/** Bytes that count. */
async function bySink({ root, fileSystem }: Place, rdd: Rdd<Order>, format: FileFormat<Order>): Promise<number> {
  const path = `${root}/${newIdentity()}`
  await rdd.writeTo(fileSink<Order>({ path, fileSystem, format, bufferBytes: FILE_BYTES }))
  const listed = await committedFiles(path, fileSystem)
  return listed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}

async function byHand(place: Place, orders: readonly Order[], line: (order: Order) => string): Promise<number> {
  const path = `${place.root}/${newIdentity()}`
  await place.fileSystem.makeDirectory(path)
  const each = orders.length / PARTITIONS
  let bytes = 0
  for (let partition = 0; partition < PARTITIONS; partition++) {
    let body = ''
    for (let i = Math.floor(partition * each); i < Math.floor((partition + 1) * each); i++) {
      const order = orders[i]
      if (order !== undefined) body += `${line(order)}\n`
    }
    await place.put(`${path}/part-${String(partition)}`, body)
    bytes += Buffer.byteLength(body)
  }
  return bytes
}
