/** What tests import: they ask for a service by name, and get its values or are skipped by name. */
import { Instances } from './instances.js'
import { currentHolder, isCi, makeComplete, obtain } from './obtain.js'
import { ServiceError } from './errors.js'
import { services, type OptionsOf, type ServiceName, type ValuesOf } from './registry.js'
import type { Progress, ServiceModule } from './service.js'
import type { ServerProcess } from './server-process.js'

/** What is used of a test's context, as vitest gives it. */
export interface SkipContext {
  skip(note?: string): unknown
}

/** What is used of a test framework: `describe` and `test.skip` of vitest fit. */
export interface TestFunctions {
  readonly describe: (title: string, body: () => void) => unknown
  readonly test: { skip(title: string, body: () => void): unknown }
}

/** The values of several services by their names. */
export type ValuesByName<Name extends ServiceName> = { readonly [N in Name]: ValuesOf<N> }

/** A server of one test alone, to be broken. Stop it at the end; what is left over is stopped at the end of the run. */
export interface ServiceInstance<Name extends ServiceName> {
  readonly values: ValuesOf<Name>
  /** Its processes, the brokers of a cluster in their order. */
  readonly processes: readonly ServerProcess[]
  stop(): Promise<void>
}

/**
 * The shared server of that name: the user's own (environment variable), else the one that runs, else a new one, which all tests
 * of the run share. Use names (topics, tables, keys) of your own in it, and leave its processes alone.
 *
 * Where it is missing on a developer's machine the test is skipped with the command that gets it; without `context`, that is thrown.
 * In CI it is fetched, and failing to is an error.
 *
 * ```ts
 * test('reads a range', async (context) => {
 *   const kafka = await service('kafka', context)
 * })
 * ```
 */
export async function service<Name extends ServiceName>(name: Name, context?: SkipContext): Promise<ValuesOf<Name>> {
  const obtained = await obtain(services[name], await obtainOptions())
  if ('values' in obtained) return obtained.values as ValuesOf<Name>
  context?.skip(obtained.missing)
  throw new ServiceError('services', obtained.missing)
}

/**
 * A `describe` whose tests need services: they run with their values, or one test of that title is skipped, and its name says what
 * is missing and how to get it. To be awaited at the top of a test file, so no test's time is spent on starting a server.
 *
 * ```ts
 * await describeWithServices({ describe, test }, ['kafka'], 'the Kafka source', ({ kafka }) => {
 *   test('reads a range', () => { … kafka.bootstrap … })
 * })
 * ```
 */
export async function describeWithServices<Name extends ServiceName>(
  { describe, test }: TestFunctions,
  names: readonly Name[],
  title: string,
  body: (values: ValuesByName<Name>) => void,
): Promise<void> {
  const options = await obtainOptions()
  const values: Record<string, unknown> = {}
  const missing: string[] = []
  for (const name of names) {
    const obtained = await obtain(services[name], options)
    if ('values' in obtained) values[name] = obtained.values
    else missing.push(obtained.missing)
  }
  describe(title, () => {
    if (missing.length > 0) test.skip(missing.join('; '), () => undefined)
    else body(values as ValuesByName<Name>)
  })
}

/**
 * A new server of that name for one test alone, also where the user has one. Rejects where it is missing: ask for the shared one
 * first, by {@link service} or {@link describeWithServices} or {@link describeWithInstalled}.
 */
export async function startService<Name extends ServiceName>(
  name: Name,
  options: OptionsOf<Name> = {} as OptionsOf<Name>,
): Promise<ServiceInstance<Name>> {
  const module: ServiceModule = services[name]
  const missing = await makeComplete(module, isCi(), progress)
  if (missing !== undefined) throw new ServiceError('services', missing)
  const { instances, holder } = await obtainOptions()
  const own = await instances.startOwn(module, holder, options)
  return { values: own.values as ValuesOf<Name>, processes: own.processes, stop: () => own.stop() }
}

/**
 * A `describe` whose tests start servers of their own by {@link startService}: skipped like {@link describeWithServices}, but no
 * shared server is started.
 */
export async function describeWithInstalled(
  { describe, test }: TestFunctions,
  names: readonly ServiceName[],
  title: string,
  body: () => void,
): Promise<void> {
  const missing: string[] = []
  for (const name of names) {
    const reason = await makeComplete(services[name], isCi(), progress)
    if (reason !== undefined) missing.push(reason)
  }
  describe(title, () => {
    if (missing.length > 0) test.skip(missing.join('; '), () => undefined)
    else body()
  })
}

/** Progress of tests goes to stderr, where it does not mix with what they print. */
const progress: Progress = (line) => {
  process.stderr.write(`services: ${line}\n`)
}

let opened: Promise<Instances> | undefined

async function obtainOptions() {
  opened ??= Instances.ofCheckout(progress)
  return { instances: await opened, holder: await currentHolder(), progress }
}
