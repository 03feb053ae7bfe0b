import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { identify, isAlive, type ProcessIdentity } from './process-identity.js'

/** As a JVM does, it has threads with a good deal to give back, which end after its first one. */
const MANY_THREADS = `
const { Worker } = require('node:worker_threads')
const code = 'const held = Buffer.alloc(2e7, 1); setInterval(() => held[0]++, 0); require("node:worker_threads").parentPort.postMessage("up")'
let up = 0
for (let n = 0; n < 6; n++) new Worker(code, { eval: true }).once('message', () => { if (++up === 6) console.log('up') })`

test.runIf(process.platform === 'linux')(
  'a process that was killed is alive until the last of its threads has ended: it may hold a port',
  async () => {
    for (let n = 0; n < 5; n++) {
      const child = spawn(process.execPath, ['--eval', MANY_THREADS], { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(child.stdout, 'data')
      const identity = (await identify(child.pid ?? 0)) as ProcessIdentity
      child.kill('SIGKILL')
      while (await isAlive(identity)) await setImmediate()
      // The last of them stays listed, as ended, until its parent has asked for it.
      expect(threadsOf(identity.pid)).toBeLessThanOrEqual(1)
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
