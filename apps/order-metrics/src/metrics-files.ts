/** The figures of each batch as files on HDFS or S3, for whoever reads them with DuckDB, Spark or Hive. */
import { basename, resolve } from 'node:path'
import type { DStream, Pair, SchemeFileSystem } from '@sluice/core'
import { fileSink, hdfs, ndjson } from '@sluice/sink-hdfs'
import { s3 } from '@sluice/sink-hdfs/s3'
import type { Standing, Subject } from './figures.js'
import { isInFiles, metricsRow } from './rows.js'

/** A server that is started again is back before the tries end: some 25 s. */
const RETRY = { retries: 8 }
/** The many small files of so many batches become one a day. */
const COMPACT = { batches: 60 }

/** Where files go. */
export interface FilePlace {
  /** Of the output: it stands in the log. */
  readonly name: string
  /** A URL of the file system's scheme. */
  readonly path: string
  readonly fileSystem: SchemeFileSystem
}

/** From the URL of a NameNode's web server and a folder, e.g. `http://namenode:9870/orders`. The user is `HADOOP_USER_NAME`. */
export function hdfsPlace(url: string): FilePlace {
  const { origin, pathname } = new URL(url)
  const fileSystem = hdfs({ nameNodes: origin, user: process.env['HADOOP_USER_NAME'] })
  return { name: 'hdfs-files', path: `hdfs://cluster${pathname}`, fileSystem }
}

/** From `s3://bucket/folder`. Region, credentials and endpoint are where the AWS SDK looks for them. */
export function s3Place(url: string): FilePlace {
  // Servers of one's own seldom have a name for each bucket.
  const forcePathStyle = ['AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3'].some((name) => process.env[name] !== undefined)
  return { name: 's3-files', path: url, fileSystem: s3({ config: { forcePathStyle } }) }
}

/** The folder of a run, below that of all runs. */
export function filesOf({ path }: Pick<FilePlace, 'path'>, directory: string): string {
  return `${path.replace(/\/+$/, '')}/${basename(resolve(directory))}`
}

/** Writes the rows of `metrics/`, with the time of their batch, as NDJSON in a folder a day. */
export function writeFiles(standings: DStream<Pair<Subject, Standing>>, place: FilePlace, directory: string): void {
  const { name, fileSystem } = place
  const path = filesOf(place, directory)
  const folders = 'dt={yyyy}-{MM}-{dd}'
  standings
    .filter(isInFiles)
    .transform((rdd, batchTime) => rdd.map((standing) => ({ ...metricsRow(standing), batchTime })))
    .to(fileSink({ path, fileSystem, format: ndjson(), folders, compact: COMPACT }), { name, retry: RETRY })
}
