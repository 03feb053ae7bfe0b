/** How each mode makes commands of records. */
import { messageOf, redisError } from './errors.js'
import type { KeyPlan } from './key-template.js'
import type { AnyWrite } from './redis-sink.config.js'
import { lengthOf, propertyOf, wordOf, type Word } from './values.js'

/** A command for a key, and the records that it is made of, by their numbers in the partition. */
export interface Command {
  readonly key: Word
  /** What follows the key. Of `custom`: whole commands, each with its length before it. */
  readonly words: readonly Word[]
  readonly indexes: readonly number[]
}

export interface Mode {
  /** The command; empty for `custom`. */
  readonly command: string
  /** What a key must hold if it is there; empty where nothing is looked at. */
  readonly type: string
  /** Words of each command; 0 where it differs. */
  readonly width: number
  /** Run at the end for each key that was written to: name, and what follows the key. */
  readonly after: readonly (readonly string[])[]
  /** Whether the key is one of Redis: channels are none. */
  readonly isKeyed: boolean
  /** Throws for a record that does not fit, with the reason as a clause. */
  readonly wordsOf: (record: unknown) => readonly Word[]
  /** Whether all commands of a key, and field, are made one: the last word is summed. */
  readonly isSummed: boolean
}

/** More would not fit on the stack of a script. */
const MOST_WORDS = 4_000
export const LEDGER_PREFIX = 'sluice:ledger:'

export function planMode(options: AnyWrite): Mode {
  const plan = PLANS[options.mode](options)
  const expire = options.expire === undefined ? [] : [['PEXPIRE', String(Math.ceil(options.expire))]]
  return {
    after: expire,
    isKeyed: true,
    isSummed: false,
    ...plan,
    ...(plan.after && { after: [...plan.after, ...expire] }),
  }
}

type Plan = Pick<Mode, 'command' | 'type' | 'width' | 'wordsOf'> & Partial<Mode>

const PLANS: Readonly<Record<AnyWrite['mode'], (options: AnyWrite) => Plan>> = {
  set: ({ value }) => ({ command: 'SET', type: 'string', width: 1, wordsOf: wordsOf(['value', value]) }),
  hash: ({ fields }) => ({ command: 'HSET', type: 'hash', width: 0, wordsOf: fieldsOf(fields) }),
  increment: planIncrement,
  list: ({ value, side, maxLength }) => ({
    command: side === 'left' ? 'LPUSH' : 'RPUSH',
    type: 'list',
    width: 1,
    wordsOf: wordsOf(['value', value]),
    after:
      maxLength === undefined
        ? []
        : [side === 'left' ? ['LTRIM', '0', String(maxLength - 1)] : ['LTRIM', String(-maxLength), '-1']],
  }),
  stream: ({ fields, maxLength }) => {
    const wordsOfFields = fieldsOf(fields)
    return {
      command: 'XADD',
      type: 'stream',
      width: 0,
      wordsOf: (record) => ['*', ...wordsOfFields(record)],
      after: maxLength === undefined ? [] : [['XTRIM', 'MAXLEN', String(maxLength)]],
    }
  },
  sortedSet: planSortedSet,
  publish: ({ value }) => ({
    command: 'PUBLISH',
    type: '',
    // The channel is one of them.
    width: 2,
    wordsOf: wordsOf(['value', value]),
    isKeyed: false,
  }),
  custom: ({ commands }) => ({ command: '', type: '', width: 0, wordsOf: customWords(commands as Custom) }),
}

function planIncrement({ field, by }: AnyWrite): Plan {
  const wordsOfField = field === undefined ? () => [] : wordsOf(['field', field])
  const byOf = by === undefined ? () => 1 : read('by', by)
  return {
    command: field === undefined ? 'INCRBY' : 'HINCRBY',
    type: field === undefined ? 'string' : 'hash',
    width: field === undefined ? 1 : 2,
    isSummed: true,
    wordsOf: (record) => {
      const step = byOf(record)
      if (typeof step !== 'bigint' && !Number.isSafeInteger(step))
        throw new Error(`by is ${String(step)}; whole numbers are counted: scale what has decimals`)
      return [...wordsOfField(record), String(step as number | bigint)]
    },
  }
}

function planSortedSet({ member, score, update, keep }: AnyWrite): Plan {
  const options = update === 'max' ? ['GT'] : update === 'min' ? ['LT'] : []
  const scoreOf = read('score', score)
  const memberOf = wordsOf(['member', member])
  const { highest, lowest } = keep ?? {}
  const after = [
    ...(highest === undefined ? [] : [['ZREMRANGEBYRANK', '0', String(-highest - 1)]]),
    ...(lowest === undefined ? [] : [['ZREMRANGEBYRANK', String(lowest), '-1']]),
  ]
  return {
    command: update === 'increment' ? 'ZINCRBY' : 'ZADD',
    type: 'zset',
    width: 2 + options.length,
    after,
    wordsOf: (record) => {
      const given = scoreOf(record)
      const isExact = typeof given === 'bigint' ? BigInt(Number(given)) === given : Number.isFinite(given)
      if (!isExact) throw new Error(`score is ${String(given)}; scores are finite numbers of 53 bits`)
      return [...options, String(given as number | bigint), ...memberOf(record)]
    },
  }
}

