/**
 * A run of the app that is not left in peace: killed at random moments, or stopped, taken over and woken, while its sender goes on.
 * The random numbers come from a seed; what the processes do meanwhile does not.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { runShow } from './run-show.js'
import { startApp, type AppExit, type RunningApp } from './run-app.js'
import { EARLY_SHARE, ended, kill, LONGEST_START_MS, nextBatch, within } from './unrest.js'

export interface ChaosOptions {
  readonly folder: string
  /** Lines to be sent, one each, with line ends. */
  readonly file: string
  /** How often the app is killed or stopped. */
  readonly events: number
  /** Numbers from 0 to 1. */
  readonly random: () => number
  /** Without it a process that is taken over from lives on, and is to find out by itself. */
  readonly database: boolean
  readonly log: (text: string) => void
}

export interface ChaosCounts {
  kills: number
  /** Kills before the process had committed anything. */
  earlyKills: number
  takeOvers: number
  /** Woken processes that ended because they were fenced. */
  fenced: number
  /** Processes that were ended by those who took over. */
  endedByNext: number
  /** Looks from a second terminal. */
  looks: number
}

const LINES_PER_SECOND = 400
const LONGEST_RUN_MS = 800
/** Every third event is a stop; every fourth look is at the database. */
const STOP_EVERY = 3
const LOOK_EVERY = 4

const SENDER = fileURLToPath(new URL('../../dist/testing/sender.js', import.meta.url))

/** Resolves when the last process has come to its end; rejects when something was not as it must be. */
export async function runChaos(options: ChaosOptions): Promise<ChaosCounts> {
  const { file } = options
  const sender = spawn(process.execPath, [SENDER, file, String(LINES_PER_SECOND)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const [port] = (await once(sender.stdout, 'data')) as [Buffer]
    return await new Chaos(options, sender, port.toString().trim()).run()
  } finally {
    sender.kill()
  }
}

class Chaos {
  readonly #options: ChaosOptions
  readonly #sender: ChildProcess
  readonly #args: readonly string[]
  readonly #out: string
  readonly #apps: RunningApp[] = []
  readonly #counts: ChaosCounts = { kills: 0, earlyKills: 0, takeOvers: 0, fenced: 0, endedByNext: 0, looks: 0 }

  constructor(options: ChaosOptions, sender: ChildProcess, port: string) {
    this.#options = options
    this.#sender = sender
    this.#out = join(options.folder, 'results')
    const connect = ['--connect', `127.0.0.1:${port}`, '--sequenced']
    const rest = ['--batch', '100', '--partitions', '2', '--out', this.#out]
    this.#args = [...connect, ...rest, ...(options.database ? [] : ['--no-database'])]
  }

  async run(): Promise<ChaosCounts> {
    const { events, log } = this.#options
    try {
      let app = this.#start(false)
      for (let event = 1; event <= events; event++) {
        // The last one never comes early: who is stopped after a batch of its own has surely something to be fenced from.
        const isEarly = this.#options.random() < EARLY_SHARE && event < events
        await this.#moment(app, isEarly)
        if (!isEarly && event % LOOK_EVERY === 0) await this.#look()
        app = event % STOP_EVERY === 0 ? await this.#stopAndTakeOver(app, isEarly) : await this.#kill(app, isEarly)
        log(`${String(event)}/${String(events)}: ${JSON.stringify(this.#counts)}`)
      }
      this.#sender.stdin?.write('all\n')
      await ended(app)
      return this.#counts
    } finally {
      for (const app of this.#apps) app.signal('SIGKILL')
    }
  }

  #start(takeOver: boolean): RunningApp {
    const app = startApp([...this.#args, ...(takeOver ? ['--take-over'] : [])])
    this.#apps.push(app)
    return app
  }

  /** A random moment: somewhere in the start, or after a batch that this process has finished. */
  async #moment(app: RunningApp, isEarly: boolean): Promise<void> {
    const { random } = this.#options
    if (!isEarly) await nextBatch(app, this.#out)
    await sleep(random() * (isEarly ? LONGEST_START_MS : LONGEST_RUN_MS))
  }

  async #kill(app: RunningApp, isEarly: boolean, isTaking = false): Promise<RunningApp> {
    await kill(app)
    this.#counts.kills++
    if (isEarly) this.#counts.earlyKills++
    return this.#start(isTaking)
  }

  async #stopAndTakeOver(old: RunningApp, isEarly: boolean): Promise<RunningApp> {
    const { random } = this.#options
    old.signal('SIGSTOP')
    let next = this.#start(true)
    if (random() < EARLY_SHARE) {
      await this.#moment(next, true)
      next = await this.#kill(next, true, true)
    }
    await nextBatch(next, this.#out)
    await sleep(random() * LONGEST_RUN_MS)
    old.signal('SIGCONT')
    const exit = await within(old.exited, 'the end of a woken process')
    this.#counts.takeOvers++
    this.#judge(exit, isEarly)
    return next
  }

  #judge({ code, signal, stderr }: AppExit, isEarly: boolean): void {
    const isFenced = code === 1 && /has taken over/.test(stderr)
    // It may have been stopped before it had taken anything.
    const isLate = isEarly && code === 1 && /is owned by process/.test(stderr)
    const isEnded = signal === 'SIGKILL' && this.#options.database
    if (isFenced) this.#counts.fenced++
    else if (isEnded) this.#counts.endedByNext++
    else if (!isLate) throw new Error(`a woken process ended with ${String(code ?? signal)}:\n${stderr}`)
  }

  async #look(): Promise<void> {
    if (!this.#options.database) return
    const text = await runShow(this.#out)
    if (!/\nall +[\d,]+ /.test(text)) throw new Error(`npm run metrics showed:\n${text}`)
    this.#counts.looks++
  }
}
