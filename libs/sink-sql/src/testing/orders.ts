/** The records with which the sinks for servers are tested. */
import type { Columns } from '../columns.js'

export interface Order {
  readonly id: string
  readonly quantity: number
  readonly cents: bigint
  readonly price: number
  readonly exact: string
  readonly paid: boolean
  readonly at: Date | null
  readonly blob: Uint8Array
  readonly text: string
  readonly lines: unknown
}

export const orderColumns: Columns<Order> = {
  id: 'text',
  quantity: 'integer',
  cents: 'bigint',
  price: 'real',
  exact: 'decimal',
  paid: 'boolean',
  at: { type: 'timestamp', nullable: true },
  blob: 'bytes',
  text: 'text',
  lines: 'json',
}

export const order = (id: string, index: number, more: Partial<Order> = {}): Order => ({
  id,
  quantity: index,
  cents: 2n ** 53n + BigInt(index),
  price: index / 3,
  exact: `${String(index)}.000000000000000000000000000001`,
  paid: index % 2 === 0,
  at: index % 5 === 0 ? null : new Date(1_700_000_000_000 + index),
  blob: Uint8Array.of(index % 256, 0, 255),
  text: `text ${String(index)}`,
  lines: { sku: `sku ${String(index)}`, sizes: [index, null, 'x'] },
  ...more,
})

export const refusedOrders: readonly Order[] = [
  order('no price', 1, { price: NaN }),
  order('no quantity', 2, { quantity: undefined as never }),
  order('half a \ud800 character', 3),
  order('nul \0 inside', 4),
  order('not in time', 5, { at: new Date(NaN) }),
  order('Map', 6, { lines: new Map() }),
  order('no number', 7, { exact: '1e3' }),
]

/** Orders made of these texts and bytes, and of the ends of what the columns take. */
export function awkwardOrders(awkwardTexts: readonly string[], awkwardBytes: readonly Uint8Array[]): Order[] {
  const texts = awkwardTexts.filter((text) => !text.includes('\0'))
  return [
    ...texts.map((text, index) => order(`text ${String(index)}`, -1 - index, { text })),
    ...texts.filter((text) => text.length < 100).map((text, index) => order(text, 100 + index)),
    ...awkwardTexts.map((text, index) =>
      order(`json ${String(index)}`, 1, { lines: { [text.slice(0, 10_000)]: text } }),
    ),
    ...awkwardBytes.map((blob, index) => order(`bytes ${String(index)}`, 1, { blob })),
    ...[-(2n ** 63n), 2n ** 63n - 1n, 0n].map((cents) => order(`cents ${String(cents)}`, 1, { cents })),
    ...[Number.MAX_VALUE, 2.2250738585072014e-308, 0.1, -1].map((price) =>
      order(`price ${String(price)}`, 1, { price }),
    ),
    ...['0', '-0.5', '12345678901234567890123456789012345.123456789012345678901234567891'].map((exact) =>
      order(`exact ${exact}`, 1, { exact }),
    ),
    ...[-62_167_219_200_000, -1, 253_402_300_799_999].map((ms) => order(`at ${String(ms)}`, 1, { at: new Date(ms) })),
    order('A', 1),
    order('a', 2),
    order('a ', 3),
    order('ä', 4),
  ]
}

/** What a table has before modes `update` and `delete` are tested: a row for each record of the suite. */
export const STALE = 'not updated yet'
const STALE_ROWS = 700

export function staleOrders(awkward: readonly Order[]): Order[] {
  const all = [...Array.from({ length: STALE_ROWS }, (_, index) => order(`order ${String(index)}`, index)), ...awkward]
  return [...new Map(all.map((each) => [each.id, each])).values()]
}
