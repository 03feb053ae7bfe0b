/** Decompression of gzip files while they are read. */
import { Readable, pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { messageOf, SluiceError } from '../errors.js'
import { errnoOf } from './file-errors.js'
import type { FileSystem } from './file-system.js'

/**
 * The contents of a gzip file, also of several members one after the other, in blocks of up to `blockBytes`. Zeros after
 * the last member are padding; an empty file has no contents. Throws `DATA_CORRUPT` for a damaged or cut file.
 */
export async function* gunzipBlocks(
  fileSystem: FileSystem,
  path: string,
  blockBytes: number,
): AsyncGenerator<Buffer, void, undefined> {
  if ((await fileSystem.stat(path))?.sizeBytes === 0) return
  const gunzip = createGunzip({ chunkSize: Math.max(blockBytes, 64) })
  const compressed = Readable.from(compressedBlocks(fileSystem, path, blockBytes), {
    objectMode: true,
    highWaterMark: 1,
  })
  // The callback has nothing to do: the error of either stream reaches the loop below.
  pipeline(compressed, gunzip, () => undefined)
  try {
    for await (const bytes of gunzip) yield bytes as Buffer
  } catch (error) {
    throw errnoOf(error)?.startsWith('Z_') === true ? corrupt(path, error) : error
  }
}

async function* compressedBlocks(
  fileSystem: FileSystem,
  path: string,
  blockBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let start = 0; ;) {
    const bytes = await fileSystem.read(path, { start, length: blockBytes })
    if (bytes.byteLength === 0) return
    yield bytes
    start += bytes.byteLength
  }
}

function corrupt(path: string, cause: unknown): SluiceError {
  return new SluiceError({
    code: 'DATA_CORRUPT',
    component: 'text-file',
    message: `${path} is no complete gzip file (${messageOf(cause)}); write it again, or rename it if it is not compressed`,
    cause,
  })
}
