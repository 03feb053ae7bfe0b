import { readdir, readFile, readlink } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { describeWithInstalled, startService } from '../index.js'
import { askZooKeeper, zooKeeperService } from './zookeeper.js'

/** 127.0.0.1 as /proc has it, of a program that knows IPv6. */
const LOOPBACK = '0000000000000000FFFF00000100007F'
const LISTENS = '0A'

/** Where a process of Linux listens. */
async function listeners(pid: number): Promise<string[]> {
  const folder = `/proc/${String(pid)}/fd`
  const links = await Promise.all((await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => '')))
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/${String(pid)}/net/${name}`, 'utf8')))
  const rows = tables.flatMap((table) => table.trim().split('\n').slice(1)).map((row) => row.trim().split(/\s+/))
  return rows
    .filter((row) => row[3] === LISTENS && links.includes(`socket:[${row[9] ?? ''}]`))
    .map(([, address = '']) => address.split(':'))
    .map(([host = '', port = '']) => `${host}:${String(Number.parseInt(port, 16))}`)
}

describe('the address of a server of one’s own', () => {
  test.each(['zoo:2181', 'a:2181,b:2181,c:2182', 'zoo:2181/kafka', 'a:1,b:2/one/two'])('%s can be used', (url) => {
    expect(zooKeeperService.fromEnvironment(url)).toEqual({ url })
  })

  test.each(['zoo', 'zookeeper://zoo:2181', 'a:2181,', 'zoo:2181/', 'zoo:2181//x', 'a:1/x,b:2'])(
    '%s is told as wrong',
    (url) => {
      expect(() => zooKeeperService.fromEnvironment(url)).toThrow('is not of the form')
    },
  )
})

await describeWithInstalled({ describe, test }, ['zookeeper'], 'ZooKeeper', () => {
  test('answers, also after a restart, on one port of this machine, and is gone when it was stopped', async () => {
    const own = await startService('zookeeper')
    const [server] = own.processes
    const port = Number(own.values.url.split(':')[1])
    try {
      expect(await askZooKeeper(port, 'ruok')).toBe('imok')
      const first = server?.pid
      await server?.restart()
      expect(server?.pid).not.toBe(first)
      expect(await askZooKeeper(port, 'srvr')).toContain('Mode: standalone')
      if (process.platform === 'linux')
        expect(await listeners(server?.pid ?? 0)).toEqual([`${LOOPBACK}:${String(port)}`])
    } finally {
      await own.stop()
    }
    expect(await server?.isRunning()).toBe(false)
    await expect(askZooKeeper(port, 'ruok')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  }, 180_000)
})
