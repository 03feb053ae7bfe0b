/** The broker's jars in the cache, got by Maven. */
import { spawn } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ServiceError } from '../errors.js'
import { cacheFolder } from '../folders.js'
import type { Progress } from '../service.js'
import { canRun, jdkCommand } from './java.js'

export const KAFKA_VERSION = '4.4.0'
const SLF4J_VERSION = '1.7.36'
const DEPENDENCY_PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1'

const POM = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>sluice</groupId>
  <artifactId>kafka-broker</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>${SLF4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
`

const brokerFolder = () => join(cacheFolder(), `kafka-${KAFKA_VERSION}`)
const jarsFolder = () => join(brokerFolder(), 'lib')
/** Its class archive, which halves the time of a start. */
export const archiveFile = () => join(brokerFolder(), 'kafka.jsa')

/** The class path of broker and tools. The class archive holds only for this very text. */
export const kafkaClassPath = () => join(jarsFolder(), '*')

/** The flags that use the class archive where there is one. */
export async function archiveFlags(): Promise<string[]> {
  return (await exists(archiveFile())) ? [`-XX:SharedArchiveFile=${archiveFile()}`] : []
}

/** What is missing to run a broker, or undefined. */
export async function kafkaMissing(): Promise<string | undefined> {
  if (!(await exists(jarsFolder()))) return `Kafka ${KAFKA_VERSION} is not in the cache`
  return (await canRun(jdkCommand('java'), '-version')) ? undefined : NO_JAVA
}

export const NO_JAVA = 'there is no java on the PATH (it needs a JDK, 17 or newer)'

/** Gets the jars, with the user's own Maven and its settings. */
export async function fetchJars(progress: Progress): Promise<void> {
  if (await exists(jarsFolder())) return
  if (!(await canRun('mvn', '--version'))) {
    throw new ServiceError('kafka', 'there is no mvn on the PATH; install Maven, by which the jars are fetched')
  }
  progress(`kafka: fetching Kafka ${KAFKA_VERSION} by Maven, about 45 jars and 43 MB`)
  await mkdir(brokerFolder(), { recursive: true })
  const folder = await mkdtemp(join(brokerFolder(), 'fetching-'))
  try {
    await writeFile(join(folder, 'pom.xml'), POM)
    await maven(folder, progress)
    await rename(join(folder, 'lib'), jarsFolder())
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const FILES_A_LINE = 20

async function maven(folder: string, progress: Progress): Promise<void> {
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
    if (files % FILES_A_LINE === 0) progress(`kafka: ${String(files)} files downloaded`)
  }
  const code = await ended
  if (code === 0) return
  throw new ServiceError('kafka', `Maven ended with ${String(code)}; see what it said:\n${problems.join('\n')}`)
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
