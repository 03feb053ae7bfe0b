/** Slots of Redis Cluster: keys of one slot can be written in one script. */

const SLOTS = 16_384

/** The slot of a key: by its hash tag, the part in the first braces, where it has one. */
export function slotOf(key: Uint8Array): number {
  const open = key.indexOf(0x7b)
  const close = open < 0 ? -1 : key.indexOf(0x7d, open + 1)
  return crc16(close > open + 1 ? key.subarray(open + 1, close) : key) % SLOTS
}

/** CRC-16/XMODEM, as the specification of Redis Cluster has it. */
function crc16(bytes: Uint8Array): number {
  let crc = 0
  for (const byte of bytes) crc = ((crc << 8) & 0xffff) ^ (TABLE[(crc >> 8) ^ byte] ?? 0)
  return crc
}

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff
  return crc
})

let tags: string[] | undefined

/** The least whole number that, as a hash tag, gives that slot: so that a ledger can lie beside the keys that it is about. */
export function tagOf(slot: number): string {
  tags ??= allTags()
  return tags[slot] ?? ''
}

function allTags(): string[] {
  const found: string[] = []
  for (let number = 0, left = SLOTS; left > 0; number++) {
    const tag = String(number)
    const slot = slotOf(Buffer.from(tag))
    if (found[slot] !== undefined) continue
    found[slot] = tag
    left--
  }
  return found
}
