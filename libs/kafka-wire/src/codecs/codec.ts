/** What a compression of record batches is made of. */

/** How bytes are packed, at once and in this thread. What cannot be done is left out. */
export interface Codec {
  readonly compress?: ((bytes: Buffer) => Uint8Array) | undefined
  readonly decompress?: ((bytes: Buffer) => Uint8Array) | undefined
}

export type CodecName = 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** Codecs of the user's own, in place of those that are built in. */
export type CodecOptions = Partial<Readonly<Record<CodecName, Codec>>>
