/** @sluice/sink-hdfs: HDFS as a file system, and the sink for files on any file system. */
export { hdfs } from './hdfs/hdfs-file-system.js'
export type { HdfsOptions } from './hdfs/hdfs.config.js'
export type { TlsOptions } from './hdfs/http-call.js'
export type { ListedFile } from './sink/ledger.js'
export { committedFiles, type CommittedFile } from './sink/committed-files.js'
export { fileSink } from './sink/file-sink.js'
export type { CompactOptions, FileSinkOptions } from './sink/file-sink.config.js'
export {
  csv,
  ndjson,
  text,
  type CsvOptions,
  type CsvValue,
  type FileEncoder,
  type FileFormat,
  type LinesOptions,
} from './sink/format.js'
export { parquet, type ParquetColumn, type ParquetOptions, type ParquetType } from './sink/parquet.js'
export type { FoldersOptions } from './sink/path-template.js'
