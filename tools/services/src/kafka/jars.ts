/** The broker's jars in the cache, got by Maven. */
import { join } from 'node:path'
import { cacheFolder } from '../folders.js'
import { exists, fetchJarSet, NO_JAVA } from '../maven.js'
import type { Progress } from '../service.js'
import { canRun, jdkCommand } from './java.js'

export const KAFKA_VERSION = '4.4.0'
const SLF4J_VERSION = '1.7.36'
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

/** Gets the jars. */
export function fetchJars(progress: Progress): Promise<void> {
  const what = `Kafka ${KAFKA_VERSION}, about 45 jars and 43 MB`
  const artifacts = [`org.apache.kafka:kafka_2.13:${KAFKA_VERSION}`, `org.slf4j:slf4j-simple:${SLF4J_VERSION}`]
  return fetchJarSet({ name: 'kafka', what, folder: brokerFolder(), artifacts }, progress)
}
