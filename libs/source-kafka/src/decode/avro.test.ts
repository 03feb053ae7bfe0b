/** Avro against a registry: a server of HTTP that answers as Confluent's does. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import avsc from 'avsc'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { avro } from './avro.js'
import type { BytesDeserializer } from './deserializer.js'

const v1 = { type: 'record', name: 'Order', fields: [{ name: 'id', type: 'string' }] } as const
const v2 = { ...v1, fields: [...v1.fields, { name: 'amount', type: 'int', default: 7 }] } as const

function encoded(id: number, schema: unknown, value: unknown): Buffer {
  const head = Buffer.alloc(5)
  head.writeInt32BE(id, 1)
  return Buffer.concat([head, avsc.Type.forSchema(schema as avsc.Schema).toBuffer(value)])
}

let server: Server
let url: string
let asked: string[]
let status: number
beforeEach(async () => {
  asked = []
  status = 200
  const schemas: Record<string, unknown> = {
    '/schemas/ids/1': { schema: JSON.stringify(v1) },
    '/schemas/ids/2': { schema: JSON.stringify(v2) },
    '/schemas/ids/3': { schema: '"no type"' },
    '/schemas/ids/4': { schema: '{}', schemaType: 'PROTOBUF' },
  }
  server = createServer((request, response) => {
    asked.push(`${String(request.headers.authorization)} ${String(request.url)}`)
    const found = schemas[request.url ?? '']
    response.statusCode = found === undefined ? 404 : status
    response.end(JSON.stringify(found ?? { error_code: 40403 }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`
})
afterEach(() => {
  server.close()
})

async function decode<T>(deserializer: BytesDeserializer<T>, bytes: Buffer): Promise<T> {
  await deserializer.prepare?.(bytes)
  expect(deserializer.prepare?.(bytes)).toBeUndefined()
  return deserializer.decode(bytes)
}

describe('avro', () => {
  test('decodes by the schema that each value names, and asks for it once', async () => {
    const deserializer = avro({ registry: { url, username: 'me', password: 'secret' } })
    expect(await decode(deserializer, encoded(1, v1, { id: 'a' }))).toEqual({ id: 'a' })
    expect(await decode(deserializer, encoded(2, v2, { id: 'b', amount: 3 }))).toEqual({ id: 'b', amount: 3 })
    expect(await decode(deserializer, encoded(1, v1, { id: 'c' }))).toEqual({ id: 'c' })
    const login = `Basic ${Buffer.from('me:secret').toString('base64')}`
    expect(asked).toEqual([`${login} /schemas/ids/1`, `${login} /schemas/ids/2`])
  })

  test('reads values of older schemas as the reader’s', async () => {
    const deserializer = avro({ registry: { url }, readerSchema: v2 })
    expect(await decode(deserializer, encoded(1, v1, { id: 'a' }))).toEqual({ id: 'a', amount: 7 })
  })

  test.each([
    ['of an unknown schema', encoded(9, v1, { id: 'a' }), 'schema 9: the registry has none of that id'],
    ['of a schema that is none', encoded(3, v1, { id: 'a' }), 'schema 3: '],
    ['of another format', Buffer.from('{"id":1}'), 'it does not begin with the id of a schema'],
    ['that are cut off', encoded(1, v1, { id: 'abc' }).subarray(0, 7), 'truncated buffer'],
    ['that are too short', Buffer.from([0, 0]), 'it does not begin with the id of a schema'],
  ])('bytes %s do not decode', async (_, bytes, message) => {
    await expect(decode(avro({ registry: { url } }), bytes)).rejects.toThrow(message)
  })

  test('a registry that is away, or refuses, is no fault of the record: preparing fails', async () => {
    const deserializer = avro({ registry: { url } })
    const bytes = encoded(1, v1, { id: 'a' })
    status = 503
    await expect(deserializer.prepare?.(bytes)).rejects.toMatchObject({ code: 'CONNECTION_FAILED', retryable: true })
    status = 401
    await expect(deserializer.prepare?.(bytes)).rejects.toMatchObject({ code: 'CONNECTION_FAILED', retryable: false })
    status = 200
    expect(await decode(deserializer, bytes)).toEqual({ id: 'a' })
    await expect(deserializer.prepare?.(encoded(4, v1, { id: 'a' }))).rejects.toThrow('PROTOBUF')
    const away = avro({ registry: { url: 'http://127.0.0.1:1' } })
    await expect(away.prepare?.(bytes)).rejects.toMatchObject({ code: 'CONNECTION_FAILED', retryable: true })
  })
})
