/** The command `npm run services`: one JSON line on stdout, all else on stderr. */
import { messageOf, ServiceError } from './errors.js'
import { fetchMissing, Instances } from './instances.js'
import { obtain } from './obtain.js'
import { services, serviceNamed } from './registry.js'
import { livingOf } from './state.js'

const USAGE = `usage: npm run -s services -- COMMAND [NAME …]

  start NAME …     fetch what is missing, start, and print {"NAME": {…, "pids": […]}} when all can be used
  stop [NAME …]    stop these, or all that run for this checkout; their logs stay
  status [NAME …]  what runs
  install NAME …   fetch what is missing, and start nothing

names:
${Object.values(services)
  .map(({ name, summary, environmentVariable }) => `  ${name.padEnd(14)} ${summary} (own: ${environmentVariable})`)
  .join('\n')}
`

type Answer = Record<string, Record<string, unknown>>

const progress = (line: string) => {
  process.stderr.write(`${line}\n`)
}

const commands: Record<string, (names: readonly string[], instances: Instances) => Promise<Answer>> = {
  async start(names, instances) {
    const modules = requireNames(names).map(serviceNamed)
    const values: Answer = {}
    for (const module of modules) {
      const obtained = await obtain(module, { instances, holder: 'user', mayFetch: true, progress })
      if ('missing' in obtained) throw new ServiceError('services', obtained.missing)
      values[module.name] = obtained.values
    }
    return { ...values, ...(await status(instances, names)) }
  },
  async stop(names, instances) {
    names.forEach(serviceNamed)
    const ids = (await instances.list())
      .filter(({ service }) => names.length === 0 || names.includes(service))
      .map(({ id }) => id)
    return Object.fromEntries(
      await Promise.all(ids.map(async (id) => [id, { stopped: await instances.stop(id) }] as const)),
    )
  },
  status(names, instances) {
    names.forEach(serviceNamed)
    return status(instances, names)
  },
  async install(names) {
    const modules = requireNames(names).map(serviceNamed)
    for (const module of modules) await fetchMissing(module, progress)
    return Object.fromEntries(modules.map(({ name }) => [name, { installed: true }]))
  },
}

async function status(instances: Instances, names: readonly string[]): Promise<Answer> {
  const answer: Answer = {}
  for (const { id, service, values, processes, logs } of await instances.list()) {
    if (names.length > 0 && !names.includes(service)) continue
    const living = await livingOf(processes)
    const state = values !== undefined && living.length === processes.length ? {} : { state: 'not usable' }
    answer[id] = { ...values, pids: living.map(({ pid }) => pid), logs, ...state }
  }
  return answer
}

function requireNames(names: readonly string[]): readonly string[] {
  if (names.length > 0) return names
  throw new ServiceError('services', `name one at least; there are ${Object.keys(services).join(', ')}`)
}

async function main([command = '', ...names]: readonly string[]): Promise<void> {
  const run = Object.hasOwn(commands, command) ? commands[command] : undefined
  if (run === undefined) {
    process.stderr.write(USAGE)
    process.exitCode = command === '--help' || command === 'help' ? 0 : 2
    return
  }
  const answer = await run(names, await Instances.ofCheckout(progress))
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = 1
}
