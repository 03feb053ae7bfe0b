import { describe, expect, test } from 'vitest'
import { describeWithInstalled, dfsAdmin, startService } from '../index.js'
import { writeAndRemove } from './webhdfs.js'

describe('the address of a server of one’s own', () => {
  test('must be that of the web server', async () => {
    const { hdfsService } = await import('./hdfs.js')
    expect(hdfsService.fromEnvironment('http://namenode:9870')).toEqual({
      url: 'http://namenode:9870',
      configuration: '',
    })
    expect(() => hdfsService.fromEnvironment('hdfs://namenode:9000')).toThrow('is not of the form')
  })
})

await describeWithInstalled({ describe, test }, ['hdfs'], 'HDFS', () => {
  test('can be written to, after a restart, and not in safe mode', async () => {
    const own = await startService('hdfs')
    try {
      await writeAndRemove(own.values.url)
      const [nameNode, dataNode] = own.processes
      expect([nameNode?.name, dataNode?.name]).toEqual(['namenode', 'datanode'])
      await nameNode?.restart()
      await writeAndRemove(own.values.url)
      expect(await dfsAdmin(own.values, '-safemode', 'enter')).toContain('Safe mode is ON')
      await expect(writeAndRemove(own.values.url)).rejects.toThrow('SafeModeException')
    } finally {
      await own.stop()
    }
  }, 180_000)
})
