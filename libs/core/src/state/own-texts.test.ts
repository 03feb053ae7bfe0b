/** State keeps the strings that it is about, not the packets that they were cut out of. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ownText, ownTexts } from '../rdd/copy.js'
import { StatePartition } from './state-partition.js'

const PACKETS = 64
const PACKET_BYTES = 2 ** 19
const TEXT_LENGTH = 40

/** Bytes that live after `keep` was given a text cut out of each of many packets, of which nothing else is kept. */
function keptBytes(keep: (text: string, packet: number) => unknown): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const kept: unknown[] = []
  collect()
  const before = process.memoryUsage().heapUsed
  for (let packet = 0; packet < PACKETS; packet++) {
    const text = Buffer.alloc(PACKET_BYTES, 97 + (packet % 26)).toString('latin1')
    kept.push(keep(text.slice(1_000, 1_000 + TEXT_LENGTH - 2) + String(10 + packet), packet))
    kept.push(keep(text.slice(1_000, 1_000 + TEXT_LENGTH + packet), packet))
  }
  collect()
  const bytes = process.memoryUsage().heapUsed - before
  expect(kept).toHaveLength(2 * PACKETS)
  return bytes
}

const ALL = PACKETS * PACKET_BYTES

test('a string that was cut out keeps its packet; that is what this is about', () => {
  expect(keptBytes((text) => text)).toBeGreaterThan(ALL / 2)
})

test.each([
  ['a key', (state: StatePartition, text: string) => state.cell(text)],
  ['a part of a tuple as key', (state: StatePartition, text: string) => state.cell(['region', text, 1])],
  ['a field of an object as key', (state: StatePartition, text: string) => state.cell({ name: { last: text } })],
  ['a value', (state: StatePartition, text: string, packet: number) => state.write(state.cell(packet), text)],
] as const)('%s of state does not keep the packet that it was cut out of', (_name, put) => {
  const state = new StatePartition('state', false)
  const bytes = keptBytes((text, packet) => put(state, text, packet))
  expect(bytes).toBeLessThan(ALL / 10)
  expect(state.size).toBeGreaterThanOrEqual(PACKETS)
})

test('an own text is equal to the text, whatever is in it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.nat(20), (text, from) => {
      const cut = text.slice(from)
      expect(ownText(cut)).toBe(cut)
      expect(ownText(`${cut}\uD83D`)).toBe(`${cut}\uD83D`)
    }),
  )
})

test('own texts of keys leave everything else as it is', () => {
  const day = new Date(5)
  const key = { a: ['a text that is long enough', 1, null, true, 2n, day], b: { c: undefined } }
  expect(ownTexts(structuredClone(key))).toEqual(key)
})
