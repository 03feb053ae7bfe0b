/** How records are made of chunks, without a broker: a chunk is a list here. */
import type { RecordChunk, RecordCursor } from '@sluice/kafka-wire'
import { describe, expect, test } from 'vitest'
import { Undecodable } from '../record.js'
import { decodingOf, type DecodeOptions } from './chunk-decoder.js'
import { bytes, json, string, type BytesDeserializer } from './deserializer.js'

/** A chunk of values at offsets from 0. */
function chunkOf(values: readonly (string | null)[], headerError?: Error): RecordChunk {
  const all = values.map((value) => (value === null ? null : Buffer.from(value)))
  return {
    ...{ topic: 'orders', partition: 3, position: BigInt(values.length), sizeBytes: 0 },
    count: () => values.length,
    pack: () => Buffer.alloc(0),
    records: (): RecordCursor => {
      let at = -1
      const value = (): Buffer | null => all[at] as Buffer | null
      return {
        next: () => ++at < all.length,
        get offset() {
          return BigInt(at)
        },
        timestampMs: 1,
        key: null,
        keyCopy: null,
        keyText: null,
        get value() {
          return value()
        },
        get valueCopy() {
          return Buffer.from(value() ?? 'none')
        },
        get valueText() {
          return value()?.toString() ?? null
        },
        get headers() {
          if (headerError !== undefined) throw headerError
          return []
        },
      }
    },
  }
}

async function decode<K, V, T>(
  values: readonly (string | null)[],
  options: Partial<DecodeOptions<K, V, T>>,
  sizes: readonly number[] = [100],
): Promise<(T | Undecodable)[][]> {
  const decoder = decodingOf<K, V, T>({ keepsUndecodable: false, ...options }).decoder(chunkOf(values))
  const taken: (T | Undecodable)[][] = []
  for (let i = 0; !decoder.isDone; i++) {
    taken.push(decoder.take(sizes[i % sizes.length] as number))
    await decoder.pending
  }
  return taken
}

