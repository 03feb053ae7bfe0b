/** Where things lie: binaries and state in the user's cache, data and logs of running servers in the temporary folder. */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** The top of this package, the same for `src` and `dist`. */
export const packageFolder = resolve(import.meta.dirname, '..')

/** What is kept for all checkouts of a user: `$SLUICE_CACHE`, else `~/.cache/sluice`. */
export function cacheFolder(): string {
  const given = process.env['SLUICE_CACHE'] ?? ''
  return given === '' ? join(homedir(), '.cache', 'sluice') : resolve(given)
}

/** Where it is written down what runs for this checkout. Made where it is not there. */
export async function stateFolder(): Promise<string> {
  const checkout = createHash('sha256').update(packageFolder).digest('hex').slice(0, 16)
  const folder = join(cacheFolder(), 'running', checkout)
  await mkdir(folder, { recursive: true })
  return folder
}

/** A new folder for the data and logs of one instance. */
export function instanceFolder(name: string): Promise<string> {
  return mkdtemp(join(tmpdir(), `sluice-${name}-`))
}
