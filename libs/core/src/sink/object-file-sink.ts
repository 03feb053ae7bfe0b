/** Object files: records in a binary form that keeps their types. `SluiceContext.objectFile` reads them. */
import { DEFAULT_CHUNK_RECORDS, framesOf } from '../storage/frames.js'
import { batchFoldersSink, type FolderSinkOptions } from './folder-sink.js'
import type { Sink } from './sink.js'

/** A sink that writes one folder per batch, as the text file sink does. Throws `UNSERIALIZABLE` for functions and instances of classes. */
export function objectFileSink<T>(options: FolderSinkOptions): Sink<T> {
  return batchFoldersSink(
    { name: 'object-file-sink', encode: (chunk) => framesOf(chunk, DEFAULT_CHUNK_RECORDS) },
    options,
  )
}
