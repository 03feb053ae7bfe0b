/** @sluice/sink-hdfs: HDFS as a file system, and the sink for files there. */
export { hdfs } from './hdfs/hdfs-file-system.js'
export type { HdfsOptions } from './hdfs/hdfs.config.js'
export type { TlsOptions } from './hdfs/http-call.js'
