import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { systemClock } from '../time/system-clock.js'
import { endProcess, fateOf, ownProcess, systemProcesses } from './process-table.js'

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

test.runIf(process.platform === 'linux')(
  'E8: a stopped process is ended by number and start time; one that only has the number of another is left alone',
  async () => {
    const child = spawn(process.execPath, ['--eval', 'setInterval(() => 1, 1000)'])
    const ended = once(child, 'exit')
    await once(child, 'spawn')
    const pid = child.pid ?? 0
    const identity = { ...(await ownProcess()), pid, startTime: await systemProcesses().startTimeOf(pid) }
    child.kill('SIGSTOP')
    await endProcess({ ...identity, startTime: '1' }, systemClock)
    expect(await fateOf(identity)).toBe('alive')
    await endProcess(identity, systemClock)
    expect(await fateOf(identity)).toBe('dead')
    expect(await ended).toEqual([null, 'SIGKILL'])
    await endProcess(identity, systemClock)
  },
)

/** Has a good deal to give back when it ends, and threads that do so after its first one. */
const MANY_THREADS = `
const { Worker } = require('node:worker_threads')
const code = 'const held = Buffer.alloc(2e7, 1); setInterval(() => held[0]++, 0); require("node:worker_threads").parentPort.postMessage("up")'
let up = 0
for (let n = 0; n < 6; n++) new Worker(code, { eval: true }).once('message', () => { if (++up === 6) console.log('up') })`

test.runIf(process.platform === 'linux')(
  'E7, E8: a process whose first thread has ended is dead when none of its threads runs any more, not before',
  async () => {
    for (let n = 0; n < 5; n++) {
      const child = spawn(process.execPath, ['--eval', MANY_THREADS], { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(child.stdout, 'data')
      const pid = child.pid ?? 0
      const identity = { ...(await ownProcess()), pid, startTime: await systemProcesses().startTimeOf(pid) }
      await endProcess(identity, { ...systemClock, sleep: () => Promise.resolve() })
      // The last of them stays listed, as ended, until its parent has asked for it.
      expect(threadsOf(pid)).toBeLessThanOrEqual(1)
    }
  },
)

function threadsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${String(pid)}/task`).length
  } catch {
    return 0
  }
}

test('E8: neither this process is ended nor one that is known too little of, or is elsewhere', async () => {
  const own = await ownProcess()
  for (const other of [own, { ...own, startTime: '', pid: process.ppid }, { ...own, host: 'elsewhere' }])
    await expect(endProcess(other, systemClock)).rejects.toMatchObject({ code: 'TIMEOUT' })
})
