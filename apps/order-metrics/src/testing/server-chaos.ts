/** The app with a server that it writes to, both killed at random moments, while the sender goes on. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startApp, type AppExit, type RunningApp } from './run-app.js'

export interface ServerChaosOptions {
  /** Lines to be sent, one each, with line ends. */
  readonly file: string
  readonly out: string
  /** The app's arguments that tell of the server. */
  readonly to: readonly string[]
  /** Variables of the app's environment, besides those of this process. */
  readonly environment?: Readonly<Record<string, string>>
  /** What the app may end with, when its server is away for too long. */
  readonly away: RegExp
  /** How often the app is killed. */
  readonly kills: number
  /** How often the server is killed and started again. */
  readonly restarts: number
  readonly random: () => number
  restartServer(): Promise<void>
  readonly log: (text: string) => void
}

export interface ServerChaosCounts {
  kills: number
  restarts: number
  /** The app ended by itself, as the server was away for too long. */
  givenUp: number
}

const SENDER = fileURLToPath(new URL('../../dist/testing/sender.js', import.meta.url))
const LINES_PER_SECOND = 400
const LONGEST_PAUSE_MS = 2_500
/** Resolves when the app has come to its end; rejects when it ended in another way than it may. */
export async function runServerChaos(options: ServerChaosOptions): Promise<ServerChaosCounts> {
  const sender = spawn(process.execPath, [SENDER, options.file, String(LINES_PER_SECOND)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const counts: ServerChaosCounts = { kills: 0, restarts: 0, givenUp: 0 }
  let app: RunningApp | undefined
  try {
    const [port] = (await once(sender.stdout, 'data')) as [Buffer]
    const connect = ['--connect', `127.0.0.1:${port.toString().trim()}`, '--sequenced', '--batch', '100']
    const args = [...connect, '--partitions', '2', '--out', options.out, '--no-database', ...options.to]
    const env = { ...process.env, ...options.environment }
    const start = (): RunningApp => startApp(args, { env })
    /** Goes on after an end that may be; of a conflict, a fence or a refused record nothing is said in `away`. */
    const again = (exit: AppExit): RunningApp => {
      if (!options.away.test(exit.stderr))
        throw new Error(`the app ended by itself: ${JSON.stringify(exit, undefined, 1)}`)
      counts.givenUp++
      return start()
    }
    app = start()
    while (counts.kills < options.kills || counts.restarts < options.restarts) {
      const ended = await during(app, options.random() * LONGEST_PAUSE_MS)
      if (ended !== undefined) app = again(ended)
      else if (options.random() * (options.kills + options.restarts) < options.kills) {
        app.signal('SIGKILL')
        const exit = await app.exited
        if (exit.signal === 'SIGKILL') {
          counts.kills++
          app = start()
        } else app = again(exit)
      } else {
        await options.restartServer()
        counts.restarts++
      }
      options.log(JSON.stringify(counts))
    }
    sender.stdin.write('all\n')
    for (let exit = await app.exited; exit.code !== 0; exit = await app.exited) app = again(exit)
    return counts
  } finally {
    app?.signal('SIGKILL')
    sender.kill()
  }
}

/** How the app ended meanwhile, if it did. */
async function during(app: RunningApp, ms: number): Promise<AppExit | undefined> {
  return Promise.race([app.exited, sleep(ms, undefined)])
}
