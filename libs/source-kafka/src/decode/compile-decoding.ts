/**
 * The innermost loop of a stream, compiled once for each from a fixed template: a loop of its own calls this stream's
 * deserializers and handler only, so V8 inlines through them. The same closures shared by several streams of a process cost half as
 * much again. The source holds kinds only, nothing of the user's.
 */
import { compileFunction } from 'node:vm'
import type { RecordCursor } from '@sluice/kafka-wire'
import { string, type Deserializer } from './deserializer.js'

/** How a key or value is made: of text or bytes by a deserializer, as the text itself, as a copy of the bytes, or as a view of them. */
type PartKind = 'text' | 'bytes' | 'plain-text' | 'copy' | 'view'

export interface Place {
  readonly topic: string
  readonly partition: number
}

/** What a loop tells of itself while it runs, and when it throws. */
export interface LoopState {
  /** Whether the cursor was asked for the next record: what it throws is no fault of that one. */
  isReading: boolean
  isDone: boolean
  /** How many records there are. */
  made: number
  /** What the record on which the cursor stands waits for. */
  pending: Promise<void> | undefined
}

/** Makes records, from number `state.made` on, until `out` is full; false when no more is to be had now. Goes on where it was when called again. */
export type Fill = (out: unknown[], state: LoopState) => boolean

export interface LoopOptions {
  readonly key: Deserializer<unknown> | undefined
  readonly value: Deserializer<unknown> | undefined
  readonly handler: ((record: never) => unknown) | undefined
  /** Whether a key or value may have to wait, and for what. */
  readonly prepare: ((cursor: RecordCursor) => Promise<void> | undefined) | undefined
}

/** What the loop calls. */
interface Callees {
  readonly decodeKey: ((data: never) => unknown) | undefined
  readonly decodeValue: ((data: never) => unknown) | undefined
  readonly handler: ((record: never) => unknown) | undefined
  readonly prepare: ((cursor: RecordCursor) => Promise<void> | undefined) | undefined
  readonly headersOf: (cursor: RecordCursor) => unknown
  readonly decodeFailed: (part: string, error: unknown) => Error
  readonly keptView: () => Error
}

const CALLEES = [
  'decodeKey',
  'decodeValue',
  'handler',
  'prepare',
  'headersOf',
  'decodeFailed',
  'keptView',
] as const satisfies readonly (keyof Callees)[]

export type LoopHelpers = Pick<Callees, 'headersOf' | 'decodeFailed' | 'keptView'>

/** Makes the loop for each cursor. */
export function compileLoop(
  { key, value, handler, prepare }: LoopOptions,
  helpers: LoopHelpers,
): (place: Place, cursor: RecordCursor) => Fill {
  const hasHandler = handler !== undefined
  const source = sourceOf(kindOf(key, hasHandler), kindOf(value, hasHandler), hasHandler, prepare !== undefined)
  const make = compileFunction(source, [...CALLEES], { filename: 'sluice-kafka-loop' }) as (
    ...callees: unknown[]
  ) => (place: Place, cursor: RecordCursor) => Fill
  const callees: Callees = {
    decodeKey: decodeOf(key),
    decodeValue: decodeOf(value),
    handler,
    prepare,
    ...helpers,
  }
  return make(...CALLEES.map((name) => callees[name]))
}

function kindOf(deserializer: Deserializer<unknown> | undefined, hasHandler: boolean): PartKind {
  if (deserializer === string) return 'plain-text'
  return deserializer?.from ?? (hasHandler ? 'view' : 'copy')
}

function decodeOf(deserializer: Deserializer<unknown> | undefined): ((data: never) => unknown) | undefined {
  return deserializer === undefined ? undefined : (data) => deserializer.decode(data)
}

function sourceOf(key: PartKind, value: PartKind, hasHandler: boolean, prepares: boolean): string {
  return `'use strict'
class View {
  #cursor
  constructor(place, cursor) {
    this.topic = place.topic
    this.partition = place.partition
    this.#cursor = cursor
  }
  get offset() { return this.#cursor.offset }
  get timestamp() { return this.#cursor.timestampMs }
  get key() { ${partSource('key', 'decodeKey', key)} }
  get value() { ${partSource('value', 'decodeValue', value)} }
  get headers() { return headersOf(this.#cursor) }
}
return (place, cursor) => {
  const view = new View(place, cursor)
  return (out, state) => {
    const most = out.length
    let made = state.made
    try {
      while (made < most) {
        if (state.pending === undefined) {
          state.isReading = true
          if (!cursor.next()) {
            state.isDone = true
            return false
          }
          state.isReading = false
        }
        ${prepares ? 'if ((state.pending = prepare(cursor)) !== undefined) return false' : ''}
        ${hasHandler ? HANDLED : PLAIN}
      }
      return true
    } finally {
      state.made = made
    }
  }
}`
}

// Comparing objects only: a comparison of whatever comes is a call.
const HANDLED = `const record = handler(view)
        if (typeof record === 'object' && record === view) throw keptView()
        out[made++] = record`

// Counted when it is there: its parts may throw.
const PLAIN = `out[made] = { topic: place.topic, partition: place.partition, offset: view.offset, timestamp: view.timestamp,
          key: view.key, value: view.value, headers: view.headers }
        made++`

/** Of the cursor's properties for a key or value. */
const SUFFIXES: Readonly<Record<PartKind, string>> = {
  text: 'Text',
  'plain-text': 'Text',
  bytes: '',
  view: '',
  copy: 'Copy',
}

function partSource(part: 'key' | 'value', decode: string, kind: PartKind): string {
  const data = `this.#cursor.${part}${SUFFIXES[kind]}`
  if (kind === 'view' || kind === 'plain-text' || kind === 'copy') return `return ${data}`
  return `const data = ${data}
    if (data === null) return null
    try { return ${decode}(data) } catch (error) { throw decodeFailed('${part}', error) }`
}
