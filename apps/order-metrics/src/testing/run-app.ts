/** Runs the built app as users do: in a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

export interface RunningApp {
  /** What it has written to stdout so far. */
  readonly stdout: string
  /** Resolves when stdout holds `text`; rejects when the app ends before. */
  shows(text: string): Promise<void>
  /** Ctrl-C. */
  interrupt(): void
  signal(name: NodeJS.Signals): void
  /** What happens to its output when it is piped into `head`. */
  closeStdout(): void
  /** Resolves when it has ended. Rejects if a signal killed it. */
  readonly ended: Promise<AppResult>
  /** Resolves when it has ended, in whatever way. */
  readonly exited: Promise<AppExit>
}

export interface AppResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface AppExit extends Omit<AppResult, 'code'> {
  /** Null if a signal killed it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export function startApp(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): RunningApp {
  const child = spawn(process.execPath, [MAIN, ...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (part: string) => (text[name] += part))
  }
  const exited = once(child, 'close').then(([code, signal]) => {
    return { code: code as number | null, signal: signal as NodeJS.Signals | null, ...text }
  })
  const ended = exited.then(({ code, signal }) => {
    if (code === null) throw new Error(`killed by ${String(signal)}\n${text.stderr}`)
    return { code, ...text }
  })
  ended.catch(() => undefined)
  return {
    get stdout() {
      return text.stdout
    },
    shows: (wanted) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (text.stdout.includes(wanted)) resolve()
        }
        child.stdout.on('data', look)
        child.on('close', () => {
          reject(new Error(`ended before it showed '${wanted}'\n${text.stdout}\n${text.stderr}`))
        })
        look()
      }),
    interrupt: () => child.kill('SIGINT'),
    signal: (name) => child.kill(name),
    closeStdout: () => child.stdout.destroy(),
    ended,
    exited,
  }
}

/** Runs it to its end. */
export function runApp(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<AppResult> {
  return startApp(args, options).ended
}
