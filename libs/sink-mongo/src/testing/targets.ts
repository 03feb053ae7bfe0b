/** What the conformance tests of all modes write, and how it is read past the sink. */
import type { Sink } from '@sluice/core'
import type { Binary, Collection, MongoClient } from 'mongodb'
import { mongoSink } from '../mongo-sink.js'
import type { MongoPlace, MongoSinkOptions, MongoWrite } from '../mongo-sink.config.js'

export interface Item {
  readonly id: string
  readonly value: Uint8Array
}

export const item = (id: string, value: Uint8Array = Buffer.from(id)): Item => ({ id, value: Uint8Array.from(value) })

export const DATABASE = 'conformance'

interface Stored {
  readonly _id: string
  readonly id: string
  readonly value: Binary
  readonly count?: number
}

/** As the conformance suite wants it. */
interface Target {
  readonly sink: Sink<Item>
  reopen(): Sink<Item>
  readBack(): Promise<readonly Item[]>
  close(): Promise<void>
}

export interface ModeCase {
  readonly write: MongoWrite<Item>
  /** How often a document counts. */
  readonly timesOf: (stored: Stored) => number
  readonly refused: readonly Item[]
}

const refusedValues = [
  undefined,
  Symbol('x'),
  () => 1,
  'half a \ud800 character',
  new Date(NaN),
  2n ** 64n,
  new Error('x'),
]
const badValues = refusedValues.map((value, index): Item => ({
  id: `bad ${String(index)}`,
  value: value as never,
}))
const badIds = [null, undefined, NaN, ['x'], new Date(NaN)].map((id): Item => ({
  id: id as never,
  value: Buffer.from('x'),
}))
const once = (): number => 1
const spread = ({ id, value }: Item) => ({ id, value })

export const cases: Readonly<Record<string, ModeCase>> = {
  insert: { write: { mode: 'insert' }, timesOf: once, refused: badValues },
  'insert by id': { write: { mode: 'insert', id: 'id' }, timesOf: once, refused: [...badValues, ...badIds] },
  replace: {
    write: { mode: 'replace', id: ({ id }) => id, document: spread },
    timesOf: once,
    refused: [...badValues, ...badIds],
  },
  upsert: {
    write: { mode: 'upsert', id: 'id', fields: ['id', 'value'] },
    timesOf: once,
    refused: [...badValues, ...badIds],
  },
  // A counter for each record: what was counted twice is there twice.
  increment: {
    write: { mode: 'increment', id: 'id', set: spread },
    timesOf: ({ count = 0 }) => count,
    refused: [...badValues, ...badIds],
  },
  custom: {
    write: {
      mode: 'custom',
      operations: ({ id, value }) => {
        if (!(value instanceof Uint8Array)) throw new Error('has a value that is not of bytes')
        return [{ updateOne: { filter: { _id: id as never }, update: { $set: { id, value } }, upsert: true } }]
      },
    },
    timesOf: once,
    refused: badValues,
  },
}

let targets = 0

/** A target of its own in a server that others use, too. */
export function targetOf(
  { write, timesOf }: ModeCase,
  place: MongoPlace,
  reader: MongoClient,
  more: Partial<MongoSinkOptions<Item>> = {},
): Target {
  const name = `conformance-${String(process.pid)}-${String(++targets)}`
  const where = { database: DATABASE, collection: name, callTimeoutMs: 30_000 }
  const make = (): Sink<Item> => mongoSink<Item>({ ...place, ...write, ...where, ...more } as MongoSinkOptions<Item>)
  const stored: Collection<Stored> = reader.db(DATABASE).collection<Stored>(name)
  return {
    sink: make(),
    reopen: make,
    readBack: async () => {
      const found = await stored.find().toArray()
      return found.flatMap((each) =>
        Array.from({ length: timesOf(each) }, () => item(each.id, each.value.buffer.subarray(0, each.value.position))),
      )
    },
    close: async () => {
      await stored.drop().catch(() => false)
    },
  }
}
