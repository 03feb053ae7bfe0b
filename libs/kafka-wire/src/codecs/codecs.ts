/** The compressions of record batches, by their names and by the numbers that stand in a batch. */
// Of the whole module: an import by name of what Node 20 does not have would fail there.
// eslint-disable-next-line @typescript-eslint/no-restricted-imports
import * as zlib from 'node:zlib'
import { isSluiceError, SluiceError } from '@sluice/core'
import type { Compression } from '../client.js'
import { COMPONENT } from '../errors.js'
import type { Codec, CodecName, CodecOptions } from './codec.js'
import { badBytes } from './bad-bytes.js'
import { compressLz4, decompressLz4 } from './lz4.js'
import { compressSnappy, decompressSnappy } from './snappy.js'

export type Codecs = Readonly<Record<CodecName, Codec>>

export type { Codec, CodecName, CodecOptions }

const NAMES: readonly Compression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** Node has these from 22.15. */
interface ZstdOfNode {
  readonly zstdCompressSync?: (bytes: Buffer) => Buffer
  readonly zstdDecompressSync?: (bytes: Buffer) => Buffer
}

const { zstdCompressSync, zstdDecompressSync } = zlib as ZstdOfNode

export function codecsOf(options: CodecOptions = {}): Codecs {
  return {
    gzip: { compress: (bytes) => zlib.gzipSync(bytes), decompress: (bytes) => zlib.gunzipSync(bytes) },
    snappy: { compress: compressSnappy, decompress: decompressSnappy },
    lz4: { compress: compressLz4, decompress: decompressLz4 },
    zstd: { compress: zstdCompressSync, decompress: zstdDecompressSync },
    ...options,
  }
}

/** The number that stands in a batch. */
export function codecIdOf(name: Compression): number {
  return NAMES.indexOf(name)
}

export function compressionsOf(codecs: Codecs): Compression[] {
  return NAMES.filter((name) => name === 'none' || codecs[name].compress !== undefined)
}

/** The bytes of a batch of `topic` whose attributes say that they are packed with codec `id`, which is not 0. */
export function decompress(codecs: Codecs, id: number, bytes: Buffer, topic: string): Buffer {
  const name = NAMES[id]
  const codec = name === undefined || name === 'none' ? undefined : codecs[name].decompress
  if (codec === undefined) throw codecMissing(topic, name ?? `codec ${String(id)}`, 'reads')
  try {
    const plain = codec(bytes)
    return Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength)
  } catch (error) {
    throw isSluiceError(error) ? error : badBytes(`${String(name)} of ${topic} (${String(error)})`, error)
  }
}

export function requireCompressor(codecs: Codecs, name: CodecName, topic: string): (bytes: Buffer) => Uint8Array {
  const { compress } = codecs[name]
  if (compress === undefined) throw codecMissing(topic, name, 'writes')
  return compress
}

function codecMissing(topic: string, name: string, does: 'reads' | 'writes'): SluiceError {
  const remedy =
    name === 'zstd'
      ? 'use Node 22.15 or later, or give a codec of your own as codecs: { zstd } (to read, e.g. that of the package fzstd)'
      : 'install a later version of @sluice/kafka-wire'
  const message = `topic ${topic} is compressed with ${name}, and nothing here ${does} that; ${remedy}`
  return new SluiceError({ code: 'CODEC_MISSING', component: COMPONENT, message })
}