describe('decoding', () => {
  test('gives as many as are asked for, until the chunk is done', async () => {
    const options = { value: string, handler: ({ value }: { value: string | null }) => value }
    expect(await decode(['a', 'b', 'c', 'd'], options, [1, 2])).toEqual([['a'], ['b', 'c'], ['d'], []])
    expect(await decode([], options)).toEqual([[]])
  })

  test('null is never given to a deserializer', async () => {
    const value = json((parsed) => parsed)
    expect(await decode(['1', null], { value, handler: (record) => record.value })).toEqual([[1, null]])
  })

  test('decodes of a record only what the handler looks at', async () => {
    let decoded = 0
    const value: BytesDeserializer<string> = {
      from: 'bytes',
      decode: (view) => `${String(decoded++)} ${view.toString()}`,
    }
    expect(await decode(['x', 'y'], { value, handler: ({ offset }) => offset })).toEqual([[0n, 1n]])
    expect(decoded).toBe(0)
  })

  test('without a handler bytes are copies; a handler sees views', async () => {
    const view = Buffer.from('abc')
    const chunk = chunkOf(['abc'])
    const same: RecordChunk = { ...chunk, records: () => Object.assign(chunk.records(), {}) }
    const [record] = decodingOf<Buffer, Buffer, { value: Buffer }>({ keepsUndecodable: false }).decoder(same).take(1)
    expect((record as { value: Buffer }).value).toEqual(view)
    expect(bytes.decode(view as never)).not.toBe(view)
    expect(await decode(['abc'], { handler: ({ value }) => (value as unknown as Buffer).toString('hex') })).toEqual([
      ['616263'],
    ])
  })

  describe('what does not decode', () => {
    const value = json<{ n: number }>()
    const handler = (record: { value: { n: number } | null }): number => record.value?.n ?? 0

    test('fails with its coordinates and what to do', async () => {
      await expect(decode(['{"n":1}', '{'], { value, handler })).rejects.toMatchObject({
        code: 'RECORD_UNDECODABLE',
        retryable: false,
        message: expect.stringMatching(
          /^\[source-kafka\] orders\/3 at offset 1: the value does not decode: .*; repair the producer, or give onDecodeError/,
        ) as unknown,
      })
    })

    test('or stands among the others in order, with its bytes', async () => {
      const [taken] = await decode(['{"n":1}', '{', '{"n":3}'], { value, handler, keepsUndecodable: true })
      expect(taken?.[0]).toBe(1)
      expect(taken?.[2]).toBe(3)
      const bad = taken?.[1] as Undecodable
      expect(bad).toBeInstanceOf(Undecodable)
      expect(bad.record).toEqual({
        ...{ topic: 'orders', partition: 3, offset: 1n, timestamp: 1, key: null, value: Buffer.from('{'), headers: [] },
        message: expect.stringMatching(/^the value does not decode: /) as unknown,
      })
    })

    test('also where it is the last one that was asked for', async () => {
      const taken = await decode(['{', '{', '{"n":3}'], { value, handler, keepsUndecodable: true }, [1])
      expect(taken.flat().map((each) => (each instanceof Undecodable ? each.record.offset : each))).toEqual([0n, 1n, 3])
    })
  })

  describe('a handler', () => {
    test('that throws fails the batch by its place, or makes the record undecodable', async () => {
      const handler = (): number => {
        throw new TypeError('no')
      }
      const cause = expect.any(TypeError) as unknown
      await expect(decode(['x'], { handler })).rejects.toMatchObject({ code: 'USER_FUNCTION_FAILED', cause })
      const [[bad] = []] = await decode(['x'], { handler, keepsUndecodable: true })
      expect((bad as Undecodable).record.message).toBe('no')
    })

    test.each([false, true])(
      'that returns the record itself is refused, dead letters or not: %s',
      async (keepsUndecodable) => {
        const options = { handler: (record: object) => record, keepsUndecodable }
        await expect(decode(['x'], options)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
      },
    )

    test.each([false, true])('that returns a promise is refused, dead letters or not: %s', async (keepsUndecodable) => {
      const options = { handler: () => Promise.resolve(1), keepsUndecodable }
      await expect(decode(['x'], options)).rejects.toMatchObject({ code: 'ASYNC_FUNCTION' })
      const value = { from: 'text', decode: () => Promise.resolve(1) } as const
      await expect(decode(['x'], { value, keepsUndecodable })).rejects.toMatchObject({ code: 'ASYNC_FUNCTION' })
    })
  })

  test('what reading throws is no fault of a record', async () => {
    const broken = new Error('the bytes are damaged')
    const options = { keepsUndecodable: true }
    const decoder = decodingOf(options).decoder(chunkOf(['x'], broken))
    expect(() => decoder.take(1)).toThrow(broken)
    const chunk = chunkOf(['x'])
    const cursor = chunk.records()
    cursor.next = () => {
      throw broken
    }
    const other = decodingOf(options).decoder({ ...chunk, records: () => cursor })
    expect(() => other.take(1)).toThrow(broken)
    return Promise.resolve()
  })

  describe('a deserializer that has to look something up', () => {
    function lookingUp(known: Set<string>): BytesDeserializer<string> & { readonly lookups: string[] } {
      const lookups: string[] = []
      return {
        from: 'bytes',
        lookups,
        prepare(view) {
          const schema = view.toString()[0] as string
          if (known.has(schema)) return undefined
          lookups.push(schema)
          return Promise.resolve().then(() => void known.add(schema))
        },
        decode: (view) => `decoded ${view.toString()}`,
      }
    }

    test('is waited for, once for each thing, and no record is left out', async () => {
      const value = lookingUp(new Set(['b']))
      const taken = await decode(['b1', 'a1', 'a2', 'b2', 'c1'], { value, handler: (record) => record.value }, [2])
      expect(taken.flat()).toEqual(['b1', 'a1', 'a2', 'b2', 'c1'].map((each) => `decoded ${each}`))
      expect(value.lookups).toEqual(['a', 'c'])
    })

    test('whose look-up fails fails the batch, also with dead letters', async () => {
      const failing: BytesDeserializer<string> = {
        from: 'bytes',
        prepare: () => Promise.reject(new Error('the registry is away')),
        decode: String,
      }
      await expect(decode(['x'], { value: failing, keepsUndecodable: true })).rejects.toThrow('the registry is away')
    })
  })
})
