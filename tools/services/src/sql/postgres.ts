/** PostgreSQL: `postgres`, and `postgres-tls` with TLS. Both ask for a password. */
import { randomBytes } from 'node:crypto'
import { appendFile, chmod, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { canRun, run } from '../kafka/java.js'
import { freePorts } from '../ports.js'
import { findProgram, installPackage, isRoot, versionFolders } from '../programs.js'
import type { ServiceModule, StartContext } from '../service.js'
import { makeCertificate, type Certificate } from './certificate.js'
import { fromTemplate } from './template.js'
import { DATABASE, HOST, USER, valuesFromUrl, valuesOf, type SqlValues } from './values.js'

export interface PostgresOptions {
  /** Settings of the server, e.g. `max_prepared_transactions`. It waits for no disk, unless `fsync` is `on`. */
  readonly settings: Readonly<Record<string, string>>
}

export function postgresService({
  name,
  tls,
}: {
  readonly name: string
  readonly tls: boolean
}): ServiceModule<SqlValues, PostgresOptions> {
  const environmentVariable = `SLUICE_${name.toUpperCase().replaceAll('-', '_')}`
  return {
    name,
    summary: `PostgreSQL with a password${tls ? ' and TLS' : ''}`,
    environmentVariable,
    fromEnvironment: (url) => valuesFromUrl('postgres', url, tls ? `${environmentVariable}_CA` : undefined),
    missing: () => missing(tls),
    async fetch(progress) {
      if ((await missing(false)) !== undefined) await installPackage(name, 'postgresql', progress)
      if ((await missing(tls)) !== undefined) await installPackage(name, 'openssl', progress)
    },
    start: (context, options) => start(tls, context, options),
  }
}

async function missing(tls: boolean): Promise<string | undefined> {
  if ((await program('postgres')) === undefined) return 'there is no postgres, on the PATH or as Debian installs it'
  if (tls && !(await canRun('openssl', 'version'))) return 'there is no openssl on the PATH'
  return undefined
}

async function program(name: string): Promise<string | undefined> {
  return findProgram(name, await versionFolders('/usr/lib/postgresql', 'bin'))
}

/** It refuses to run as root; `setpriv` becomes it, so that the process id is the server's. */
async function command(name: string, args: readonly string[]): Promise<{ command: string; args: readonly string[] }> {
  const file = (await program(name)) ?? name
  if (!isRoot()) return { command: file, args }
  const user = ['--reuid=postgres', '--regid=postgres', '--init-groups']
  return { command: 'setpriv', args: [...user, file, ...args] }
}

async function start(tls: boolean, context: StartContext, { settings = {} }: Partial<PostgresOptions>) {
  const { folder, logs } = context
  const data = join(folder, 'data')
  // Whoever the server runs as has to get there.
  await chmod(dirname(folder), 0o711)
  if (isRoot()) await run('chown', ['postgres:', folder])
  await makeData(data)
  const [port = 0] = await freePorts(1)
  const password = randomBytes(12).toString('hex')
  const certificate = tls ? await makeCertificate(folder) : undefined
  if (certificate !== undefined && isRoot()) await run('chown', ['postgres:', certificate.keyFile])
  await writeFile(join(data, 'pg_hba.conf'), accessRules(tls))
  const given = Object.entries({ ...settingsOf(folder, port, certificate), ...settings })
  await appendFile(join(data, 'postgresql.conf'), given.map(([name, value]) => `${name} = '${value}'\n`).join(''))
  const socket = { host: folder, port, user: 'postgres', database: 'postgres' }
  const server = await context.launch({
    name: 'postgres',
    ...(await command('postgres', ['-D', data])),
    log: join(logs, 'postgres.log'),
    probe: () => ask(socket, 'SELECT 1'),
    stopSignal: 'SIGKILL',
  })
  await server.ready()
  await ask(socket, `CREATE ROLE ${USER} LOGIN PASSWORD '${password}'`)
  await ask(socket, `CREATE DATABASE ${DATABASE} OWNER ${USER}`)
  const values = valuesOf('postgres', port, password, certificate?.ca)
  await ask({ connectionString: values.url, ...(tls ? { ssl: { ca: values.ca } } : {}) }, 'SELECT 1')
  return values
}

async function makeData(data: string): Promise<void> {
  const version = String(await run((await program('postgres')) ?? 'postgres', ['--version'])).replace(/[^\w.]+/g, '-')
  await fromTemplate(`${version}${isRoot() ? 'root' : ''}`, data, async () => {
    const options = ['-U', 'postgres', '--auth=trust', '-E', 'UTF8', '--no-locale', '--no-sync']
    const { command: file, args } = await command('initdb', ['-D', data, ...options])
    await run(file, [...args])
  })
}

/** Only who is on this machine comes in without a password, by the socket in the folder. */
function accessRules(tls: boolean): string {
  return `local all postgres trust\n${tls ? 'hostssl' : 'host'} all all ${HOST}/32 scram-sha-256\n`
}

function settingsOf(folder: string, port: number, certificate: Certificate | undefined): Record<string, string> {
  return {
    port: String(port),
    listen_addresses: HOST,
    unix_socket_directories: folder,
    max_connections: '60',
    shared_buffers: '32MB',
    // Tests kill the process, and never the machine.
    fsync: 'off',
    ...(certificate === undefined
      ? {}
      : { ssl: 'on', ssl_cert_file: certificate.certificateFile, ssl_key_file: certificate.keyFile }),
  }
}

/** One statement over a connection of its own. */
export async function ask(config: pg.ClientConfig, sql: string): Promise<void> {
  const client = new pg.Client({ connectionTimeoutMillis: 5_000, query_timeout: 10_000, ...config })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query(sql)
  } finally {
    await client.end().catch(() => undefined)
  }
}
