/**
 * Objects that are put if their key is free (E23). Each carries who wrote it in its metadata, so that after a conflict, or an answer
 * that was lost, the object itself tells whether it is ours.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
  type CompletedPart,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { Clock } from '@sluice/core'
import { nameOf, statusOf } from './s3-errors.js'

export interface ObjectPlace {
  readonly Bucket: string
  readonly Key: string
}

/** Who writes an object. Of equal ones a second write is none. */
export type Writer = string

const WRITER = 'sluice-writer'
// Said for each part, and again when they are put together.
const CHECKSUM = 'CRC32'
const CONFLICT_TRIES = 8
const CONFLICT_PAUSE_MS = 50

/** What stands at a key: who wrote it, an empty text where somebody else than this package did. Undefined where there is nothing. */
async function writerAt(client: Pick<S3Client, 'send'>, place: ObjectPlace): Promise<Writer | undefined> {
  try {
    const { Metadata = {} } = await client.send(new HeadObjectCommand(place))
    return decodeURIComponent(Metadata[WRITER] ?? '')
  } catch (error) {
    if (statusOf(error) === 404) return undefined
    throw error
  }
}

/** The outcome of a put: ours now or already, or the writer of what stands there. */
export type PutOutcome = { readonly isOurs: true } | { readonly isOurs: false; readonly writer: Writer }

export class ObjectWriter {
  readonly #client: Pick<S3Client, 'send'>
  readonly #clock: Clock
  readonly #partBytes: number

  constructor(client: Pick<S3Client, 'send'>, clock: Clock, partBytes: number) {
    this.#client = client
    this.#clock = clock
    this.#partBytes = partBytes
  }

  /** In one request, or in parts where it is larger than one. */
  async put(place: ObjectPlace, data: Uint8Array, writer: Writer): Promise<PutOutcome> {
    async function* whole(): AsyncGenerator<Uint8Array> {
      await Promise.resolve()
      yield data
    }
    return data.byteLength > this.#partBytes
      ? this.putPieces(place, whole(), writer)
      : this.#putWhole(place, data, writer)
  }

  /** Holds at most two parts. Nothing is there before all pieces are. */
  async putPieces(
    place: ObjectPlace,
    pieces: AsyncIterable<Uint8Array>,
    writer: Writer,
    signal?: AbortSignal,
  ): Promise<PutOutcome> {
    const upload = new MultipartUpload(this.#client, place, writer, signal)
    try {
      let last: Uint8Array = new Uint8Array(0)
      for await (const part of partsOf(pieces, this.#partBytes)) {
        signal?.throwIfAborted()
        if (part.byteLength === this.#partBytes) await upload.add(part)
        else last = part
      }
      signal?.throwIfAborted()
      if (!upload.isBegun) return await this.#putWhole(place, last, writer, signal)
      if (last.byteLength > 0) await upload.add(last)
      return await this.#decided(place, writer, () => upload.complete())
    } catch (error) {
      await upload.abort()
      throw error
    }
  }

  #putWhole(place: ObjectPlace, data: Uint8Array, writer: Writer, signal?: AbortSignal): Promise<PutOutcome> {
    const command = { ...place, Body: data, IfNoneMatch: '*', Metadata: metadataOf(writer) }
    return this.#decided(place, writer, () => this.#client.send(new PutObjectCommand(command), abortable(signal)))
  }

  /** Where the key was taken, or the answer was lost, what stands there decides. */
  async #decided(place: ObjectPlace, writer: Writer, put: () => Promise<unknown>): Promise<PutOutcome> {
    for (let tries = 1; ; tries++) {
      try {
        await put()
        return { isOurs: true }
      } catch (error) {
        const standing = await writerAt(this.#client, place).catch(() => undefined)
        if (standing !== undefined) return standing === writer ? { isOurs: true } : { isOurs: false, writer: standing }
        // Another one is writing at this moment; S3 asks to try again.
        if (statusOf(error) !== 409 || nameOf(error) === 'ObjectParentIsFile' || tries === CONFLICT_TRIES) throw error
      }
      await this.#clock.sleep(CONFLICT_PAUSE_MS * tries)
    }
  }
}

function metadataOf(writer: Writer): Record<string, string> {
  // Headers hold ASCII.
  return { [WRITER]: encodeURIComponent(writer) }
}

function abortable(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal }
}

class MultipartUpload {
  readonly #client: Pick<S3Client, 'send'>
  readonly #place: ObjectPlace
  readonly #writer: Writer
  readonly #signal: AbortSignal | undefined
  readonly #parts: CompletedPart[] = []
  #uploadId: string | undefined

  constructor(client: Pick<S3Client, 'send'>, place: ObjectPlace, writer: Writer, signal: AbortSignal | undefined) {
    this.#client = client
    this.#place = place
    this.#writer = writer
    this.#signal = signal
  }

  get isBegun(): boolean {
    return this.#uploadId !== undefined
  }

  async add(part: Uint8Array): Promise<void> {
    const place = this.#place
    if (this.#uploadId === undefined) {
      const begun = await this.#client.send(
        new CreateMultipartUploadCommand({ ...place, Metadata: metadataOf(this.#writer), ChecksumAlgorithm: CHECKSUM }),
        abortable(this.#signal),
      )
      this.#uploadId = begun.UploadId
    }
    const PartNumber = this.#parts.length + 1
    const { ETag, ChecksumCRC32 } = await this.#client.send(
      new UploadPartCommand({
        ...place,
        UploadId: this.#uploadId,
        PartNumber,
        Body: part,
        ChecksumAlgorithm: CHECKSUM,
      }),
      abortable(this.#signal),
    )
    this.#parts.push({ PartNumber, ETag, ChecksumCRC32 })
  }

  async complete(): Promise<void> {
    const { Bucket, Key } = this.#place
    const MultipartUpload = { Parts: this.#parts }
    await this.#client.send(
      new CompleteMultipartUploadCommand({ Bucket, Key, UploadId: this.#uploadId, MultipartUpload, IfNoneMatch: '*' }),
      abortable(this.#signal),
    )
  }

  /** Parts that nobody completes cost money until they are removed. */
  async abort(): Promise<void> {
    if (this.#uploadId === undefined) return
    // What led here is the error to be told; leftovers are removed again when the sink opens.
    await this.#client
      .send(new AbortMultipartUploadCommand({ ...this.#place, UploadId: this.#uploadId }))
      .catch(() => undefined)
  }
}

/** Pieces as parts of this size; only the last one is smaller, and it is there where the sizes do not come out even. */
async function* partsOf(
  pieces: AsyncIterable<Uint8Array>,
  partBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let held: Uint8Array[] = []
  let heldBytes = 0
  for await (const piece of pieces) {
    let rest = piece
    while (heldBytes + rest.byteLength >= partBytes) {
      const taken = partBytes - heldBytes
      yield Buffer.concat([...held, rest.subarray(0, taken)])
      rest = rest.subarray(taken)
      held = []
      heldBytes = 0
    }
    if (rest.byteLength === 0) continue
    held.push(rest)
    heldBytes += rest.byteLength
  }
  const [only] = held
  if (only !== undefined) yield held.length === 1 ? only : Buffer.concat(held)
}
