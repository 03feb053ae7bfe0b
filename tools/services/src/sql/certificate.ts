/** A key and a certificate that it has signed itself, for 127.0.0.1 and localhost. */
import { chmod, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../kafka/java.js'

export interface Certificate {
  readonly keyFile: string
  readonly certificateFile: string
  readonly ca: string
}

export async function makeCertificate(folder: string): Promise<Certificate> {
  const keyFile = join(folder, 'server.key')
  const certificateFile = join(folder, 'server.pem')
  const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
  const key = ['-newkey', 'rsa:2048', '-nodes', '-days', '30', '-keyout', keyFile, '-out', certificateFile]
  await run('openssl', ['req', '-x509', ...key, ...names])
  await chmod(keyFile, 0o600)
  return { keyFile, certificateFile, ca: await readFile(certificateFile, 'utf8') }
}
