/** FerretDB, which speaks MongoDB's protocol: built by Go, in a pinned version, into the cache. */
import { chmod, cp, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ServiceError } from '../errors.js'
import { cacheFolder } from '../folders.js'
import { canRun, run } from '../kafka/java.js'
import { isThere } from '../programs.js'
import type { Progress } from '../service.js'

export const FERRETDB_VERSION = '2.7.0'
const MODULE = `github.com/FerretDB/FerretDB/v2@v${FERRETDB_VERSION}`

const folder = (): string => join(cacheFolder(), `ferretdb-${FERRETDB_VERSION}`)
export const ferretdbProgram = (): string => join(folder(), 'ferretdb')

export async function ferretdbMissing(): Promise<string | undefined> {
  return (await isThere(ferretdbProgram())) ? undefined : `FerretDB ${FERRETDB_VERSION} is not in the cache`
}

export async function fetchFerretdb(progress: Progress): Promise<void> {
  if ((await ferretdbMissing()) === undefined) return
  if (!(await canRun('go', 'version'))) {
    throw new ServiceError('mongo', 'there is no go on the PATH; install Go, by which FerretDB is built')
  }
  progress(`mongo: building FerretDB ${FERRETDB_VERSION} by Go, which takes some minutes`)
  await mkdir(cacheFolder(), { recursive: true })
  const partial = await mkdtemp(join(cacheFolder(), '.ferretdb-'))
  try {
    await build(partial)
    await rm(join(partial, 'source'), { recursive: true })
    await rename(partial, folder())
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}

/** `go install` would not do: the program ends at once unless files that a release adds tell its version. */
async function build(partial: string): Promise<void> {
  const said = await run('go', ['mod', 'download', '-json', MODULE], { cwd: partial })
  const { Dir: module } = JSON.parse(String(said)) as { Dir: string }
  const source = join(partial, 'source')
  await cp(module, source, { recursive: true })
  // The modules of Go are read-only, their folders too.
  await run('chmod', ['-R', 'u+w', source])
  const facts = { version: `v${FERRETDB_VERSION}`, commit: 'unknown', branch: 'unknown', package: 'unknown' }
  for (const [name, text] of Object.entries(facts)) await writeFile(join(source, `build/version/${name}.txt`), text)
  const program = join(partial, 'ferretdb')
  await run('go', ['build', '-trimpath', '-ldflags=-s -w', '-o', program, './cmd/ferretdb'], { cwd: source })
  await chmod(program, 0o755)
}
