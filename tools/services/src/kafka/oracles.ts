/** What a topic holds by clients that are not ours: kcat and Kafka's own Java client. Both read committed rows only. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ServiceError } from '../errors.js'
import { packageFolder } from '../folders.js'
import { hasLogin, type KafkaSaslValues, type KafkaValues } from './client.js'
import { archiveFlags, kafkaClassPath, kafkaMissing } from './jars.js'
import { jdkCommand, QUICK_JVM, run } from './java.js'

export interface ReadOptions {
  readonly topic: string
  /** Only offsets from this one on, in every partition. Default: all. */
  readonly from?: bigint
  /** Only offsets below this one. Default: up to the last stable offset. */
  readonly to?: bigint
  /** How bytes become text: `base64` keeps all of them. Default: `utf8`. */
  readonly encoding?: 'utf8' | 'base64'
}

export interface OracleRecord {
  readonly partition: number
  readonly offset: bigint
  readonly key: string | null
  readonly value: string | null
}

/** All committed rows of a topic, in order of partition and offset, as kcat reads them. `command`: that of the service `kcat`. */
export async function readWithKcat(
  kafka: KafkaValues | KafkaSaslValues,
  { command = 'kcat', ...options }: ReadOptions & { readonly command?: string },
): Promise<OracleRecord[]> {
  const login = hasLogin(kafka) ? Object.entries(librdkafkaLogin(kafka)).flatMap((pair) => ['-X', pair.join('=')]) : []
  const isolation = ['-X', 'isolation.level=read_committed', '-X', 'check.crcs=true']
  const args = ['-C', '-q', '-e', '-o', 'beginning', '-b', kafka.bootstrap, '-t', options.topic, ...isolation, ...login]
  // Sizes before the bytes, which may be any; a null has the size -1.
  const output = await run(command, [...args, '-f', '%p %o %K %S\n%k%s'])
  return inRange(parseKcat(output, options.encoding ?? 'utf8'), options)
}

/** All committed rows of a topic, in order of partition and offset, as the Java client reads them. */
export async function readWithJava(
  kafka: KafkaValues | KafkaSaslValues,
  options: ReadOptions,
): Promise<OracleRecord[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-java-reader-'))
  try {
    const file = join(folder, 'consumer.properties')
    const settings = { 'bootstrap.servers': kafka.bootstrap, ...(hasLogin(kafka) ? javaLogin(kafka) : {}) }
    const lines = Object.entries(settings).map((pair) => `${pair.join('=')}\n`)
    await writeFile(file, lines.join(''), { mode: 0o600 })
    const reader = join(packageFolder, 'java', 'ReadTopic.java')
    const flags = [...QUICK_JVM, ...(await archiveFlags()), '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn']
    const args = [...flags, '-cp', kafkaClassPath(), reader, file, options.topic]
    return inRange(parseLines(await run(jdkCommand('java'), args), options.encoding ?? 'utf8'), options)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What a Java program of one file prints that uses Kafka's client. Rejects where there is no Java, or no Kafka in the cache. */
export async function runWithKafkaJars(source: string, args: readonly string[]): Promise<string> {
  const missing = await kafkaMissing()
  if (missing !== undefined) throw new ServiceError('kafka', missing)
  const flags = ['-Xms256m', '-Xmx512m', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn']
  return String(await run(jdkCommand('java'), [...flags, '-cp', kafkaClassPath(), source, ...args]))
}

function librdkafkaLogin({ caFile, username, password }: KafkaSaslValues): Record<string, string> {
  return {
    'security.protocol': 'sasl_ssl',
    'ssl.ca.location': caFile,
    // Not SCRAM: librdkafka before 2.6.1 sends a wrong nonce, which brokers by now refuse.
    'sasl.mechanisms': 'PLAIN',
    'sasl.username': username,
    'sasl.password': password,
  }
}

function javaLogin({ caFile, username, password }: KafkaSaslValues): Record<string, string> {
  const module = 'org.apache.kafka.common.security.scram.ScramLoginModule'
  return {
    'security.protocol': 'SASL_SSL',
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': caFile,
    'sasl.mechanism': 'SCRAM-SHA-512',
    'sasl.jaas.config': `${module} required username="${username}" password="${password}";`,
  }
}

function parseKcat(output: Buffer, encoding: BufferEncoding): OracleRecord[] {
  const records: OracleRecord[] = []
  let at = 0
  const take = (size: number) => {
    if (size < 0) return null
    at += size
    return output.toString(encoding, at - size, at)
  }
  while (at < output.length) {
    const end = output.indexOf(10, at)
    const [partition = '', offset = '', keySize = '', valueSize = ''] = output.toString('latin1', at, end).split(' ')
    at = end + 1
    const key = take(Number(keySize))
    records.push({ partition: Number(partition), offset: BigInt(offset), key, value: take(Number(valueSize)) })
  }
  return records
}

function parseLines(output: Buffer, encoding: BufferEncoding): OracleRecord[] {
  const decode = (text: string) => (text === '-' ? null : Buffer.from(text.slice(1), 'base64').toString(encoding))
  const lines = output.toString('latin1').split('\n').filter(Boolean)
  return lines.map((line) => {
    const [partition = '', offset = '', key = '', value = ''] = line.split(' ')
    return { partition: Number(partition), offset: BigInt(offset), key: decode(key), value: decode(value) }
  })
}

function inRange(records: readonly OracleRecord[], { from, to }: ReadOptions): OracleRecord[] {
  return records
    .filter(({ offset }) => (from === undefined || offset >= from) && (to === undefined || offset < to))
    .sort((a, b) => a.partition - b.partition || (a.offset < b.offset ? -1 : 1))
}
