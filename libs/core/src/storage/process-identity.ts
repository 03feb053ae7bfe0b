/** Which process of which machine somebody is, and whether it is dead beyond doubt (E7, E8). */
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { SluiceError } from '../errors.js'
import type { Clock } from '../time/clock.js'

/** What tells a process from every other one, also from a later one with the same number. */
export interface ProcessIdentity {
  readonly host: string
  /** Changes with every start of the machine; empty where the system does not tell it. */
  readonly bootId: string
  /** Process numbers mean something inside it only; empty where there is none. */
  readonly pidNamespace: string
  readonly pid: number
  /** In ticks since the machine's start; empty where the system does not tell it. */
  readonly startTime: string
}

/** The identity of this process. */
export function ownProcess(): ProcessIdentity {
  const { pid } = process
  return {
    host: hostname(),
    bootId: textOf('/proc/sys/kernel/random/boot_id'),
    pidNamespace: orEmpty(() => readlinkSync('/proc/self/ns/pid')),
    pid,
    startTime: startTimeOf(pid),
  }
}

/**
 * True only when that process cannot live any more: it ran on this host since its last start, in the same PID namespace, and
 * its number is free or belongs to a process that started at another time. What cannot be told is not proven.
 */
export function isProvenDead(identity: ProcessIdentity): boolean {
  const own = ownProcess()
  if (identity.host !== own.host) return false
  // Two machines may bear one name: then only the start tells them apart.
  if (identity.bootId !== own.bootId) return false
  if (identity.pidNamespace !== own.pidNamespace) return false
  if (!isThere(identity.pid)) return true
  const startTime = startTimeOf(identity.pid)
  return startTime !== '' && identity.startTime !== '' && startTime !== identity.startTime
}

const LONGEST_END_MS = 10_000
const LOOK_MS = 10

/**
 * Ends a process of this machine that hangs, as it is (SIGKILL): nothing of it runs when this resolves. One that is dead already, or
 * whose number now belongs to another, is left alone. Rejects with `TIMEOUT` when it does not end, and when it may not be ended.
 */
export async function endProcess(identity: ProcessIdentity, clock: Clock, signal?: AbortSignal): Promise<void> {
  const deadline = clock.monotonic() + LONGEST_END_MS
  while (!isProvenDead(identity)) {
    requireOwnMachine(identity)
    kill(identity.pid)
    if (clock.monotonic() >= deadline) throw notEnded(identity)
    await clock.sleep(LOOK_MS, signal)
  }
}

/** Its number means somebody else on any other machine; and where start times are unknown, perhaps on this one. */
function requireOwnMachine(identity: ProcessIdentity): void {
  const own = ownProcess()
  const isOwn = (['host', 'bootId', 'pidNamespace'] as const).every((name) => identity[name] === own[name])
  const isCertain = identity.startTime !== '' && startTimeOf(identity.pid) === identity.startTime
  if (!isOwn || !isCertain || identity.pid === own.pid) throw notEnded(identity)
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

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !isZombie(pid)
  } catch (error) {
    return (error as { code?: unknown }).code !== 'ESRCH'
  }
}

/** One that has ended and waits for its parent to ask how. */
function isZombie(pid: number): boolean {
  return fieldsOf(pid)[0] === 'Z'
}

function startTimeOf(pid: number): string {
  return fieldsOf(pid)[19] ?? ''
}

/** The fields of `/proc/PID/stat` behind the name, which may hold blanks and brackets: state first, start time as number 19. */
function fieldsOf(pid: number): string[] {
  const text = textOf(`/proc/${String(pid)}/stat`)
  return text === '' ? [] : text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function textOf(path: string): string {
  return orEmpty(() => readFileSync(path, 'utf8').trim())
}

function orEmpty(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
