/** One process of Redis: its settings, how it is started, how it is known to answer. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Launch } from '../server-process.js'
import type { StartContext } from '../service.js'
import { ServiceError } from '../errors.js'
import { askRedis } from './install.js'

export interface RedisOptions {
  /** Further settings, as in `redis.conf`; they win. */
  readonly settings: Readonly<Record<string, string>>
}

/** Nothing that was acknowledged is lost by a kill. */
const SETTINGS = {
  bind: '127.0.0.1',
  save: '',
  appendonly: 'yes',
  appendfsync: 'always',
  'maxmemory-policy': 'noeviction',
}

export interface RedisServer {
  readonly name: string
  readonly port: number
  readonly settings: Readonly<Record<string, string>>
  /** Rejects while it does not answer as it must. Default: it answers a PING, and has loaded its data. */
  readonly probe?: () => Promise<void>
}

/** How to start it, with data of its own in the instance's folder. */
export async function redisLaunch(context: StartContext, server: RedisServer): Promise<Launch> {
  const { name, port, probe = () => answers(port) } = server
  const dir = join(context.folder, name)
  await mkdir(dir, { recursive: true })
  const settings = { ...SETTINGS, port: String(port), dir, ...server.settings }
  // By a file: passwords are nobody's business who lists processes.
  const file = join(dir, 'redis.conf')
  const lines = Object.entries(settings).map(([setting, value]) => `${setting} ${value === '' ? '""' : value}\n`)
  await writeFile(file, lines.join(''), { mode: 0o600 })
  return {
    name,
    command: 'redis-server',
    args: [file],
    log: join(context.logs, `${name}.log`),
    probe,
    readyWithinMs: 60_000,
  }
}

export async function answers(port: number): Promise<void> {
  await expectAnswer(port, ['PING'], /^PONG$/)
}

/** Rejects with what it says where that does not match. */
export async function expectAnswer(port: number, command: readonly string[], expected: RegExp): Promise<void> {
  const answer = await askRedis(port, ...command)
  if (!expected.test(answer)) throw new ServiceError('redis', `${command.join(' ')} gave: ${answer.slice(0, 500)}`)
}
