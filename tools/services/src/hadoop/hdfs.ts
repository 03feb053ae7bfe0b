/** HDFS of one NameNode and one DataNode: `hdfs`. Tests talk to it by WebHDFS. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ServiceError } from '../errors.js'
import { cacheFolder } from '../folders.js'
import { canRun, jdkCommand, QUICK_JVM, run } from '../kafka/java.js'
import { exists, fetchJarSet, NO_JAVA } from '../maven.js'
import { freePorts } from '../ports.js'
import type { Launch } from '../server-process.js'
import type { ServiceModule, ServiceValues, StartContext } from '../service.js'
import { writeAndRemove } from './webhdfs.js'

const VERSION = '3.4.3'
const HOST = '127.0.0.1'
const folder = () => join(cacheFolder(), `hadoop-${VERSION}`)
const jars = () => join(folder(), 'lib')

export interface HdfsValues extends ServiceValues {
  /** Of the NameNode's web server, e.g. `http://127.0.0.1:9870`. */
  readonly url: string
  /** The folder with `core-site.xml` and `hdfs-site.xml`; empty for a server of one's own. */
  readonly configuration: string
}

export interface HdfsOptions {
  /** Further properties of `hdfs-site.xml`; they win. */
  readonly properties: Readonly<Record<string, string>>
}

export const hdfsService: ServiceModule<HdfsValues, HdfsOptions> = {
  name: 'hdfs',
  summary: `HDFS ${VERSION}: a NameNode and a DataNode`,
  environmentVariable: 'SLUICE_HDFS',
  fromEnvironment(url) {
    if (!/^https?:\/\/[^/]+$/.test(url)) throw new Error(`'${url}' is not of the form http://namenode:9870`)
    return { url, configuration: '' }
  },
  async missing() {
    if (!(await exists(jars()))) return `HDFS ${VERSION} is not in the cache`
    return (await canRun(jdkCommand('java'), '-version')) ? undefined : NO_JAVA
  },
  async fetch(progress) {
    if (!(await canRun(jdkCommand('java'), '-version'))) throw new ServiceError('hdfs', `${NO_JAVA}; install one`)
    const artifacts = ['hadoop-common', 'hadoop-hdfs', 'hadoop-hdfs-client'].map(
      (name) => `org.apache.hadoop:${name}:${VERSION}`,
    )
    const what = `HDFS ${VERSION}, about 115 jars and 65 MB`
    await fetchJarSet({ name: 'hdfs', what, folder: folder(), artifacts }, progress)
  },
  start,
}

async function start(context: StartContext, { properties = {} }: Partial<HdfsOptions>): Promise<HdfsValues> {
  const configuration = join(context.folder, 'conf')
  const ports = await freePorts(5)
  const [rpc, http, data, dataHttp, dataIpc] = ports.map((port) => `${HOST}:${String(port)}`) as [
    string,
    string,
    string,
    string,
    string,
  ]
  // The daemons look for their web pages, which are in no jar: empty folders will do.
  for (const pages of ['hdfs', 'datanode', 'static'])
    await mkdir(join(configuration, 'webapps', pages), { recursive: true })
  await writeSite(join(configuration, 'core-site.xml'), {
    'fs.defaultFS': `hdfs://${rpc}`,
    'hadoop.tmp.dir': join(context.folder, 'tmp'),
  })
  await writeSite(join(configuration, 'hdfs-site.xml'), {
    'dfs.namenode.name.dir': join(context.folder, 'name'),
    'dfs.namenode.rpc-address': rpc,
    'dfs.namenode.http-address': http,
    'dfs.datanode.data.dir': join(context.folder, 'data'),
    'dfs.datanode.address': data,
    'dfs.datanode.http.address': dataHttp,
    'dfs.datanode.ipc.address': dataIpc,
    'dfs.datanode.hostname': HOST,
    ...QUICK,
    ...properties,
  })
  const java = jdkCommand('java')
  await run(java, argsOf(configuration, 'server.namenode.NameNode', '-format', '-force', '-nonInteractive'))
  const url = `http://${http}`
  const launch = (name: string, main: string): Launch => ({
    name,
    command: java,
    args: argsOf(configuration, main),
    log: join(context.logs, `${name}.log`),
    probe: () => writeAndRemove(url),
    stopSignal: 'SIGKILL',
  })
  const nameNode = await context.launch(launch('namenode', 'server.namenode.NameNode'))
  const dataNode = await context.launch(launch('datanode', 'server.datanode.DataNode'))
  await Promise.all([nameNode.ready(), dataNode.ready()])
  return { url, configuration }
}

const QUICK = {
  'dfs.replication': '1',
  'dfs.blocksize': '1048576',
  'dfs.namenode.fs-limits.min-block-size': '1024',
  'dfs.namenode.safemode.extension': '0',
  'dfs.heartbeat.interval': '1',
  // A file is closed when the NameNode has heard of its last block; asked too early, the default is to ask again after 400 ms,
  // then after twice as long, five times. So it is some seconds here, too.
  'dfs.client.block.write.locateFollowingBlock.initial.delay.ms': '2',
  'dfs.client.block.write.locateFollowingBlock.retries': '12',
  'dfs.namenode.heartbeat.recheck-interval': '2000',
}

function argsOf(configuration: string, main: string, ...rest: readonly string[]): string[] {
  const flags = [...QUICK_JVM, '-Xmx256m', '--add-opens=java.base/java.lang=ALL-UNNAMED']
  return [...flags, '-cp', `${configuration}:${join(jars(), '*')}`, `org.apache.hadoop.hdfs.${main}`, ...rest]
}

async function writeSite(file: string, properties: Readonly<Record<string, string>>): Promise<void> {
  const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;')
  const lines = Object.entries(properties).map(
    ([name, value]) => `  <property><name>${name}</name><value>${escaped(value)}</value></property>\n`,
  )
  await writeFile(file, `<?xml version="1.0"?>\n<configuration>\n${lines.join('')}</configuration>\n`)
}

/** Runs HDFS's own administration, e.g. `-safemode enter`, on a server that was started here. Gives what it says. */
export async function dfsAdmin({ configuration }: HdfsValues, ...args: readonly string[]): Promise<string> {
  return String(await run(jdkCommand('java'), argsOf(configuration, 'tools.DFSAdmin', ...args)))
}
