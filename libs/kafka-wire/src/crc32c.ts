/** CRC-32C (Castagnoli), which guards each record batch. */

/** Of the polynomial 0x1EDC6F41, with its bits reversed. */
const POLYNOMIAL = 0x82f63b78
const TABLES = 8
const TABLE_BYTES = TABLES * 256 * 4
/** What is checked at once. */
const PAGE_BYTES = 64 * 1024

type Update = (crc: number, bytes: Uint8Array) => number

let update: Update | undefined

/** As an unsigned number. */
export function crc32c(bytes: Uint8Array): number {
  update ??= newUpdate()
  let crc = -1
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) crc = update(crc, bytes.subarray(at, at + PAGE_BYTES))
  return ~crc >>> 0
}

function newUpdate(): Update {
  const { WebAssembly: assembly } = globalThis as { readonly WebAssembly?: Assembly }
  // Not with `node --jitless`.
  if (assembly === undefined) return updateSlowly
  const { memory, crc } = new assembly.Instance(new assembly.Module(Buffer.from(MODULE, 'base64'))).exports
  new Int32Array(memory.buffer).set(tables)
  const page = new Uint8Array(memory.buffer, TABLE_BYTES)
  return (before, bytes) => {
    page.set(bytes)
    return crc(before, TABLE_BYTES, TABLE_BYTES + bytes.length)
  }
}

export function updateSlowly(crc: number, bytes: Uint8Array): number {
  for (const byte of bytes) crc = (crc >>> 8) ^ (tables[(crc ^ byte) & 0xff] as number)
  return crc
}

/** Eight tables one after the other: the k-th gives what a byte does to the checksum when k more bytes follow. */
const tables = newTables()

function newTables(): Int32Array {
  const all = new Int32Array(TABLES * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0)
    all[byte] = crc
  }
  for (let i = 256; i < all.length; i++) {
    const before = all[i - 256] as number
    all[i] = (before >>> 8) ^ (all[before & 0xff] as number)
  }
  return all
}

/** As much of `WebAssembly` as is used here: the types of Node do not have it. */
interface Assembly {
  readonly Module: new (binary: Uint8Array) => object
  readonly Instance: new (module: object) => {
    readonly exports: {
      readonly memory: { readonly buffer: ArrayBuffer }
      /** Goes on from `crc` over the bytes of memory from `at` to `end`. */
      crc(crc: number, at: number, end: number): number
    }
  }
}

/*
 * In JavaScript checking costs a fifth of the whole decoding, so it is a function of WebAssembly. This is what it was assembled
 * from (eight bytes at a time, "slicing by eight"); the tables stand at the begin of the memory:
 *
 * (module (memory (export "memory") 2)
 *   (func (export "crc") (param $crc i32) (param $at i32) (param $end i32) (result i32)
 *     (local $w i64) (local $lo i32) (local $hi i32)
 *     (block $done (loop $top
 *       (br_if $done (i32.gt_u (i32.add (local.get $at) (i32.const 8)) (local.get $end)))
 *       (local.set $lo (i32.xor (i32.load (local.get $at)) (local.get $crc)))
 *       (local.set $hi (i32.load offset=4 (local.get $at)))
 *       (local.set $crc (i32.xor (i32.xor
 *         (i32.xor (i32.load offset=7168 (i32.shl (i32.and (local.get $lo) (i32.const 255)) (i32.const 2)))
 *                  (i32.load offset=6144 (i32.and (i32.shr_u (local.get $lo) (i32.const 6)) (i32.const 1020))))
 *         (i32.xor (i32.load offset=5120 (i32.and (i32.shr_u (local.get $lo) (i32.const 14)) (i32.const 1020)))
 *                  (i32.load offset=4096 (i32.and (i32.shr_u (local.get $lo) (i32.const 22)) (i32.const 1020)))))
 *         … the same with $hi and the offsets 3072, 2048, 1024, 0 … ))
 *       (local.set $at (i32.add (local.get $at) (i32.const 8)))
 *       (br $top)))
 *     (block $end2 (loop $rest
 *       (br_if $end2 (i32.ge_u (local.get $at) (local.get $end)))
 *       (local.set $crc (i32.xor (i32.shr_u (local.get $crc) (i32.const 8))
 *         (i32.load (i32.shl (i32.and (i32.xor (i32.load8_u (local.get $at)) (local.get $crc)) (i32.const 255)) (i32.const 2)))))
 *       (local.set $at (i32.add (local.get $at) (i32.const 1)))
 *       (br $rest)))
 *     (local.get $crc)))
 */
const MODULE =
  'AGFzbQEAAAABCAFgA39/fwF/AwIBAAUDAQACBxACBm1lbW9yeQIAA2NyYwAACtUBAdIBAgF+An8CQANAIAFBCGogAksNASABKAIAIABzIQQgASgCBCEF' +
  'IARB/wFxQQJ0KAKAOCAEQQZ2QfwHcSgCgDBzIARBDnZB/AdxKAKAKCAEQRZ2QfwHcSgCgCBzcyAFQf8BcUECdCgCgBggBUEGdkH8B3EoAoAQcyAFQQ52' +
  'QfwHcSgCgAggBUEWdkH8B3EoAgBzc3MhACABQQhqIQEMAAsLAkADQCABIAJPDQEgAEEIdiABLQAAIABzQf8BcUECdCgCAHMhACABQQFqIQEMAAsLIAAL'
