import { describe, expect, test } from 'vitest'
import { describeWithInstalled, startService } from '../index.js'
import { s3Service } from './versitygw.js'

test('a server of one’s own is named with its login', () => {
  expect(s3Service.fromEnvironment('http://key:se%2Fcret@127.0.0.1:7070')).toEqual({
    endpoint: 'http://127.0.0.1:7070',
    accessKeyId: 'key',
    secretAccessKey: 'se/cret',
  })
  expect(() => s3Service.fromEnvironment('http://127.0.0.1:7070')).toThrow('ACCESS-KEY')
})

await describeWithInstalled({ describe, test }, ['s3'], 'S3', () => {
  test('answers, also after a restart at the same address, and lets nobody in without a login', async () => {
    const own = await startService('s3')
    try {
      const ask = async () => (await fetch(`${own.values.endpoint}/`)).status
      expect(await ask()).toBe(403)
      await own.processes[0]?.restart()
      expect(await ask()).toBe(403)
    } finally {
      await own.stop()
    }
  }, 60_000)
})
