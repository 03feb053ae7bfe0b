/** For vitest's `globalSetup`: what a test run has started is stopped at its end, and what a run that died left behind at its start. */
import { Instances } from './instances.js'
import { HOLDER_VARIABLE } from './obtain.js'
import { identifySelf } from './process-identity.js'

/** Called once for each project, all in the one process of the run; all of them end together. */
export async function setup(): Promise<void> {
  if (process.env[HOLDER_VARIABLE] === String(process.pid)) return
  process.env[HOLDER_VARIABLE] = String(process.pid)
  await (await quiet()).release()
}

export async function teardown(): Promise<void> {
  await (await quiet()).release(await identifySelf())
}

function quiet(): Promise<Instances> {
  return Instances.ofCheckout(() => undefined)
}
