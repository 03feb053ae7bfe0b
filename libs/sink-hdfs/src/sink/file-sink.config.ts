/** What a file sink is told. */
import { nodeFileSystem, type FileSystem, type SchemeFileSystem } from '@sluice/core'
import { requireThat } from '../errors.js'
import { parsePath } from '../files/paths.js'
import { COMPONENT, type FileFormat } from './format.js'
import { foldersOf, type FolderOf, type FoldersOptions } from './path-template.js'

export interface FileSinkOptions<T> extends FoldersOptions<T> {
  /** The folder, e.g. `hdfs://cluster/orders` or `s3://bucket/orders`. Made where it is missing. */
  readonly path: string
  /** What `hdfs` or `s3` made, or any file system. Default: the local disk, for paths without a scheme. */
  readonly fileSystem?: SchemeFileSystem | FileSystem | undefined
  readonly format: FileFormat<T>
  /** A file that is larger is sent while it is made; smaller ones are held in memory until then. Default: 8 MiB. */
  readonly bufferBytes?: number | undefined
  /** Makes few files of many. Default: never. */
  readonly compact?: CompactOptions | undefined
}

export interface CompactOptions {
  /** When so many batches with files have been committed since the last time, the files of each of their folders become one. */
  readonly batches: number
  /** Larger files are left as they are; and no file is made that is larger. Default: 128 MiB. */
  readonly maxBytes?: number | undefined
}

export interface FileSinkPlan {
  readonly path: string
  /** The path without scheme and host. */
  readonly target: string
  readonly fileSystem: FileSystem
  readonly format: FileFormat<unknown>
  readonly folderOf: FolderOf | undefined
  readonly bufferBytes: number
  readonly compact: { readonly batches: number; readonly maxBytes: number } | undefined
}

const MIB = 2 ** 20

/** Throws `ARGUMENT_INVALID`. */
export function planOf<T>(options: FileSinkOptions<T>): FileSinkPlan {
  const { path, fileSystem, format, bufferBytes = 8 * MIB, compact } = options
  requireThat(path !== '', COMPONENT, 'path is empty; write e.g. s3://bucket/orders')
  requireThat(
    bufferBytes >= 1,
    COMPONENT,
    `bufferBytes must be at least 1, not ${String(bufferBytes)}; leave it out for 8 MiB`,
  )
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(path)?.[1]?.toLowerCase()
  requireThat(
    scheme === undefined || fileSystem !== undefined,
    COMPONENT,
    `${path} is on a server; give fileSystem, e.g. fileSystem: hdfs({ nameNodes })`,
  )
  if (compact !== undefined) {
    const { batches, maxBytes = 128 * MIB } = compact
    requireThat(
      Number.isSafeInteger(batches) && batches >= 2,
      COMPONENT,
      `compact.batches must be a whole number of at least 2, not ${String(batches)}; leave compact out for none`,
    )
    requireThat(
      maxBytes >= 1,
      COMPONENT,
      `compact.maxBytes must be at least 1, not ${String(maxBytes)}; leave it out for 128 MiB`,
    )
    requireThat(
      format.merge !== undefined,
      COMPONENT,
      `${format.extension} files cannot be compacted here; leave compact out`,
    )
  }
  const { authority, names } = parsePath(path)
  return {
    path: path.replace(/(?<=[^/])\/+$/, ''),
    // A bucket is part of where it goes, a host is not (E11).
    target:
      scheme === undefined ? path : (/^s3/.test(scheme) ? [authority, ...names] : ['', ...names]).join('/') || '/',
    fileSystem: plainFileSystem(fileSystem),
    format: format as FileFormat<unknown>,
    folderOf: foldersOf(options),
    bufferBytes,
    compact: compact === undefined ? undefined : { batches: compact.batches, maxBytes: compact.maxBytes ?? 128 * MIB },
  }
}

function plainFileSystem(given: SchemeFileSystem | FileSystem | undefined): FileSystem {
  if (given === undefined) return nodeFileSystem()
  return 'fileSystem' in given ? given.fileSystem : given
}
