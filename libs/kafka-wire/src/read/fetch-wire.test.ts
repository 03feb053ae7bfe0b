import { expect, it } from 'vitest'
import { decodeFetch, encodeFetch } from './fetch-wire.js'

const answer = Buffer.concat([
  Buffer.alloc(4), // throttled
  Buffer.of(0, 0), // error
  Buffer.alloc(4), // session
  Buffer.of(0, 0, 0, 1, 0, 2, 0x61, 0x62, 0, 0, 0, 1, 0, 0, 0, 3), // one topic, "ab", one partition, 3
  Buffer.of(0, 0), // error
  Buffer.from('0000000000000010000000000000000f0000000000000001', 'hex'),
  Buffer.from('00000002' + '0000000000000007' + '0000000000000002' + '0000000000000008' + '0000000000000004', 'hex'),
  Buffer.of(255, 255, 255, 255), // preferred replica
  Buffer.of(0, 0, 0, 3, 1, 2, 3),
])

it('reads an answer', () => {
  expect(decodeFetch(answer)).toEqual({
    errorCode: 0,
    answer: {
      highWatermark: 16n,
      lastStableOffset: 15n,
      logStartOffset: 1n,
      aborted: [
        { producerId: 7n, firstOffset: 2n },
        { producerId: 8n, firstOffset: 4n },
      ],
      records: Buffer.of(1, 2, 3),
    },
  })
})

it('gives the error of the whole, and of the partition', () => {
  const [whole, part] = [Buffer.from(answer), Buffer.from(answer)]
  whole[5] = 70
  part[27] = 1
  expect([decodeFetch(whole).errorCode, decodeFetch(part).errorCode]).toEqual([70, 1])
})

it('takes no answer that is cut off', () => {
  for (let length = 0; length < answer.length; length++) {
    expect(() => decodeFetch(answer.subarray(0, length))).toThrow(
      expect.objectContaining({ code: 'DATA_CORRUPT' }) as Error,
    )
  }
})

it('asks for one partition', () => {
  const request = {
    topic: 'ab',
    partition: 3,
    offset: 9n,
    isolation: 'committed',
    maxBytes: 4096,
    maxWaitMs: 500,
  } as const
  expect(encodeFetch(request).toString('hex')).toBe(
    'ffffffff' +
      '000001f4' +
      '00000001' +
      '00001000' +
      '01' +
      '00000000' +
      'ffffffff' + // who, how long, how much
      '00000001' +
      '00026162' +
      '00000001' +
      '00000003' +
      'ffffffff' +
      '0000000000000009' +
      'ffffffffffffffff' +
      '00001000' + // what
      '00000000' +
      '0000', // nothing forgotten, no rack
  )
})
