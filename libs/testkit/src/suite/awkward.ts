/** Contents that systems often change, cut or misread. */
import { seededRandom, seedOf } from '@sluice/core'

const LONG = 65_537

/** Texts without line ends: other scripts, quotes, escapes, NUL, long ones. The empty one is among them. */
export const awkwardTexts: readonly string[] = [
  '',
  ' leading and trailing spaces ',
  '\ttab',
  'größe naïve œuvre',
  '日本語 한국어 العربية עברית',
  '👩‍👩‍👧‍👦 🏳️‍🌈 𝒳',
  'e\u0301 is not é',
  '\ufeffbyte order mark',
  'nul \u0000 inside',
  '\u2028 and \u2029 end lines in other languages',
  'quotes \' " ` and \\ backslash',
  "'; DROP TABLE records; --",
  '${name} {{name}} %s %d $1 :name ?',
  '<b>&amp;</b>',
  '__proto__',
  'null',
  'undefined',
  'NaN',
  '-0',
  '1e309',
  '\u0080\u009f controls',
  'x'.repeat(LONG),
  '€'.repeat(LONG),
]

/** Bytes: none, each value, what is no UTF-8, random ones. */
export const awkwardBytes: readonly Uint8Array[] = [
  new Uint8Array(0),
  Uint8Array.of(0),
  Uint8Array.from({ length: 256 }, (_, i) => i),
  Uint8Array.of(0xff, 0xfe, 0xfd),
  Uint8Array.of(0xc3, 0x28, 0xe2, 0x82),
  Uint8Array.of(13, 10, 10, 13, 26, 4),
  randomBytes(LONG),
]

function randomBytes(length: number): Uint8Array {
  const random = seededRandom(seedOf('awkward bytes'))
  return Uint8Array.from({ length }, () => random.integer(256))
}
