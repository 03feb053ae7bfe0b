/** Redis as it is used: `redis`, one server; `redis-tls`, one to which clients log in over TLS. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePorts } from '../ports.js'
import type { ServiceModule, StartContext } from '../service.js'
import { run } from '../kafka/java.js'
import { askRedis, fetchRedis, redisMissing } from './install.js'
import { redisLaunch, type RedisOptions } from './server.js'

export interface RedisValues {
  /** `redis://127.0.0.1:PORT` */
  readonly url: string
  /** `host:port` */
  readonly address: string
  readonly [name: string]: string
}

export const redisService: ServiceModule<RedisValues, RedisOptions> = {
  name: 'redis',
  summary: 'Redis, one server that syncs every write',
  environmentVariable: 'SLUICE_REDIS',
  fromEnvironment: (url) => ({ url, address: requireUrl(url, 'redis:').host }),
  missing: redisMissing,
  fetch: fetchRedis,
  async start(context, { settings = {} }) {
    const [port] = (await freePorts(1)) as [number]
    const server = await context.launch(await redisLaunch(context, { name: 'redis', port, settings }))
    await server.ready()
    const address = `127.0.0.1:${String(port)}`
    return { url: `redis://${address}`, address }
  },
}

function requireUrl(text: string, protocol: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== protocol || url.port === '')
    throw new Error(`'${text}' is not of the form ${protocol}//host:port`)
  return url
}

export interface RedisTlsValues extends RedisValues {
  /** The certificate that signs the server's, as text and as a file. */
  readonly ca: string
  readonly caFile: string
  readonly username: string
  readonly password: string
}

const USERNAME = 'sluice'

export const redisTlsService: ServiceModule<RedisTlsValues, RedisOptions> = {
  name: 'redis-tls',
  summary: 'Redis, one server with TLS, a user and a password',
  environmentVariable: 'SLUICE_REDIS_TLS',
  fromEnvironment: (text) => {
    const { host, username, password } = requireUrl(text, 'rediss:')
    const caFile = process.env['SLUICE_REDIS_TLS_CA'] ?? ''
    if (caFile === '') throw new Error('SLUICE_REDIS_TLS_CA is not set, and it is needed beside SLUICE_REDIS_TLS')
    return {
      url: `rediss://${host}`,
      address: host,
      ca: readFileSync(caFile, 'utf8'),
      caFile,
      username: decodeURIComponent(username),
      password: decodeURIComponent(password),
    }
  },
  missing: redisMissing,
  fetch: fetchRedis,
  start: startTls,
}

async function startTls(context: StartContext, { settings = {} }: Partial<RedisOptions>): Promise<RedisTlsValues> {
  const [port] = (await freePorts(1)) as [number]
  const { key, certificate } = await makeKeys(context.folder)
  const password = randomBytes(12).toString('hex')
  const login = ['--tls', '--cacert', certificate, '--user', USERNAME, '--pass', password, '--no-auth-warning']
  const tls = {
    port: '0',
    'tls-port': String(port),
    'tls-cert-file': certificate,
    'tls-key-file': key,
    'tls-ca-cert-file': certificate,
    'tls-auth-clients': 'no',
    user: `${USERNAME} on >${password} ~* &* +@all`,
    requirepass: randomBytes(12).toString('hex'),
  }
  const probe = async () => {
    const answer = await askRedis(port, ...login, 'PING')
    if (answer !== 'PONG') throw new Error(`PING gave: ${answer.slice(0, 200)}`)
  }
  const launch = await redisLaunch(context, { name: 'redis-tls', port, settings: { ...tls, ...settings }, probe })
  await (await context.launch(launch)).ready()
  const address = `127.0.0.1:${String(port)}`
  const ca = await readFile(certificate, 'utf8')
  return { url: `rediss://${address}`, address, ca, caFile: certificate, username: USERNAME, password }
}

/** A key, and a certificate that it has signed itself, for 127.0.0.1 and localhost. */
async function makeKeys(folder: string): Promise<{ key: string; certificate: string }> {
  const key = join(folder, 'server.key')
  const certificate = join(folder, 'ca.pem')
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
  const files = ['-keyout', key, '-out', certificate, '-days', '30']
  await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...files, ...subject])
  return { key, certificate }
}
