/** Files of records of one length. */
import { SluiceError } from '../errors.js'
import type { FileSystem } from '../storage/file-system.js'
import type { PlannedFile } from './file-names.js'

const READ_BYTES = 1 << 20

/** The records of a file, in chunks. Throws `DATA_CORRUPT` when its size is no multiple of `recordLength`. */
export async function* binaryRecords(
  fileSystem: FileSystem,
  { path, sizeBytes }: PlannedFile,
  recordLength: number,
): AsyncGenerator<readonly Uint8Array[]> {
  if (sizeBytes % recordLength !== 0) throw wrongLength(path, sizeBytes, recordLength)
  const step = Math.max(1, Math.floor(READ_BYTES / recordLength)) * recordLength
  for (let start = 0; start < sizeBytes; start += step) {
    const length = Math.min(step, sizeBytes - start)
    const bytes = await fileSystem.read(path, { start, length })
    // Nobody gets to see a part of a record.
    if (bytes.byteLength !== length) throw wrongLength(path, start + bytes.byteLength, recordLength)
    const records: Uint8Array[] = []
    for (let at = 0; at < bytes.byteLength; at += recordLength) records.push(bytes.subarray(at, at + recordLength))
    yield records
  }
}

function wrongLength(path: string, sizeBytes: number, recordLength: number): SluiceError {
  return new SluiceError({
    code: 'DATA_CORRUPT',
    component: 'binaryRecordsStream',
    message: `${path} has ${String(sizeBytes)} bytes, no multiple of the record length ${String(recordLength)}; was it cut off?`,
  })
}
