import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { systemClock } from '../time/system-clock.js'
import { systemProcesses } from './process-table.js'
import { endProcess, isProvenDead, ownProcess } from './process-identity.js'

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

test.runIf(process.platform === 'linux')(
  'E8: a stopped process is ended by number and start time; one that only has the number of another is left alone',
  async () => {
    const child = spawn(process.execPath, ['--eval', 'setInterval(() => 1, 1000)'])
    const ended = once(child, 'exit')
    await once(child, 'spawn')
    const pid = child.pid ?? 0
    const identity = { ...ownProcess(), pid, startTime: await systemProcesses().startTimeOf(pid) }
    child.kill('SIGSTOP')
    await endProcess({ ...identity, startTime: '1' }, systemClock)
    expect(isProvenDead(identity)).toBe(false)
    await endProcess(identity, systemClock)
    expect(isProvenDead(identity)).toBe(true)
    expect(await ended).toEqual([null, 'SIGKILL'])
    await endProcess(identity, systemClock)
  },
)

test('E8: neither this process is ended nor one that is known too little of, or is elsewhere', async () => {
  const own = ownProcess()
  for (const other of [own, { ...own, startTime: '', pid: process.ppid }, { ...own, host: 'elsewhere' }])
    await expect(endProcess(other, systemClock)).rejects.toMatchObject({ code: 'TIMEOUT' })
})
