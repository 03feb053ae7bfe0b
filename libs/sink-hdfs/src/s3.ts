/** @sluice/sink-hdfs/s3: S3 as a file system, and the sink for files there. */
export { s3 } from './s3/s3-file-system.js'
export type { S3Options } from './s3/s3.config.js'
