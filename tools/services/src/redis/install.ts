/** The programs redis-server and redis-cli of the machine: whether they are there, and how they get there on Debian. */
import type { Progress } from '../service.js'
import { ServiceError } from '../errors.js'
import { canRun, run } from '../kafka/java.js'

const PROGRAMS = [
  ['redis-server', '--version'],
  ['redis-cli', '--version'],
  ['openssl', 'version'],
] as const

export async function redisMissing(): Promise<string | undefined> {
  const found = await Promise.all(PROGRAMS.map(([command, arg]) => canRun(command, arg)))
  const missing = PROGRAMS.filter((_, i) => found[i] !== true).map(([command]) => command)
  return missing.length === 0 ? undefined : `there is no ${missing.join(', ')} on the PATH`
}

export async function fetchRedis(progress: Progress): Promise<void> {
  if ((await redisMissing()) === undefined) return
  const isRoot = process.getuid?.() === 0
  if (!isRoot || !(await canRun('apt-get', '--version')))
    throw new ServiceError('redis', 'only root can install it here; install the packages redis-server and openssl')
  progress('redis: installing the Debian packages')
  const lock = ['-o', 'DPkg::Lock::Timeout=300']
  const install = ['install', '-y', '-qq', '--no-install-recommends', ...lock, 'redis-server', 'openssl']
  try {
    await run('apt-get', install)
  } catch {
    // The lists of packages of a fresh image are old, or not there.
    await run('apt-get', ['update', '-qq'])
    await run('apt-get', install)
  }
}

/** What a server answers to a command. Rejects while it does not. */
export async function askRedis(port: number, ...command: readonly string[]): Promise<string> {
  const answer = await run('redis-cli', ['-h', '127.0.0.1', '-p', String(port), ...command])
  return answer.toString().trim()
}