/** A function, or a property by its name; without either, the record itself. */
function read(what: string, from: unknown): (record: unknown) => unknown {
  if (from === undefined) return (record) => record
  if (typeof from === 'function') return from as (record: unknown) => unknown
  return (record) => named(what, () => propertyOf(record, String(from)))
}

function wordsOf([what, from]: readonly [string, unknown]): (record: unknown) => readonly Word[] {
  const valueOf = read(what, from)
  return (record) => {
    const value = valueOf(record)
    return [named(what, () => wordOf(value))]
  }
}

function fieldsOf(fields: unknown): (record: unknown) => readonly Word[] {
  if (typeof fields === 'function') return (record) => pairsOf((fields as (record: unknown) => unknown)(record))
  if (fields === undefined) return pairsOf
  const names = fields as readonly string[]
  return (record) => names.flatMap((name) => [name, named(name, () => wordOf(propertyOf(record, name)))])
}

function pairsOf(record: unknown): Word[] {
  if (typeof record !== 'object' || record === null) throw new Error('the record is no object; give `fields`')
  const words = Object.entries(record).flatMap(([name, value]) => [
    named('a field', () => wordOf(name)),
    named(name, () => wordOf(value)),
  ])
  if (words.length === 0) throw new Error('the record has no fields')
  return words
}

type Custom = (record: unknown) => readonly (readonly unknown[])[]

function customWords(commands: Custom): (record: unknown) => readonly Word[] {
  return (record) =>
    commands(record).flatMap((command) => {
      if (!Array.isArray(command) || command.length === 0) throw new Error('a command is an array of its words')
      return [String(command.length), ...command.map((word) => named('a word of a command', () => wordOf(word)))]
    })
}

function named<V>(what: string, work: () => V): V {
  try {
    return work()
  } catch (error) {
    throw new Error(`${what} ${messageOf(error)}`, { cause: error })
  }
}

export type Reject = (index: number, error: Error) => void

/** The commands of records, in their order; those of `isSummed` one for each key and field, where its first record was. */
export class Commands {
  readonly #mode: Mode
  readonly #key: KeyPlan
  readonly #sums: Map<string, Sum> | undefined
  readonly #commands: Command[] = []

  /** `summed: false`: each record has a command of its own, in every mode. */
  constructor(mode: Mode, key: KeyPlan, summed: boolean) {
    this.#mode = mode
    this.#key = key
    this.#sums = mode.isSummed && summed ? new Map<string, Sum>() : undefined
  }

  add(record: unknown, index: number, reject: Reject): void {
    try {
      const key = this.#key.of(record)
      requireForeign(key)
      const words = this.#mode.wordsOf(record)
      if (words.length > MOST_WORDS) throw new Error(`has more than ${String(MOST_WORDS / 2)} fields`)
      if (this.#sums === undefined) this.#commands.push({ key, words, indexes: [index] })
      else this.#sum(this.#sums, key, words, index)
    } catch (error) {
      reject(
        index,
        redisError('RECORD_REJECTED', `${messageOf(error)}; repair or filter such records`, { cause: error }),
      )
    }
  }

  #sum(sums: Map<string, Sum>, key: Word, words: readonly Word[], index: number): void {
    const name = JSON.stringify(
      [key, ...words.slice(0, -1)].map((word) => (typeof word === 'string' ? word : [...word])),
    )
    const by = BigInt(String(words.at(-1)))
    const sum = sums.get(name)
    if (sum === undefined) sums.set(name, { key, words: words.slice(0, -1), by, indexes: [index] })
    else {
      sum.by += by
      sum.indexes.push(index)
    }
  }

  /** All, when all records have been added. Sums that no counter can hold are rejected. */
  end(reject: Reject): readonly Command[] {
    for (const { key, words, by, indexes } of this.#sums?.values() ?? []) {
      if (BigInt.asIntN(64, by) === by) this.#commands.push({ key, words: [...words, String(by)], indexes })
      else
        for (const index of indexes)
          reject(
            index,
            redisError('RECORD_REJECTED', `its counter's sum in this batch is beyond 64 bits; filter such records`),
          )
    }
    return this.#commands
  }
}

interface Sum {
  readonly key: Word
  readonly words: readonly Word[]
  by: bigint
  readonly indexes: number[]
}

function requireForeign(key: Word): void {
  const start = typeof key === 'string' ? key : key.toString('latin1', 0, LEDGER_PREFIX.length)
  if (start.startsWith(LEDGER_PREFIX)) throw new Error(`key begins with ${LEDGER_PREFIX}, which is the sink's own`)
}

/** Roughly, how many bytes it is on the wire. */
export function sizeOf({ key, words }: Command): number {
  return words.reduce((bytes, word) => bytes + lengthOf(word), lengthOf(key))
}
