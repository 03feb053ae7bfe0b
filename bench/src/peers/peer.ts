/** The programs that count words, how they are made ready, and how they are talked to. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { execPath } from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Run } from './serve.js'

const RXJS = 'rxjs@7.8.2'

/** What Spark needs to reach on JDK 17. */
const OPENED = [
  ...['java.lang', 'java.lang.invoke', 'java.lang.reflect', 'java.io', 'java.net', 'java.nio', 'java.util'],
  ...['java.util.concurrent', 'java.util.concurrent.atomic', 'sun.nio.ch', 'sun.nio.cs', 'sun.security.action'],
]

export interface Peer {
  readonly name: string
  /** Lines that one run counts: fewer for those that take long. */
  readonly lines: number
  /** What Sluice should be at least, times this peer. */
  readonly aim: number
  /** Gives the command, or throws an error that says why the peer cannot take part. */
  prepare(work: Work): Command
}

interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly cwd?: string
}

/** Where the lines and what is installed lie. */
export interface Work {
  readonly folder: string
  readonly linesFile: string
}

const ALL_LINES = 1_000_000
const SOME_LINES = 100_000

const built = (name: string): string => fileURLToPath(new URL(`./${name}`, import.meta.url))
const source = (name: string): string => fileURLToPath(new URL(`../../peers/${name}`, import.meta.url))

function nodePeer(name: string, aim: number, lines: number, script: string): Peer {
  const prepare = ({ linesFile }: Work): Command => ({ program: execPath, args: [script, linesFile, String(lines)] })
  return { name, aim, lines, prepare }
}

export const sluice: Peer = nodePeer('sluice', 1, ALL_LINES, built('sluice.js'))

export const peers: readonly Peer[] = [
  nodePeer('hand loop', 0.9, ALL_LINES, built('hand.js')),
  { name: 'spark local[2]', aim: 1.3, lines: ALL_LINES, prepare: prepareSpark },
  { name: 'rxjs', aim: 1, lines: SOME_LINES, prepare: prepareRxjs },
  nodePeer('node streams', 1, SOME_LINES, built('streams.js')),
]

function prepareSpark({ folder, linesFile }: Work): Command {
  requireProgram('java', '-version')
  requireProgram('mvn', '--version')
  const target = join(folder, 'spark')
  const jars = join(target, 'jars')
  const maven = ['-q', '-B', '-f', source('spark/pom.xml'), `-Dbuild.folder=${target}`]
  const goals = ['package', ...(existsSync(jars) ? [] : ['dependency:copy-dependencies', `-DoutputDirectory=${jars}`])]
  execFileSync('mvn', [...maven, ...goals], { stdio: ['ignore', 'ignore', 'inherit'] })
  const classPath = [join(target, 'spark-peer.jar'), ...readdirSync(jars).map((jar) => join(jars, jar))]
  const opened = OPENED.map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`)
  const args = ['-Xmx4g', ...opened, '-cp', classPath.join(delimiter), 'peers.WordCount', linesFile]
  return { program: 'java', args }
}

function requireProgram(name: string, version: string): void {
  try {
    execFileSync(name, [version], { stdio: 'ignore' })
  } catch {
    throw new Error(`${name} is not on the PATH`)
  }
}

function prepareRxjs({ folder, linesFile }: Work): Command {
  const cwd = join(folder, 'npm')
  mkdirSync(cwd, { recursive: true })
  if (!existsSync(join(cwd, 'node_modules', 'rxjs'))) {
    writeFileSync(join(cwd, 'package.json'), '{ "private": true }\n')
    execFileSync('npm', ['install', '--silent', '--no-audit', '--no-fund', RXJS], { cwd, stdio: 'ignore' })
  }
  return { program: execPath, args: [source('node/rxjs.mjs'), linesFile, String(SOME_LINES)], cwd }
}

/** A peer that runs and waits to be told to count. */
export class RunningPeer {
  readonly peer: Peer
  readonly #child: ChildProcess
  readonly #answers: AsyncIterator<string>

  private constructor(peer: Peer, child: ChildProcess, answers: AsyncIterator<string>) {
    this.peer = peer
    this.#child = child
    this.#answers = answers
  }

  static async start(peer: Peer, work: Work): Promise<RunningPeer> {
    const { program, args, cwd } = peer.prepare(work)
    const child = spawn(program, args, { cwd, stdio: ['pipe', 'pipe', 'ignore'] })
    await once(child, 'spawn')
    const running = new RunningPeer(peer, child, createInterface({ input: child.stdout })[Symbol.asyncIterator]())
    await running.#answer()
    return running
  }

  /** One run. */
  async count(): Promise<Run> {
    this.#child.stdin?.write('count\n')
    return JSON.parse(await this.#answer()) as Run
  }

  async #answer(): Promise<string> {
    const answer = await this.#answers.next()
    if (answer.done === true) throw new Error(`${this.peer.name} ended before it answered`)
    return answer.value
  }

  stop(): void {
    this.#child.kill()
  }
}
