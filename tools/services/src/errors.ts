/** The errors of this package: `[component] problem; remedy`. It serves tests only, so its errors need no code. */

export class ServiceError extends Error {
  constructor(component: string, message: string, cause?: unknown) {
    super(`[${component}] ${message}`, cause === undefined ? undefined : { cause })
    this.name = 'ServiceError'
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The system's code of an error, such as `ENOENT`; empty where it has none. */
export function errnoOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}
