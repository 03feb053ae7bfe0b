/**
 * Sorting by text without comparing: what all keys start with is left out, as many of the units behind it as fit are packed
 * into an integer, and the integers are sorted. Keys whose integers are equal go another round, behind those units.
 */
import { inOrder, inSteps, RADIX, radixOrder, type Entry, type Words } from './radix.js'

/** Keys that one step looks at. */
const STEP = 1 << 13
/** What sorting an entry by comparing costs, in entries looked at. */
const SORTED = 16
/** Units of a key that are looked at in one round, at most. */
const LOOK = 16
const TWO_32 = 2 ** 32

/** Entries that start alike; they stand side by side. */
interface Group {
  readonly from: number
  readonly to: number
  /** Units known to be equal. */
  readonly shared: number
}

/** How the units of a round are digits of an integer: 0 behind the end of a key, so that shorter keys come first. */
interface Digits {
  /** The first unit. */
  readonly at: number
  readonly count: number
  readonly base: number
  /** The unit whose digit is 1. */
  readonly least: number
}

const textOf = (entries: readonly Entry[], i: number): string => (entries[i] as Entry)[0] as string

/** Sorts entries in place by their keys, which are strings, in the order of UTF-16 units. */
export function* sortByText(entries: Entry[], descending: boolean): Generator<undefined, readonly Entry[]> {
  const open: Group[] = [{ from: 0, to: entries.length, shared: 0 }]
  for (let group = open.pop(); group !== undefined; group = open.pop()) {
    const part = entries.slice(group.from, group.to)
    const digits = yield* digitsOf(part, group.shared)
    const packed = yield* pack(part, digits, descending)
    const order = yield* radixOrder(packed)
    put(order === undefined ? part : yield* inOrder(part, order), entries, group.from)
    yield* settleTies(entries, { ...group, shared: digits.at + digits.count }, equalAt(packed, order), (tie) => {
      if (tie.to - tie.from >= RADIX) open.push(tie)
      else put(entries.slice(tie.from, tie.to).sort(descending ? compareDown : compareUp), entries, tie.from)
    })
  }
  return entries
}

const compareUp = (a: Entry, b: Entry): number => (a[0] === b[0] ? 0 : (a[0] as string) < (b[0] as string) ? -1 : 1)
const compareDown = (a: Entry, b: Entry): number => compareUp(b, a)

function put(sorted: readonly Entry[], entries: Entry[], from: number): void {
  for (let i = 0; i < sorted.length; i++) entries[from + i] = sorted[i] as Entry
}

/** Whether the integer at a place of the order is that of the place before. */
function equalAt({ high, low }: Words, order: Uint32Array | undefined): (place: number) => boolean {
  return (place) => {
    const a = order === undefined ? place : (order[place] as number)
    const b = order === undefined ? place - 1 : (order[place - 1] as number)
    return low[a] === low[b] && high[a] === high[b]
  }
}

/** Whether any key of a tie has more units than are shared. A key may end where the others go on. */
function goOn(entries: readonly Entry[], from: number, to: number, shared: number): boolean {
  for (let i = from; i < to; i++) if (textOf(entries, i).length > shared) return true
  return false
}

/** Hands out those of a sorted group whose integers are equal and whose keys go on. */
function* settleTies(
  entries: readonly Entry[],
  { from, to, shared }: Group,
  isEqual: (place: number) => boolean,
  settle: (tie: Group) => void,
): Generator<undefined, void> {
  let looked = 0
  for (let first = from, next = from + 1; first < to; first = next++) {
    while (next < to && isEqual(next - from)) next++
    looked += next - first
    if (next - first > 1 && goOn(entries, first, next, shared)) {
      settle({ from: first, to: next, shared })
      looked += SORTED * (next - first)
    }
    if (looked < STEP) continue
    looked = 0
    yield
  }
}

/** What the units behind the common start look like. */
function* digitsOf(entries: readonly Entry[], shared: number): Generator<undefined, Digits> {
  const at = yield* commonLength(entries, shared)
  let least = 0xffff
  let greatest = 0
  let longest = at
  yield* inSteps(
    entries.length,
    (from, to) => {
      for (let i = from; i < to; i++) {
        const key = textOf(entries, i)
        const end = Math.min(key.length, at + LOOK)
        if (end > longest) longest = end
        for (let u = at; u < end; u++) {
          const unit = key.charCodeAt(u)
          if (unit < least) least = unit
          if (unit > greatest) greatest = unit
        }
      }
    },
    STEP,
  )
  const base = Math.max(2, greatest - least + 2)
  let count = 0
  for (let most = base; count < longest - at && most <= 2 ** 53; most *= base) count++
  return { at, count, base, least }
}

/** How many units all keys have in common at their start, of which `shared` are known. */
function* commonLength(entries: readonly Entry[], shared: number): Generator<undefined, number> {
  let common = textOf(entries, 0)
  let looked = 0
  for (let i = 1; i < entries.length && common.length > shared; i++) {
    const key = textOf(entries, i)
    if (!key.startsWith(common)) common = common.slice(0, firstDifference(common, key, shared))
    looked += LOOK + common.length
    if (looked < STEP * LOOK) continue
    looked = 0
    yield
  }
  return Math.max(shared, common.length)
}

function firstDifference(a: string, b: string, from: number): number {
  let i = from
  while (i < a.length && a.charCodeAt(i) === b.charCodeAt(i)) i++
  return i
}

function* pack(
  entries: readonly Entry[],
  { at, count, base, least }: Digits,
  descending: boolean,
): Generator<undefined, Words> {
  const words: Words = { high: new Uint32Array(entries.length), low: new Uint32Array(entries.length) }
  const flip = descending ? 0xffffffff : 0
  yield* inSteps(
    entries.length,
    (from, to) => {
      for (let i = from; i < to; i++) {
        const key = textOf(entries, i)
        let number = 0
        for (let u = at; u < at + count; u++)
          number = number * base + (u < key.length ? key.charCodeAt(u) - least + 1 : 0)
        words.high[i] = Math.floor(number / TWO_32) ^ flip
        words.low[i] = number ^ flip
      }
    },
    STEP,
  )
  return words
}
