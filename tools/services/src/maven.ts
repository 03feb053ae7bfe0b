/** Jars in the cache, got by the user's own Maven and its settings. */
import { spawn } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ServiceError } from './errors.js'
import { canRun } from './kafka/java.js'
import type { Progress } from './service.js'

const DEPENDENCY_PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1'

export interface JarSet {
  /** Of the service, for messages. */
  readonly name: string
  /** What is fetched, and how much of it, for messages. */
  readonly what: string
  /** Whose `lib` they go to. */
  readonly folder: string
  /** `group:artifact:version`. */
  readonly artifacts: readonly string[]
}

export const NO_JAVA = 'there is no java on the PATH (it needs a JDK, 17 or newer)'

/** Gets the jars and all that they depend on. Half of them never look like the whole. */
export async function fetchJarSet(jars: JarSet, progress: Progress): Promise<void> {
  const target = join(jars.folder, 'lib')
  if (await exists(target)) return
  if (!(await canRun('mvn', '--version'))) {
    throw new ServiceError(jars.name, 'there is no mvn on the PATH; install Maven, by which the jars are fetched')
  }
  progress(`${jars.name}: fetching ${jars.what} by Maven`)
  await mkdir(jars.folder, { recursive: true })
  const folder = await mkdtemp(join(jars.folder, 'fetching-'))
  try {
    await writeFile(join(folder, 'pom.xml'), pomOf(jars))
    await maven(jars, folder, progress)
    await rename(join(folder, 'lib'), target)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function pomOf({ name, artifacts }: JarSet): string {
  const dependencies = artifacts.map((artifact) => {
    const [group = '', id = '', version = ''] = artifact.split(':')
    return `    <dependency>
      <groupId>${group}</groupId>
      <artifactId>${id}</artifactId>
      <version>${version}</version>
    </dependency>`
  })
  return `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>sluice</groupId>
  <artifactId>${name}</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
${dependencies.join('\n')}
  </dependencies>
</project>
`
}

const FILES_A_LINE = 20

async function maven({ name }: JarSet, folder: string, progress: Progress): Promise<void> {
  const goal = [`${DEPENDENCY_PLUGIN}:copy-dependencies`, '-DincludeScope=runtime', '-DoutputDirectory=lib']
  const child = spawn('mvn', ['-B', ...goal], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const problems: string[] = []
  let files = 0
  for await (const line of createInterface({ input: child.stdout })) {
    if (/^\[(ERROR|WARN)/.test(line)) problems.push(line)
    if (!line.includes('Downloaded from')) continue
    files += 1
    if (files % FILES_A_LINE === 0) progress(`${name}: ${String(files)} files downloaded`)
  }
  const code = await ended
  if (code === 0) return
  throw new ServiceError(name, `Maven ended with ${String(code)}; see what it said:\n${problems.join('\n')}`)
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
