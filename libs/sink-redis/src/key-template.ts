/** From a record to its key: a template such as `orders:{eu}:<country>`, or a function. */
import { messageOf, requireThat } from './errors.js'
import { slotOf } from './slots.js'
import { propertyOf, wordOf, type Word } from './values.js'

/** `<name>` stands for the record's property of that name; braces are hash tags, as in Redis itself. */
export type Key<T> = string | ((record: T) => string | Uint8Array)

export interface KeyPlan {
  /** For people, and part of the output's id. */
  readonly label: string
  /** The one key where it is the same for every record. */
  readonly fixedKey: string | undefined
  /** The slot of all keys where it is the same for every record. */
  readonly fixedSlot: number | undefined
  /** Throws for a record that has no key. */
  readonly of: (record: unknown) => Word
}

export function planKey(key: Key<never>, prefix: string): KeyPlan {
  if (typeof key === 'function') return planFunction(key as (record: unknown) => unknown, prefix)
  requireThat(typeof key === 'string' && key !== '', 'the sink needs a `key`: a template or a function')
  // Text and names in turn: ['orders:', 'country', ''].
  const parts = key.split(/<([^<>]+)>/)
  const first = `${prefix}${parts[0] ?? ''}`
  requireThat(
    !/[<>]/.test(parts.filter((_, i) => i % 2 === 0).join('')),
    `key '${key}' has a lone < or >; use a function`,
  )
  const isFixed = parts.length === 1 || /^[^{]*\{[^}]+\}/.test(first)
  return {
    label: `${prefix}${key}`,
    fixedKey: parts.length === 1 ? first : undefined,
    fixedSlot: isFixed ? slotOf(Buffer.from(first)) : undefined,
    of: (record) => parts.reduce((text, part, i) => text + (i % 2 === 0 ? part : namePart(record, part)), prefix),
  }
}

function namePart(record: unknown, name: string): string {
  try {
    const word = wordOf(propertyOf(record, name))
    if (typeof word === 'string') return word
    throw new Error('is bytes; use a function')
  } catch (error) {
    throw new Error(`key: ${name} ${messageOf(error)}`, { cause: error })
  }
}

function planFunction(key: (record: unknown) => unknown, prefix: string): KeyPlan {
  return {
    label: `${prefix}*`,
    fixedKey: undefined,
    fixedSlot: undefined,
    of: (record) => {
      const given = key(record)
      if (typeof given !== 'string' && !(given instanceof Uint8Array)) throw new Error(`key is ${String(given)}`)
      const word = wordOf(given)
      if (prefix === '') return word
      return typeof word === 'string' ? prefix + word : Buffer.concat([Buffer.from(prefix), word])
    },
  }
}
