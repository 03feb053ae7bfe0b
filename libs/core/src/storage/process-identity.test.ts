import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { isProvenDead, ownProcess } from './process-identity.js'

test('E7: this process is not dead, and nobody else of another host, start of the machine or container is proven to be', () => {
  const own = ownProcess()
  expect(own.pid).toBe(process.pid)
  expect(isProvenDead(own)).toBe(false)
  for (const other of [{ host: 'elsewhere' }, { bootId: 'earlier' }, { pidNamespace: 'pid:[1]' }])
    expect(isProvenDead({ ...own, ...other, pid: 2 ** 22 + 1 })).toBe(false)
})

test('E7: a process that has ended is dead, before and after its parent has asked for it', async () => {
  const child = spawn(process.execPath, ['--eval', 'setInterval(() => 1, 1000)'])
  await once(child, 'spawn')
  const identity = { ...ownProcess(), pid: child.pid ?? 0, startTime: '' }
  expect(isProvenDead(identity)).toBe(false)
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(isProvenDead(identity)).toBe(true)
})

test.runIf(process.platform === 'linux')(
  'E7: a number that another process has now proves it, a start time that is unknown does not',
  () => {
    const own = ownProcess()
    expect(isProvenDead({ ...own, startTime: '1' })).toBe(true)
    expect(isProvenDead({ ...own, startTime: '' })).toBe(false)
  },
)
