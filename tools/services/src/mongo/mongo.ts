/** What speaks MongoDB's protocol: `mongo`, and `mongo-tls` with TLS, a user and a password. It is FerretDB, not MongoDB. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { canRun } from '../kafka/java.js'
import { freePorts } from '../ports.js'
import type { ServiceModule, StartContext } from '../service.js'
import { makeCertificate, type Certificate } from '../sql/certificate.js'
import { documentdbMissing, fetchDocumentdb, startDocumentdb } from './documentdb.js'
import { FERRETDB_VERSION, ferretdbMissing, ferretdbProgram, fetchFerretdb } from './ferretdb.js'

export interface MongoValues {
  /** As drivers take it. */
  readonly url: string
  /** `host:port` */
  readonly address: string
  /** FerretDB lets each user who logs in do everything; empty where nobody logs in. */
  readonly user: string
  readonly password: string
  /** The certificate that the server is trusted by, as text and as a file; empty where it talks without TLS. */
  readonly ca: string
  readonly caFile: string
  readonly [name: string]: string
}

export function mongoService({
  name,
  tls,
}: {
  readonly name: string
  readonly tls: boolean
}): ServiceModule<MongoValues> {
  const environmentVariable = `SLUICE_${name.toUpperCase().replaceAll('-', '_')}`
  const missing = async (): Promise<string | undefined> =>
    (await ferretdbMissing()) ??
    (await documentdbMissing()) ??
    (tls && !(await canRun('openssl', 'version')) ? 'there is no openssl on the PATH' : undefined)
  return {
    name,
    summary: `FerretDB ${FERRETDB_VERSION} in place of MongoDB${tls ? ', with TLS and a password' : ''}`,
    environmentVariable,
    fromEnvironment: (url) => valuesFromUrl(url, tls ? `${environmentVariable}_CA` : undefined),
    missing,
    async fetch(progress) {
      // One waits for the network, the other for the processor.
      await Promise.all([fetchDocumentdb(progress), fetchFerretdb(progress)])
    },
    start: (context) => start(tls, context),
  }
}

function valuesFromUrl(text: string, caVariable: string | undefined): MongoValues {
  // Several hosts are no URL to Node.
  const [, user = '', password = '', address = ''] = /^mongodb:\/\/(?:([^:@/]+):([^@/]+)@)?([^/@]+)/.exec(text) ?? []
  if (address === '') throw new Error(`it is not of the form mongodb://[user:password@]host:port`)
  const caFile = caVariable === undefined ? undefined : (process.env[caVariable] ?? '')
  if (caFile === '')
    throw new Error(`${String(caVariable)} is not set: the file of the certificate that it is trusted by`)
  return {
    url: text,
    address: address.split(',')[0] ?? address,
    user: decodeURIComponent(user),
    password: decodeURIComponent(password),
    ca: caFile === undefined ? '' : readFileSync(caFile, 'utf8'),
    caFile: caFile ?? '',
  }
}

const HOST = '127.0.0.1'
const USER = 'sluice'

async function start(tls: boolean, context: StartContext): Promise<MongoValues> {
  const { folder, logs } = context
  const storage = await startDocumentdb(context)
  const [port = 0] = await freePorts(1)
  const address = `${HOST}:${String(port)}`
  const state = join(folder, 'ferretdb')
  await mkdir(state)
  const certificate = tls ? await makeCertificate(folder) : undefined
  const common = ['--telemetry=disable', '--debug-addr=-', `--state-dir=${state}`, '--log-level=ERROR']
  const server = await context.launch({
    name: 'ferretdb',
    command: ferretdbProgram(),
    args: [`--postgresql-url=${storage.url}`, ...common, ...listenArgs(address, certificate)],
    log: join(logs, 'ferretdb.log'),
    probe: () => accepts(port),
    stopSignal: 'SIGKILL',
  })
  await server.ready()
  const none = { user: '', password: '', ca: '', caFile: '' }
  if (certificate === undefined) return { url: `mongodb://${address}/`, address, ...none }
  const password = randomBytes(12).toString('hex')
  await storage.query(`CREATE ROLE ${USER} LOGIN PASSWORD '${password}' IN ROLE documentdb_admin_role`)
  const { ca, certificateFile: caFile } = certificate
  const url = `mongodb://${USER}:${password}@${address}/?tls=true`
  return { url, address, user: USER, password, ca, caFile }
}

function listenArgs(address: string, certificate: Certificate | undefined): string[] {
  if (certificate === undefined) return ['--no-auth', `--listen-addr=${address}`]
  const { certificateFile, keyFile } = certificate
  const files = [`--listen-tls-cert-file=${certificateFile}`, `--listen-tls-key-file=${keyFile}`]
  return ['--auth', '--listen-addr=', `--listen-tls=${address}`, ...files]
}

/** It listens when its storage has answered. */
function accepts(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: HOST, port })
    socket.setTimeout(5_000, () => socket.destroy(new Error('no answer')))
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
  })
}
