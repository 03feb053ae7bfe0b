/** Java programs: where the JDK is, and the flags that make them start quickly. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ServiceError } from '../errors.js'

/** A command of the JDK: that of `JAVA_HOME` where it is set, else that of the PATH. */
export function jdkCommand(name: 'java' | 'keytool'): string {
  const home = process.env['JAVA_HOME'] ?? ''
  return home === '' ? name : join(home, 'bin', name)
}

/** Half of the start is compiling what runs once: the quick compiler alone does better. */
export const QUICK_JVM = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']

/** What a program says, or an error with all that it said. */
export async function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Buffer> {
  try {
    const { stdout } = await promisify(execFile)(command, args, { ...options, encoding: 'buffer', maxBuffer: 1 << 30 })
    return stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: Buffer; stderr?: Buffer }
    const said = `${String(stdout ?? '')}${String(stderr ?? '')}`.slice(-3_000)
    throw new ServiceError('services', `'${command}' failed; see what it said:\n${said || String(error)}`, error)
  }
}

/** Whether a command can be run, asked in the way it answers at once. */
export async function canRun(command: string, arg: string): Promise<boolean> {
  try {
    await promisify(execFile)(command, [arg])
    return true
  } catch {
    return false
  }
}
