/** `npm run metrics`, as from a second terminal. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const SHOW = fileURLToPath(new URL('../../dist/show-metrics.js', import.meta.url))

/** What it shows. Rejects, with `code` and `stderr`, when it fails. */
export async function runShow(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--no-warnings', SHOW, ...args])
  return stdout
}
