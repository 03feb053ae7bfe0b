/**
 * PostgreSQL with the extension DocumentDB, in which FerretDB keeps its documents. Only Debian's newest distribution has it: it is
 * unpacked, with its libraries, without touching the system, and listens to a socket in its folder and to nothing else.
 */
import { appendFile, chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ServiceError } from '../errors.js'
import { cacheFolder, packageFolder } from '../folders.js'
import { canRun, run } from '../kafka/java.js'
import { isRoot, isThere } from '../programs.js'
import type { ServerProcess } from '../server-process.js'
import type { Progress, StartContext } from '../service.js'
import { ask } from '../sql/postgres.js'
import { fromTemplate } from '../sql/template.js'

const PACKAGES = ['postgresql-18-documentdb', 'postgresql-18-postgis-3-scripts']
const NAME = 'postgres-documentdb'
/** PostgreSQL refuses to run as root: it then runs as nobody, who is there everywhere. */
const NOBODY = '65534'
/** It names the socket's file. */
const PORT = 5432

/** Root's own home is closed to nobody. */
const top = (): string => (isRoot() && (process.env['SLUICE_CACHE'] ?? '') === '' ? '/var/cache/sluice' : cacheFolder())
const folder = (): string => join(top(), 'documentdb-18-sid')
const bin = (root: string): string => join(root, 'usr/lib/postgresql/18/bin')

export async function documentdbMissing(): Promise<string | undefined> {
  return (await isThere(folder())) ? undefined : 'PostgreSQL with DocumentDB is not in the cache'
}

export async function fetchDocumentdb(progress: Progress): Promise<void> {
  if ((await documentdbMissing()) === undefined) return
  if (process.arch !== 'x64' || !(await canRun('apt-get', '--version'))) {
    throw new ServiceError(
      'mongo',
      'its storage is unpacked from Debian packages for x64; use Debian, or name a server in SLUICE_MONGO',
    )
  }
  progress('mongo: unpacking the packages of Debian sid, about 130 MB')
  await mkdir(top(), { recursive: true })
  const partial = await mkdtemp(join(top(), '.documentdb-'))
  try {
    await chmod(partial, 0o755)
    await run('sh', [join(packageFolder, 'debian-sid.sh'), partial, ...PACKAGES])
    const root = join(partial, 'root')
    // The name that DocumentDB asks for; Debian sets it when the package is configured.
    const extension = join(root, 'usr/share/postgresql/18/extension/postgis.control')
    if (!(await isThere(extension))) await symlink('postgis-3.control', extension)
    for (const program of ['postgres', 'initdb']) await wrap(root, program)
    await rename(partial, folder())
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}

/** Run by the loader and the libraries that it was built for, also where it is started by name by another one. */
async function wrap(root: string, program: string): Promise<void> {
  const file = join(bin(root), program)
  await rename(file, `${file}.bin`)
  const script = [
    '#!/bin/sh',
    `root=${join(folder(), 'root')}`,
    'libraries="$root/usr/lib/x86_64-linux-gnu"',
    `here="$root/usr/lib/postgresql/18"`,
    `exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries:$here/lib" --argv0 "$here/bin/${program}" "$here/bin/${program}.bin" "$@"`,
  ]
  await writeFile(file, `${script.join('\n')}\n`, { mode: 0o755 })
}

export interface Documentdb {
  readonly process: ServerProcess
  /** For FerretDB: by the socket. */
  readonly url: string
  query(sql: string): Promise<void>
}

/** Starts one with an empty database in the instance's folder. */
export async function startDocumentdb({ folder: own, logs, launch }: StartContext): Promise<Documentdb> {
  const data = join(own, 'data')
  // Whoever the server runs as has to get there.
  await chmod(dirname(own), 0o711)
  if (isRoot()) await run('chown', [NOBODY, own])
  await fromTemplate(`documentdb-18${isRoot() ? 'root' : ''}`, data, async () => {
    const options = ['-U', 'postgres', '--auth=trust', '-E', 'UTF8', '--no-locale', '--no-sync']
    const { command, args } = asUser('initdb', ['-D', data, ...options])
    await run(command, [...args], { cwd: '/' })
  })
  await chmod(own, 0o711)
  const settings = Object.entries(settingsOf(own)).map(([name, value]) => `${name} = '${value}'\n`)
  await appendFile(join(data, 'postgresql.conf'), settings.join(''))
  // Making the extension takes its time.
  const place = { host: own, port: PORT, user: 'postgres', database: 'postgres', query_timeout: 60_000 }
  const query = (sql: string): Promise<void> => ask(place, sql)
  const server = await launch({
    name: NAME,
    ...asUser('postgres', ['-D', data]),
    cwd: '/',
    log: join(logs, `${NAME}.log`),
    probe: () => query('SELECT 1'),
    stopSignal: 'SIGKILL',
  })
  await server.ready()
  await query('CREATE EXTENSION documentdb CASCADE')
  const url = `postgres://postgres@/postgres?host=${encodeURIComponent(own)}&port=${String(PORT)}`
  return { process: server, url, query }
}

function asUser(name: string, args: readonly string[]): { command: string; args: readonly string[] } {
  const file = join(bin(join(folder(), 'root')), name)
  if (!isRoot()) return { command: file, args }
  return { command: 'setpriv', args: [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', file, ...args] }
}

function settingsOf(socketFolder: string): Record<string, string> {
  return {
    listen_addresses: '',
    unix_socket_directories: socketFolder,
    port: String(PORT),
    max_connections: '100',
    shared_buffers: '64MB',
    dynamic_shared_memory_type: 'mmap',
    // Tests kill the process, and never the machine.
    fsync: 'off',
    shared_preload_libraries: 'pg_cron,pg_documentdb_core,pg_documentdb',
    'cron.database_name': 'postgres',
    'cron.use_background_workers': 'on',
    'cron.log_statement': 'off',
    // Of itself it connects to itself by TCP, without a password.
    'documentdb.localhost_connection_string': `host=${socketFolder}`,
  }
}
