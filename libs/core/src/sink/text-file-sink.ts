/** Text files: a line per record. */
import { formatRecord } from '../observe/format.js'
import { batchFoldersSink, oneFolderSink, type FolderSinkOptions, type PartFormat } from './folder-sink.js'
import type { Sink } from './sink.js'

export interface TextFileSinkOptions<T> extends FolderSinkOptions {
  /** A record's line, without its end. Default: strings as they are, pairs as `(k,v)`, else JSON. */
  readonly format?: ((record: T) => string) | undefined
}

/** A sink that writes one folder per batch with `part-00000`, `part-00001`, … and, when all are there, `_SUCCESS`. */
export function textFileSink<T>(options: TextFileSinkOptions<T>): Sink<T> {
  return batchFoldersSink(lines(options.format ?? formatRecord), options)
}

/** Like {@link textFileSink}, for one batch only: `folder` is where its parts go. */
export function textFolderSink<T>(
  folder: string,
  options: Pick<TextFileSinkOptions<T>, 'fileSystem' | 'format' | 'skipEmpty'>,
): Sink<T> {
  return oneFolderSink(lines(options.format ?? formatRecord), folder, options)
}

function lines<T>(format: (record: T) => string): PartFormat<T> {
  return {
    name: 'text-file-sink',
    encode(chunk) {
      let text = ''
      for (const record of chunk) text += `${format(record)}\n`
      return [Buffer.from(text)]
    },
  }
}
