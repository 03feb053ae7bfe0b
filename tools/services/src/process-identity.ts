/** Who a process is, so that another one that got the same number later is never taken for it. */
import { execFile } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
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

/** Whether all threads of the process are stopped: SIGSTOP reaches one of them first, and the others go on until that one had its turn. */
export async function isStopped({ pid }: ProcessIdentity): Promise<boolean> {
  if (process.platform !== 'linux') return (await posixState(pid)).startsWith('T')
  const threads = await readdir(`/proc/${String(pid)}/task`).catch(() => [])
  const states = await Promise.all(threads.map((thread) => linuxFields(`${String(pid)}/task/${thread}`)))
  return states.every((fields) => fields === undefined || ['T', 't', 'Z', 'X'].includes(fields[0] ?? ''))
}

async function linuxBirth(pid: number): Promise<string | undefined> {
  const fields = await linuxFields(String(pid))
  if (fields === undefined || hasEnded(fields)) return undefined
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
  return `${boot.trim()} ${await readlink('/proc/self/ns/pid')} ${fields[19] ?? ''}`
}

/** What /proc tells of a process or thread from its state on (field 3): field 22 is the start in ticks since boot. */
async function linuxFields(path: string): Promise<readonly string[] | undefined> {
  try {
    const stat = await readFile(`/proc/${path}/stat`, 'utf8')
    // The name in brackets may hold spaces and brackets.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/**
 * Whether nothing of a process runs any more, from its state on. What was killed stays listed until its parent has asked for its end;
 * and its first thread may end (state Z) before the others, which keep its files, locks and ports until the last of them is gone (field 20).
 */
function hasEnded(fields: readonly string[]): boolean {
  const [state = ''] = fields
  return state === 'X' || (state === 'Z' && Number(fields[17]) <= 1)
}

async function posixState(pid: number): Promise<string> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'state=', '-p', String(pid)]).catch(() => ({ stdout: '' }))
  return stdout.trim()
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
