/** ZooKeeper of one server: `zookeeper`. */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { ServiceError } from '../errors.js'
import { cacheFolder } from '../folders.js'
import { canRun, jdkCommand, QUICK_JVM } from '../kafka/java.js'
import { exists, fetchJarSet, NO_JAVA } from '../maven.js'
import { freePorts } from '../ports.js'
import type { ServiceModule, ServiceValues, StartContext } from '../service.js'

/** 3.9.6 cannot be got: its parent pom is not published. */
const VERSION = '3.9.5'
/** The last two are what the server needs and does not ask for. */
const ARTIFACTS = [
  `org.apache.zookeeper:zookeeper:${VERSION}`,
  'org.slf4j:slf4j-simple:2.0.13',
  'io.dropwizard.metrics:metrics-core:4.2.30',
  'org.xerial.snappy:snappy-java:1.1.10.7',
]
const HOST = '127.0.0.1'
const folder = () => join(cacheFolder(), `zookeeper-${VERSION}`)
const jars = () => join(folder(), 'lib')

export interface ZooKeeperValues extends ServiceValues {
  /** `host:port`, of several servers separated by commas, maybe with a folder that counts as the root: `host:port/folder`. */
  readonly url: string
}

export const zooKeeperService: ServiceModule<ZooKeeperValues> = {
  name: 'zookeeper',
  summary: `ZooKeeper ${VERSION}, one server`,
  environmentVariable: 'SLUICE_ZOOKEEPER',
  fromEnvironment(url) {
    if (!/^[^\s:/,]+:\d+(,[^\s:/,]+:\d+)*(\/[^\s/:,]+)*$/.test(url))
      throw new Error(`'${url}' is not of the form host:port or host:port,host:port/folder`)
    return { url }
  },
  async missing() {
    if (!(await exists(jars()))) return `ZooKeeper ${VERSION} is not in the cache`
    return (await canRun(jdkCommand('java'), '-version')) ? undefined : NO_JAVA
  },
  async fetch(progress) {
    if (!(await canRun(jdkCommand('java'), '-version'))) throw new ServiceError('zookeeper', `${NO_JAVA}; install one`)
    const what = `ZooKeeper ${VERSION}, about 20 jars and 14 MB`
    await fetchJarSet({ name: 'zookeeper', what, folder: folder(), artifacts: ARTIFACTS }, progress)
  },
  start,
}

async function start(context: StartContext): Promise<ZooKeeperValues> {
  const [port = 0] = await freePorts(1)
  const file = join(context.folder, 'zoo.cfg')
  const settings = { ...SETTINGS, dataDir: join(context.folder, 'data'), clientPort: String(port) }
  await writeFile(
    file,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  const flags = [...QUICK_JVM, '-Xmx128m', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn']
  const main = 'org.apache.zookeeper.server.quorum.QuorumPeerMain'
  const server = await context.launch({
    name: 'zookeeper',
    command: jdkCommand('java'),
    args: [...flags, '-cp', join(jars(), '*'), main, file],
    log: join(context.logs, 'zookeeper.log'),
    probe: async () => {
      const said = await askZooKeeper(port, 'srvr')
      if (!said.includes('Mode: ')) throw new Error(`it says: ${said}`)
    },
    stopSignal: 'SIGKILL',
  })
  await server.ready()
  return { url: `${HOST}:${String(port)}` }
}

/** It listens for clients only, as many as there are, and ends sessions after a second at the earliest. */
const SETTINGS = {
  clientPortAddress: HOST,
  tickTime: '500',
  maxClientCnxns: '0',
  'admin.enableServer': 'false',
  '4lw.commands.whitelist': 'ruok,srvr',
}

const ANSWER_MS = 5_000

/** What a server of 127.0.0.1 says to a word of four letters. */
export async function askZooKeeper(port: number, word: 'ruok' | 'srvr'): Promise<string> {
  const socket = connect(port, HOST)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  try {
    // It ends the connection when it has answered.
    const ended = once(socket, 'end', { signal: AbortSignal.timeout(ANSWER_MS) })
    socket.write(word)
    await ended
    return Buffer.concat(chunks).toString()
  } finally {
    socket.destroy()
  }
}
