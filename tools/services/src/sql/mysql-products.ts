/** MariaDB as Debian has it, and MySQL 9 from Debian's newest distribution, unpacked into the cache. */
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ServiceError } from '../errors.js'
import { cacheFolder, packageFolder } from '../folders.js'
import { canRun, run } from '../kafka/java.js'
import { findProgram, installPackage, isThere } from '../programs.js'
import type { Progress } from '../service.js'

export interface Program {
  readonly command: string
  readonly args: readonly string[]
}

/** One of the servers that speak MySQL's protocol. */
export interface MysqlProduct {
  readonly name: 'mariadb' | 'mysql'
  readonly title: string
  /** Further settings, beside those for both. */
  readonly settings: Readonly<Record<string, string>>
  missing(): Promise<string | undefined>
  fetch(progress: Progress): Promise<void>
  server(): Promise<Program>
  /** Makes an empty database whose user `root` needs no password, on this machine. */
  makeData(folder: string, args: readonly string[]): Promise<void>
}

const SBIN = ['/usr/sbin', '/usr/local/sbin']

export const mariadb: MysqlProduct = {
  name: 'mariadb',
  title: 'MariaDB',
  settings: { 'innodb-log-file-size': '8M', 'skip-name-resolve': '1' },
  missing: async () =>
    (await findProgram('mariadbd', SBIN)) === undefined ? 'there is no mariadbd on the PATH' : undefined,
  fetch: (progress) => installPackage('mariadb', 'mariadb-server', progress),
  server: async () => ({ command: (await findProgram('mariadbd', SBIN)) ?? 'mariadbd', args: ['--no-defaults'] }),
  async makeData(folder, args) {
    const options = ['--auth-root-authentication-method=normal', '--skip-test-db', '--innodb-log-file-size=8M']
    const install = (await findProgram('mariadb-install-db')) ?? 'mariadb-install-db'
    await run(install, ['--no-defaults', `--datadir=${folder}`, ...options, ...args])
  },
}

/** Bookworm has no MySQL; that of sid needs newer libraries, which come with it. */
const folder = (): string => join(cacheFolder(), 'mysql-sid')

export const mysql: MysqlProduct = {
  name: 'mysql',
  title: 'MySQL 9',
  settings: { mysqlx: 'OFF', 'skip-log-bin': '1', 'secure-file-priv': 'NULL', 'innodb-redo-log-capacity': '16M' },
  missing: async () =>
    (await isThere(join(folder(), 'root/usr/sbin/mysqld'))) ? undefined : 'MySQL 9 is not in the cache',
  async fetch(progress) {
    if (process.arch !== 'x64' || !(await canRun('apt-get', '--version')))
      throw new ServiceError(
        'mysql',
        'it is unpacked from Debian packages for x64; use Debian, or name a server in SLUICE_MYSQL',
      )
    progress('mysql: unpacking the packages of Debian sid, about 80 MB')
    const partial = await mkdtemp(join(cacheFolder(), '.mysql-'))
    try {
      await run('sh', [join(packageFolder, 'debian-sid.sh'), partial, 'mysql-server', 'mysql-server-core'])
      await rename(partial, folder())
    } finally {
      await rm(partial, { recursive: true, force: true })
    }
  },
  server: () => Promise.resolve(unpacked()),
  async makeData(data, args) {
    const { command, args: first } = unpacked()
    await run(command, [...first, `--datadir=${data}`, '--initialize-insecure', ...args])
  },
}

/** Run by the loader and the libraries that it was built for. */
function unpacked(): Program {
  const root = join(folder(), 'root')
  const libraries = join(root, 'usr/lib/x86_64-linux-gnu')
  const places = [`--basedir=${root}/usr`, `--lc-messages-dir=${root}/usr/share/mysql`]
  const server = [join(root, 'usr/sbin/mysqld'), '--no-defaults', ...places]
  return { command: join(libraries, 'ld-linux-x86-64.so.2'), args: ['--library-path', libraries, ...server] }
}
