/** An S3 server over a folder: `s3`, which is versitygw, built by Go. */
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ServiceError } from '../errors.js'
import { cacheFolder } from '../folders.js'
import { canRun, run } from '../kafka/java.js'
import { exists } from '../maven.js'
import { freePorts } from '../ports.js'
import type { ServiceModule, ServiceValues, StartContext } from '../service.js'

const VERSION = '1.8.0'
const MODULE = `github.com/versity/versitygw/cmd/versitygw@v${VERSION}`
const HOST = '127.0.0.1'
const folder = () => join(cacheFolder(), `versitygw-${VERSION}`)
const binary = () => join(folder(), 'versitygw')

export interface S3Values extends ServiceValues {
  /** E.g. `http://127.0.0.1:7070`. Buckets are in the path. */
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export const s3Service: ServiceModule<S3Values> = {
  name: 's3',
  summary: `S3 (versitygw ${VERSION})`,
  environmentVariable: 'SLUICE_S3',
  fromEnvironment(text) {
    const { protocol, host, username, password } = new URL(text)
    if (username === '' || password === '') throw new Error('write it as http://ACCESS-KEY:SECRET@host:port')
    return {
      endpoint: `${protocol}//${host}`,
      accessKeyId: decodeURIComponent(username),
      secretAccessKey: decodeURIComponent(password),
    }
  },
  missing: async () => ((await exists(binary())) ? undefined : `versitygw ${VERSION} is not in the cache`),
  async fetch(progress) {
    if (await exists(binary())) return
    if (!(await canRun('go', 'version'))) {
      throw new ServiceError('s3', 'there is no go on the PATH; install Go, by which the server is built')
    }
    progress(`s3: building versitygw ${VERSION} by Go, which takes some minutes`)
    await mkdir(folder(), { recursive: true })
    const partial = await mkdtemp(join(folder(), 'building-'))
    try {
      await run('go', ['install', '-ldflags=-s -w', MODULE], { env: { ...process.env, GOBIN: partial } })
      await rename(join(partial, 'versitygw'), binary())
    } finally {
      await rm(partial, { recursive: true, force: true })
    }
  },
  start,
}

async function start(context: StartContext): Promise<S3Values> {
  const [port = 0] = await freePorts(1)
  const address = `${HOST}:${String(port)}`
  const login = { accessKeyId: 'sluice', secretAccessKey: 'sluice-secret' }
  const data = join(context.folder, 'buckets')
  const users = join(context.folder, 'users')
  await Promise.all([mkdir(data), mkdir(users)])
  const server = await context.launch({
    name: 'versitygw',
    command: binary(),
    args: [
      ...['--access', login.accessKeyId, '--secret', login.secretAccessKey],
      ...['--port', address, '--iam-dir', users, '--quiet', 'posix', data],
    ],
    log: join(context.logs, 'versitygw.log'),
    probe: async () => {
      const { status } = await fetch(`http://${address}/`, { signal: AbortSignal.timeout(2_000) })
      if (status >= 500) throw new Error(`it answers ${String(status)}`)
    },
    stopSignal: 'SIGKILL',
  })
  await server.ready()
  return { endpoint: `http://${address}`, ...login }
}
