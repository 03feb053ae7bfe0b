/** Who a process is, and whether another one still lives: how an owner is known to be dead (E7, E8). */
import { execFile } from 'node:child_process'
import { readFile, readlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { promisify } from 'node:util'
import { SluiceError } from '../errors.js'
import type { Clock } from '../time/clock.js'
import { errnoOf } from './file-errors.js'

/** Enough to recognise a process, and to tell it from a later one with the same number. */
export interface ProcessIdentity {
  readonly host: string
  readonly pid: number
  /** Another one after each boot. Empty where the system does not tell. */
  readonly bootId: string
  /** Process numbers mean something only within one. Empty where the system has none. */
  readonly pidNamespace: string
  /** When it started, in whatever form the system tells it. Empty where it does not. */
  readonly startTime: string
}

/** The processes of this machine. */
export interface ProcessTable {
  /** As `process.platform`. */
  readonly platform: string
  self(): Promise<ProcessIdentity>
  /** The start time of a process of this machine; `gone` where there is none, `unknown` where it cannot be told. */
  startTimeOf(pid: number): Promise<string>
}

export const GONE = 'gone'
export const UNKNOWN = 'unknown'

/**
 * What has become of a process: `dead` only where it ran on this machine since its last start, in the same PID namespace, and
 * its number is free or belongs to one that started at another time. What cannot be told is `unknown`.
 */
export async function fateOf(
  identity: ProcessIdentity,
  processes: ProcessTable = systemProcesses(),
): Promise<'alive' | 'dead' | 'unknown'> {
  if (!areNeighbours(identity, await processes.self())) return 'unknown'
  const startTime = await processes.startTimeOf(identity.pid)
  if (startTime === GONE) return 'dead'
  if (startTime === UNKNOWN || identity.startTime === UNKNOWN || identity.startTime === '') return 'unknown'
  return startTime === identity.startTime ? 'alive' : 'dead'
}

/** Whether one of them can see if the other lives. Two machines may bear one name: then only the start tells them apart. */
function areNeighbours(a: ProcessIdentity, b: ProcessIdentity): boolean {
  return a.bootId !== '' && a.host === b.host && a.bootId === b.bootId && a.pidNamespace === b.pidNamespace
}

/** The identity of this process. */
export function ownProcess(): Promise<ProcessIdentity> {
  return systemProcesses().self()
}

/** The processes that the operating system shows: from `/proc` on Linux, by `ps` and `sysctl` on macOS. */
export function systemProcesses(): ProcessTable {
  const { platform } = process
  const system = platform === 'linux' ? linux : posix
  return {
    platform,
    self: async () => {
      const [bootId, pidNamespace, startTime] = await Promise.all([
        system.bootId(),
        system.pidNamespace(),
        system.startTimeOf(process.pid),
      ])
      return { host: hostname(), pid: process.pid, bootId, pidNamespace, startTime }
    },
    startTimeOf: (pid) => system.startTimeOf(pid),
  }
}

const LONGEST_END_MS = 10_000
const LOOK_MS = 10

/**
 * Ends a process of this machine that hangs, as it is (SIGKILL): nothing of it runs when this resolves. One that is dead already, or
 * whose number now belongs to another, is left alone. Rejects with `TIMEOUT` when it does not end, and when it may not be ended.
 */
export async function endProcess(identity: ProcessIdentity, clock: Clock, signal?: AbortSignal): Promise<void> {
  const deadline = clock.monotonic() + LONGEST_END_MS
  for (let fate = await fateOf(identity); fate !== 'dead'; fate = await fateOf(identity)) {
    // Elsewhere its number means somebody else; and where start times are unknown, perhaps here, too.
    if (fate === 'unknown' || identity.pid === process.pid || clock.monotonic() >= deadline) throw notEnded(identity)
    kill(identity.pid)
    await clock.sleep(LOOK_MS, signal)
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended just now, or belongs to another user: the next look tells.
  }
}

function notEnded({ host, pid }: ProcessIdentity): SluiceError {
  return new SluiceError({
    code: 'TIMEOUT',
    component: 'take-over',
    message: `process ${String(pid)} of ${host}, from which this one takes over, could not be ended; stop it by hand`,
  })
}

interface System {
  bootId(): Promise<string>
  pidNamespace(): Promise<string>
  startTimeOf(pid: number): Promise<string>
}

const linux: System = {
  bootId: () => orEmpty(readFile('/proc/sys/kernel/random/boot_id', 'utf8')),
  pidNamespace: () => orEmpty(readlink('/proc/self/ns/pid')),
  async startTimeOf(pid) {
    try {
      return startTimeIn(await readFile(`/proc/${String(pid)}/stat`, 'utf8'))
    } catch {
      // Processes of other users may be hidden from /proc.
      return exists(pid) ? UNKNOWN : GONE
    }
  },
}

const posix: System = {
  bootId: () => orEmpty(output('sysctl', ['-n', 'kern.bootsessionuuid'])),
  pidNamespace: () => Promise.resolve(''),
  async startTimeOf(pid) {
    try {
      const [state, ...started] = (await output('ps', ['-o', 'state=,lstart=', '-p', String(pid)])).trim().split(/\s+/)
      if (state?.startsWith('Z') === true) return GONE
      return started.length > 0 ? started.join(' ') : UNKNOWN
    } catch {
      return exists(pid) ? UNKNOWN : GONE
    }
  },
}

/** Field 22 of `/proc/PID/stat`, in clock ticks since boot. The name before it may hold spaces and brackets. */
function startTimeIn(stat: string): string {
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // A process that was killed stays listed until its parent has asked for its end. Its first thread may have ended (Z) before
  // the others (field 20 counts them all), which may still be at a write or a rename: it is gone when the last of them is.
  if (state === 'X' || (state === 'Z' && Number(fields[16]) <= 1)) return GONE
  return fields[18] ?? UNKNOWN
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) !== 'ESRCH'
  }
}

async function output(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' } })
  return stdout
}

async function orEmpty(text: Promise<string>): Promise<string> {
  return (await text.catch(() => '')).trim()
}
