/** What tests get from a database server, and how a user names one of their own. */
import { readFileSync } from 'node:fs'

export interface SqlValues {
  /** With user, password and database, as clients take it. */
  readonly url: string
  readonly host: string
  readonly port: string
  readonly user: string
  readonly password: string
  /** A database in which the user may do everything. */
  readonly database: string
  /** The certificate that the server is trusted by, in PEM; empty where it talks without TLS. */
  readonly ca: string
  readonly [name: string]: string
}

export const DATABASE = 'sluice'
export const USER = 'sluice'
export const HOST = '127.0.0.1'

export function valuesOf(scheme: string, port: number, password: string, ca = ''): SqlValues {
  const url = `${scheme}://${USER}:${password}@${HOST}:${String(port)}/${DATABASE}`
  return { url, host: HOST, port: String(port), user: USER, password, database: DATABASE, ca }
}

/** `SCHEME://user:password@host:port/database`, and for servers with TLS a PEM file in the variable `VARIABLE_CA`. */
export function valuesFromUrl(scheme: string, text: string, caVariable?: string): SqlValues {
  const form = `${scheme}://user:password@host:port/database`
  if (!URL.canParse(text)) throw new Error(`it is not of the form ${form}`)
  const url = new URL(text)
  const [database = ''] = url.pathname.split('/').slice(1)
  if (url.protocol !== `${scheme}:` || url.port === '' || database === '')
    throw new Error(`it is not of the form ${form}`)
  const caFile = caVariable === undefined ? undefined : (process.env[caVariable] ?? '')
  if (caFile === '')
    throw new Error(`${String(caVariable)} is not set: the file of the certificate that it is trusted by`)
  return {
    url: text,
    host: url.hostname,
    port: url.port,
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(database),
    ca: caFile === undefined ? '' : readFileSync(caFile, 'utf8'),
  }
}
