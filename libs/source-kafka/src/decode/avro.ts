/** Avro as a schema registry's serializers write it: a zero byte, the schema's id in four bytes, then the data. */
import avsc from 'avsc'
import type { BytesDeserializer } from './deserializer.js'
import { messageOf } from './message.js'
import { schemaRegistry, type SchemaRegistryOptions, type SchemaSource } from './schema-registry.js'

export interface AvroOptions {
  /** Where schemas are, or what knows them. */
  readonly registry: SchemaRegistryOptions | SchemaSource
  /** What values are read as, as JSON of Avro: fields that a writer did not have get their defaults. Default: as they were written. */
  readonly readerSchema?: unknown
}

type Decode = (data: Buffer) => unknown

const MAGIC = 0
const ID_AT = 1
const DATA_AT = 5

/** Decodes Avro. Longs beyond 2^53 are not exact and do not decode. */
export function avro<T = unknown>({ registry, readerSchema }: AvroOptions): BytesDeserializer<T> {
  const source = 'schema' in registry ? registry : schemaRegistry(registry)
  const reader = readerSchema === undefined ? undefined : avsc.Type.forSchema(readerSchema as avsc.Schema)
  const decoders = new Map<number, Decode>()
  return {
    from: 'bytes',
    prepare(bytes) {
      const id = idOf(bytes)
      if (id === undefined || decoders.has(id)) return undefined
      return source.schema(id).then((schema) => void decoders.set(id, decoderOf(id, schema, reader)))
    },
    decode(bytes) {
      const id = idOf(bytes)
      if (id === undefined) throw new Error('it does not begin with the id of a schema')
      return (decoders.get(id) as Decode)(bytes) as T
    },
  }
}

function idOf(bytes: Buffer): number | undefined {
  return bytes.length >= DATA_AT && bytes[0] === MAGIC ? bytes.readInt32BE(ID_AT) : undefined
}

/** A schema that is missing or makes no sense is the fault of the records that name it. */
function decoderOf(id: number, schema: string | undefined, reader: avsc.Type | undefined): Decode {
  try {
    if (schema === undefined) throw new Error('the registry has none of that id')
    const writer = avsc.Type.forSchema(JSON.parse(schema) as avsc.Schema)
    if (reader === undefined) return (bytes) => writer.fromBuffer(bytes.subarray(DATA_AT)) as unknown
    const resolver = reader.createResolver(writer)
    return (bytes) => reader.fromBuffer(bytes.subarray(DATA_AT), resolver) as unknown
  } catch (error) {
    const reason = `schema ${String(id)}: ${messageOf(error)}`
    return () => {
      throw new Error(reason)
    }
  }
}
