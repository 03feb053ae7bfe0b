/** Which server a test gets: the user's own, the one that runs, a new one, or none, and then why. */
import { ServiceError, messageOf } from './errors.js'
import { fetchMissing, type Holder, type Instances } from './instances.js'
import { identify, identifySelf, type ProcessIdentity } from './process-identity.js'
import { valuesFromEnvironment } from './registry.js'
import type { Progress, ServiceModule, ServiceValues } from './service.js'

/** The process for which services run, when it is not the one that asks: that of a whole test run. */
export const HOLDER_VARIABLE = 'SLUICE_SERVICES_HOLDER'

/** Either what a test needs, or why it cannot run here. */
export type Obtained = { readonly values: ServiceValues } | { readonly missing: string }

export interface ObtainOptions {
  readonly instances: Instances
  readonly holder: Holder
  /** Whether what is not there is fetched. Default: in CI. */
  readonly mayFetch?: boolean
  readonly progress: Progress
}

/**
 * In this order: the server that the user has named in the environment; the one that runs; a new one, if all that it needs is there
 * or may be fetched. Else `missing`, with the command that gets it. Failing to fetch or to start rejects, always.
 */
export async function obtain(module: ServiceModule, options: ObtainOptions): Promise<Obtained> {
  const { instances, holder, progress, mayFetch = isCi() } = options
  const values = valuesFromEnvironment(module) ?? (await instances.find(module.name, holder))
  if (values !== undefined) return { values }
  const missing = await makeComplete(module, mayFetch, progress)
  return missing === undefined ? { values: await instances.share(module, holder) } : { missing }
}

/** Why it cannot be started here, with what to do about it; undefined where it can be, perhaps after a fetch. */
export async function makeComplete(
  module: ServiceModule,
  mayFetch: boolean,
  progress: Progress,
): Promise<string | undefined> {
  const missing = await module.missing()
  if (missing === undefined) return undefined
  if (!mayFetch) return `needs ${module.name}: ${missing}; npm run services -- install ${module.name}`
  try {
    await fetchMissing(module, progress)
  } catch (error) {
    throw new ServiceError(module.name, `${missing}, and cannot be fetched: ${messageOf(error)}`, error)
  }
  return undefined
}

/** In CI nothing is skipped: what is missing is fetched, or fails. */
export function isCi(): boolean {
  return !['', '0', 'false'].includes(process.env['CI'] ?? '')
}

/** The test run that this process belongs to; itself where none is told. */
export async function currentHolder(): Promise<ProcessIdentity> {
  const run = await identify(Number(process.env[HOLDER_VARIABLE] ?? process.pid))
  return run ?? identifySelf()
}
