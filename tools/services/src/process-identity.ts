/** Who a process is, so that another one that got the same number later is never taken for it. */
import { execFile } from 'node:child_process'
import { readFile, readlink } from 'node:fs/promises'
import { promisify } from 'node:util'
import { errnoOf, ServiceError } from './errors.js'

export interface ProcessIdentity {
  readonly pid: number
  /** Boot, PID namespace and start time: another one for every process that ever bears this number. */
  readonly birth: string
}

/** The identity of a process of this machine, or undefined where none has that number. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const birth = await (process.platform === 'linux' ? linuxBirth(pid) : posixBirth(pid))
  return birth === undefined ? undefined : { pid, birth }
}

/** The identity of this process. */
export async function identifySelf(): Promise<ProcessIdentity> {
  const self = await identify(process.pid)
  if (self === undefined) throw new ServiceError('services', 'this process cannot be found; is /proc mounted?')
  return self
}

/** Whether that very process still runs. One of another machine or container is told as not running. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await identify(identity.pid))?.birth === identity.birth
}

/** Sends a signal to that very process; false where it runs no more. */
export async function sendSignal(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<boolean> {
  if (!(await isAlive(identity))) return false
  try {
    return process.kill(identity.pid, signal)
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false
    throw error
  }
}

async function linuxBirth(pid: number): Promise<string | undefined> {
  let stat: string
  try {
    stat = await readFile(`/proc/${String(pid)}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The name in brackets may hold spaces and brackets. Field 3 is the state, field 22 the start in ticks since boot.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // What was killed stays listed until its parent has asked for its end.
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
  return `${boot.trim()} ${await readlink('/proc/self/ns/pid')} ${fields[19] ?? ''}`
}

async function posixBirth(pid: number): Promise<string | undefined> {
  const args = ['-o', 'state=,lstart=', '-p', String(pid)]
  try {
    const { stdout } = await promisify(execFile)('ps', args, { env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' } })
    const [state = 'Z', ...started] = stdout.trim().split(/\s+/)
    return state.startsWith('Z') ? undefined : started.join(' ')
  } catch {
    return undefined
  }
}
