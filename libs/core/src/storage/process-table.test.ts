import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { fateOf, ownProcess } from './process-table.js'

test('E7: this process is not dead, and nobody else of another host, start of the machine or container is proven to be', async () => {
  const own = await ownProcess()
  expect(own.pid).toBe(process.pid)
  expect(await fateOf(own)).toBe('alive')
  for (const other of [{ host: 'elsewhere' }, { bootId: 'earlier' }, { pidNamespace: 'pid:[1]' }])
    expect(await fateOf({ ...own, ...other, pid: 2 ** 22 + 1 })).toBe('unknown')
})

test('E7: a process that has ended is dead, before and after its parent has asked for it', async () => {
  const child = spawn(process.execPath, ['--eval', 'setInterval(() => 1, 1000)'])
  await once(child, 'spawn')
  const identity = { ...(await ownProcess()), pid: child.pid ?? 0, startTime: '' }
  expect(await fateOf(identity)).toBe('unknown')
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(await fateOf(identity)).toBe('dead')
})

test.runIf(process.platform === 'linux')(
  'E7: a number that another process has now proves it, a start time that is unknown does not',
  async () => {
    const own = await ownProcess()
    expect(await fateOf({ ...own, startTime: '1' })).toBe('dead')
    expect(await fateOf({ ...own, startTime: '' })).toBe('unknown')
  },
)
