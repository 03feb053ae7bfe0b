/** One process of a server: started with a log of its own, awaited, killed, paused, started again. */
import { spawn, type ChildProcess } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, ServiceError } from './errors.js'
import { identify, isAlive, isStopped, sendSignal, type ProcessIdentity } from './process-identity.js'

const LOOK_MS = 50
const PROBE_MS = 15_000
const END_MS = 30_000
const LOG_TAIL_CHARS = 3_000

/** How to start a process, and how to see that it is ready. */
export interface Launch {
  /** Tells the processes of one service apart, e.g. `broker-1`. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly cwd?: string
  /** Beside those of this process. */
  readonly env?: Readonly<Record<string, string>>
  /** Gets stdout and stderr, after what is in it. */
  readonly log: string
  /**
   * Rejects while it is not ready. Asked again and again, each time for 15 s at most; it must leave nothing open. It should ask
   * for an answer: an open port says little.
   */
  probe(): Promise<void>
  /** How long it may take until it is ready. Default: 120 s. */
  readonly readyWithinMs?: number
  /** What ends it for good; with SIGTERM it has 30 s, then it is killed. Default: SIGTERM. */
  readonly stopSignal?: 'SIGTERM' | 'SIGKILL'
}

export interface ServerProcess {
  readonly name: string
  readonly log: string
  /** Of the process that runs, or that ran last. */
  readonly pid: number
  /** Ends it as it is (SIGKILL); it is gone when this resolves. */
  kill(): Promise<void>
  /** Asks it to end (SIGTERM) and waits until it has. */
  terminate(): Promise<void>
  /** Freezes it (SIGSTOP): its connections stay, and nobody answers. Resolves when all of its threads are stopped. */
  pause(): Promise<void>
  /** Lets it go on (SIGCONT). */
  resume(): Promise<void>
  /** Starts it again with the same data and the same ports, after a kill if it runs. Resolves when it is ready. */
  restart(): Promise<void>
  isRunning(): Promise<boolean>
}

/** A process as this package sees it: what tests get is {@link ServerProcess}. */
export class LaunchedProcess implements ServerProcess {
  #identity: ProcessIdentity
  #ended: Promise<string>
  readonly #launch: Launch
  readonly #onRestart: () => Promise<void>

  private constructor(launch: Launch, started: Started, onRestart: () => Promise<void>) {
    this.#launch = launch
    this.#identity = started.identity
    this.#ended = started.ended
    this.#onRestart = onRestart
  }

  /** Starts it; it is not ready yet. `onRestart` is called whenever it has another identity. */
  static async start(launch: Launch, onRestart: () => Promise<void> = async () => undefined): Promise<LaunchedProcess> {
    return new LaunchedProcess(launch, await startProcess(launch), onRestart)
  }

  get name(): string {
    return this.#launch.name
  }

  get log(): string {
    return this.#launch.log
  }

  get pid(): number {
    return this.#identity.pid
  }

  get identity(): ProcessIdentity {
    return this.#identity
  }

  get stopSignal(): 'SIGTERM' | 'SIGKILL' {
    return this.#launch.stopSignal ?? 'SIGTERM'
  }

  /** Resolves when the probe does. Rejects with the end of the log when the process ends, or when it takes too long. */
  async ready(): Promise<void> {
    const withinMs = this.#launch.readyWithinMs ?? 120_000
    const deadline = performance.now() + withinMs
    let reason: string
    const ended = this.#ended.then((how) => `it ended (${how})`)
    for (;;) {
      const outcome = await Promise.race([ended, this.#probe()])
      if (outcome === READY) return
      if (performance.now() > deadline) {
        reason = `it was not ready after ${String(withinMs / 1000)} s (${outcome})`
        break
      }
      if (!(await this.isRunning())) {
        // That it is gone can be seen before its end is told here.
        reason = await ended
        break
      }
      await sleep(LOOK_MS)
    }
    throw new ServiceError(
      this.name,
      `the server cannot be used: ${reason}; the end of its log ${this.log}:\n${await this.#logTail()}`,
    )
  }

  async kill(): Promise<void> {
    await sendSignal(this.#identity, 'SIGKILL')
    await waitUntilGone(this.#identity)
  }

  async terminate(): Promise<void> {
    await sendSignal(this.#identity, 'SIGTERM')
    await waitUntilGone(this.#identity)
  }

  async pause(): Promise<void> {
    if (!(await sendSignal(this.#identity, 'SIGSTOP'))) return
    while ((await isAlive(this.#identity)) && !(await isStopped(this.#identity))) await sleep(LOOK_MS)
  }

  async resume(): Promise<void> {
    await sendSignal(this.#identity, 'SIGCONT')
  }

  async restart(): Promise<void> {
    await this.kill()
    const { identity, ended } = await startProcess(this.#launch)
    this.#identity = identity
    this.#ended = ended
    await this.#onRestart()
    await this.ready()
  }

  isRunning(): Promise<boolean> {
    return isAlive(this.#identity)
  }

  /** Why it is not ready, or `READY`. Never rejects. */
  async #probe(): Promise<string> {
    const controller = new AbortController()
    const late = sleep(PROBE_MS, 'no answer', { signal: controller.signal }).catch(() => 'stopped')
    const answer = this.#launch.probe().then(() => READY, messageOf)
    const outcome = await Promise.race([answer, late])
    controller.abort()
    return outcome
  }

  async #logTail(): Promise<string> {
    const text = await readFile(this.log, 'utf8').catch(messageOf)
    return text.slice(-LOG_TAIL_CHARS)
  }
}

/** No message of an error is that. */
const READY = '\0ready'

/** Waits until that process is gone, and kills it when that takes more than 30 s. */
export async function waitUntilGone(identity: ProcessIdentity): Promise<void> {
  const deadline = performance.now() + END_MS
  while (await isAlive(identity)) {
    if (performance.now() > deadline + END_MS) {
      throw new ServiceError('services', `process ${String(identity.pid)} does not end; end it by hand`)
    }
    if (performance.now() > deadline) await sendSignal(identity, 'SIGKILL')
    await sleep(LOOK_MS)
  }
}

interface Started {
  readonly identity: ProcessIdentity
  /** Resolves with how it ended. */
  readonly ended: Promise<string>
}

async function startProcess(launch: Launch): Promise<Started> {
  const log = await open(launch.log, 'a')
  try {
    const child = spawn(launch.command, launch.args, {
      // Of a session of its own: it outlives this process, and an interrupt of the terminal is not for it.
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { ...process.env, ...launch.env },
      ...(launch.cwd === undefined ? {} : { cwd: launch.cwd }),
    })
    return await asStarted(launch, child)
  } finally {
    await log.close()
  }
}

async function asStarted(launch: Launch, child: ChildProcess): Promise<Started> {
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => {
      resolve(signal ?? `exit code ${String(code)}`)
    })
  })
  await new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error) => {
      reject(new ServiceError(launch.name, `'${launch.command}' cannot be started (${error.message})`, error))
    })
  })
  child.unref()
  const pid = child.pid ?? 0
  // One that ended at once has no identity any more; it is told as ended then.
  return { identity: (await identify(pid)) ?? { pid, birth: 'ended at once' }, ended }
}
