/**
 * Contestants in processes of their own, as the programs of users are: each has a heap to itself, pays for its own garbage and
 * for nobody else's, and V8 optimizes its code for what it does. For runs that last, where a heap that is shared, and
 * collected before each run, would decide.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'
import { costOf, type Timed } from './measure.js'

/** What a contestant does: the same, again and again. */
export interface Running {
  run(): unknown
  stop(): unknown
}

class Contestant {
  readonly #child: ChildProcess
  readonly #ended: Promise<never>

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#ended = once(child, 'exit').then(([code]) => {
      throw new Error(`a contestant ended with ${String(code)}`)
    })
    this.#ended.catch(() => undefined)
  }

  /** Starts a program that calls `serveContestant`; resolves when it is ready to run. */
  static async start(program: string, args: readonly string[]): Promise<Contestant> {
    const contestant = new Contestant(fork(program, args, { execArgv: [] }))
    await contestant.#next()
    return contestant
  }

  readonly run = async (): Promise<Timed> => {
    this.#child.send('run')
    return (await this.#next()) as Timed
  }

  /** Resolves when the process has ended. */
  async stop(): Promise<void> {
    this.#child.send('stop')
    await this.#ended.catch(() => undefined)
  }

  async #next(): Promise<unknown> {
    const message = once(this.#child, 'message') as Promise<unknown[]>
    return (await Promise.race([message, this.#ended]))[0]
  }
}

/** Starts contestants of `benchmarks/NAME` with these arguments, each a process; all have ended when `use` has. */
export async function withContestants<T>(
  name: string,
  use: (start: (...args: readonly string[]) => Promise<Contestant>) => Promise<T>,
): Promise<T> {
  // The compiled program, also where a test runs the sources.
  const program = fileURLToPath(new URL(`../dist/benchmarks/${name}.js`, import.meta.url))
  const started: Contestant[] = []
  try {
    return await use(async (...args) => {
      const contestant = await Contestant.start(program, args)
      started.push(contestant)
      return contestant
    })
  } finally {
    for (const contestant of started) await contestant.stop()
  }
}

/** The contestant's side: sets up what the arguments name, and does it whenever it is told to. */
export async function serveContestant(open: (args: readonly string[]) => Running | Promise<Running>): Promise<void> {
  const running = await open(argv.slice(2))
  process.on('message', (message) => {
    void (message === 'run' ? tell(running) : end(running))
  })
  process.send?.('ready')
}

async function tell({ run }: Running): Promise<void> {
  process.send?.(await costOf(run))
}

async function end({ stop }: Running): Promise<void> {
  await stop()
  process.disconnect()
}
