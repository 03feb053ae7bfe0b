/** Servers that speak MySQL's protocol: `mariadb`, `mysql`, and both with TLS. All ask for a password. */
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createConnection, type ConnectionOptions } from 'mysql2/promise'
import { canRun, run } from '../kafka/java.js'
import { freePorts } from '../ports.js'
import { isRoot } from '../programs.js'
import type { ServiceModule, StartContext } from '../service.js'
import { makeCertificate, type Certificate } from './certificate.js'
import { fromTemplate } from './template.js'
import { DATABASE, HOST, USER, valuesFromUrl, valuesOf, type SqlValues } from './values.js'
import type { MysqlProduct, Program } from './mysql-products.js'

export interface MysqlOptions {
  /** Settings of the server, e.g. `max_allowed_packet`. It waits for no disk, unless `innodb-flush-method` is `fsync`. */
  readonly settings: Readonly<Record<string, string>>
}

export function mysqlService({
  name,
  product,
  tls,
}: {
  readonly name: string
  readonly product: MysqlProduct
  readonly tls: boolean
}): ServiceModule<SqlValues, MysqlOptions> {
  const environmentVariable = `SLUICE_${name.toUpperCase().replaceAll('-', '_')}`
  const missing = async (): Promise<string | undefined> =>
    (await product.missing()) ??
    (tls && !(await canRun('openssl', 'version')) ? 'there is no openssl on the PATH' : undefined)
  return {
    name,
    summary: `${product.title} with a password${tls ? ' and TLS' : ''}`,
    environmentVariable,
    fromEnvironment: (url) => valuesFromUrl('mysql', url, tls ? `${environmentVariable}_CA` : undefined),
    missing,
    async fetch(progress) {
      if ((await missing()) !== undefined) await product.fetch(progress)
    },
    start: (context, options) => start(product, tls, context, options),
  }
}

async function start(
  product: MysqlProduct,
  tls: boolean,
  context: StartContext,
  { settings = {} }: Partial<MysqlOptions>,
): Promise<SqlValues> {
  const { folder, logs } = context
  const data = join(folder, 'data')
  const server = await product.server()
  await makeData(product, server, data)
  const [port = 0] = await freePorts(1)
  const password = randomBytes(12).toString('hex')
  const certificate = tls ? await makeCertificate(folder) : undefined
  const socketPath = join(folder, 'socket')
  const given = Object.entries({ ...settingsOf(folder, port, certificate), ...product.settings, ...settings })
  const root = { socketPath, user: 'root' }
  const launched = await context.launch({
    name: product.name,
    command: server.command,
    args: [...server.args, ...given.map(([name, value]) => `--${name}=${value}`), ...asRoot()],
    log: join(logs, `${product.name}.log`),
    probe: () => ask(root, ['SELECT 1']),
    stopSignal: 'SIGKILL',
  })
  await launched.ready()
  await ask(root, [
    `CREATE DATABASE ${DATABASE}`,
    `CREATE USER ${USER}@'${HOST}' IDENTIFIED BY '${password}'${tls ? ' REQUIRE SSL' : ''}`,
    `GRANT ALL ON ${DATABASE}.* TO ${USER}@'${HOST}'`,
  ])
  const values = valuesOf('mysql', port, password, certificate?.ca)
  await ask({ uri: values.url, ...(tls ? { ssl: { ca: values.ca } } : {}) }, ['SELECT 1'])
  return values
}

async function makeData(product: MysqlProduct, server: Program, data: string): Promise<void> {
  const version = String(await run(server.command, [...server.args, '--version']))
  const digest = createHash('sha256').update(version).digest('hex').slice(0, 12)
  await fromTemplate(`${product.name}-${digest}`, data, () => product.makeData(data, asRoot()))
}

/** Root has to say that it means it. */
function asRoot(): string[] {
  return isRoot() ? ['--user=root'] : []
}

function settingsOf(folder: string, port: number, certificate: Certificate | undefined): Record<string, string> {
  return {
    datadir: join(folder, 'data'),
    port: String(port),
    'bind-address': HOST,
    socket: join(folder, 'socket'),
    'pid-file': join(folder, 'pid'),
    'innodb-buffer-pool-size': '64M',
    'max-connections': '60',
    'character-set-server': 'utf8mb4',
    // Tests kill the process, and never the machine.
    'innodb-flush-method': 'nosync',
    ...(certificate === undefined
      ? {}
      : {
          'ssl-cert': certificate.certificateFile,
          'ssl-key': certificate.keyFile,
          'ssl-ca': certificate.certificateFile,
        }),
  }
}

async function ask(options: ConnectionOptions, statements: readonly string[]): Promise<void> {
  const connection = await createConnection({ connectTimeout: 5_000, ...options })
  connection.on('error', () => undefined)
  try {
    for (const sql of statements) await connection.query({ sql, timeout: 10_000 })
  } finally {
    connection.destroy()
  }
}
