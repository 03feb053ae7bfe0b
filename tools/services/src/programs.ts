/** Programs of the machine: whether they are there, and Debian packages that bring them. */
import { access, readdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { ServiceError } from './errors.js'
import { canRun, run } from './kafka/java.js'
import type { Progress } from './service.js'

/** Where a program lies: the first of the folders of PATH, then of those given, that has it. */
export async function findProgram(name: string, folders: readonly string[] = []): Promise<string | undefined> {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  for (const folder of [...path, ...folders]) {
    const file = join(folder, name)
    if (await isThere(file)) return file
  }
  return undefined
}

/** The folders below `top`, the newest version first, with `rest` appended. */
export async function versionFolders(top: string, rest: string): Promise<string[]> {
  const versions = await readdir(top).catch(() => [])
  return versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(top, version, rest))
}

export async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

export function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** Installs a Debian package, as root only. */
export async function installPackage(service: string, name: string, progress: Progress): Promise<void> {
  if (!isRoot() || !(await canRun('apt-get', '--version'))) {
    throw new ServiceError(service, `only root can install it here; install the package ${name}`)
  }
  progress(`${service}: installing the Debian package ${name}`)
  const install = ['install', '-y', '-qq', '--no-install-recommends', name]
  try {
    await run('apt-get', install)
  } catch {
    // The lists of packages of a fresh image are old, or not there.
    await run('apt-get', ['update', '-qq'])
    await run('apt-get', install)
  }
}
