/** The logger port: pino's shape, so that a user's own logger fits. */

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Where the engine writes what is no result. `pino()` and `console` fit. */
export interface Logger {
  debug(message: string): void
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

const rank: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 }

/** Writes lines of at least `level` to stderr, so that stdout carries results only. */
export function consoleLogger(level: LogLevel = 'info', write: (line: string) => void = toStderr): Logger {
  const at = (own: LogLevel) => (message: string) => {
    if (rank[own] >= rank[level]) write(`${own === 'info' ? '' : `${own}: `}${message}\n`)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function toStderr(line: string): void {
  process.stderr.write(line)
}
