/** Every command of the pages that users read is one that is there, with options that it knows; those that are quick are run. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import {
  blocksOf,
  commandsIn,
  commandsOfLine,
  filesBelow,
  pages,
  ROOT,
  testFiles,
  type Command,
} from '@sluice/doc-blocks'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
/** What a module of the repository exports. The programs are those that are built: their folders have no types here. */
const load = async <T>(path: string): Promise<T> =>
  (await import(/* @vite-ignore */ pathToFileURL(join(ROOT, path)).href)) as T

interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly bin?: Readonly<Record<string, string>>
  readonly scripts?: Readonly<Record<string, string>>
  readonly dependencies?: object
  readonly devDependencies?: object
  readonly peerDependencies?: object
}
const manifests = ['package.json', ...['libs', 'apps', 'bench', 'tools'].flatMap((room) => filesBelow(room, 'package.json'))]
  .map((path) => JSON.parse(read(path)) as Manifest) // prettier-ignore
const scripts = manifests[0]?.scripts ?? {}
/** What may be installed: our packages that are published, and what they work with. */
const packages = new Set(
  manifests.flatMap((each) => [
    ...(each.private === true ? [] : [each.name]),
    ...Object.keys({ ...each.dependencies, ...each.devDependencies, ...each.peerDependencies }).filter(
      (name) => !name.startsWith('@sluice/'),
    ),
  ]),
)
const sources = ['libs', 'apps', 'bench', 'tools'].flatMap((room) => filesBelow(room, '.ts')).map(read)
const projects = (
  await load<{ default: { test: { projects: { test: { name: string } }[] } } }>('vitest.config.ts')
).default.test.projects.map((each) => each.test.name)

const PLACEHOLDERS: Readonly<Record<string, string>> = { 'HOST:PORT': 'localhost:9092', DIR: 'out', N: '1' }
/** Programs of the system. */
const OTHERS = ['cat', 'nc', 'ls']

/** What is wrong with arguments; undefined where they are right. */
type Check = (args: readonly string[], command: Command) => string | undefined | Promise<string | undefined>

const unless = (isRight: boolean, problem: string): string | undefined => (isRight ? undefined : problem)

const started = new Map<string, Promise<string>>()

/** What a program prints; the same one with the same arguments is run once. Rejects where it fails. */
function outputOf(path: string, args: readonly string[]): Promise<string> {
  const key = [path, ...args].join(' ')
  const output =
    started.get(key) ??
    run(process.execPath, [join(ROOT, path), ...args], { timeout: 100_000 }).then(({ stdout }) => stdout)
  started.set(key, output)
  return output
}

/** The programs of the repository, by their npm scripts: each checks the arguments by its own parser. */
const programs: Readonly<Record<string, Check>> = {
  start: async (args) => {
    const { parseOptions } = await load<{ parseOptions(args: readonly string[]): unknown }>(
      'apps/order-metrics/dist/cli.js',
    )
    parseOptions(args)
    return undefined
  },
  produce: async (args) => {
    await outputOf('apps/order-metrics/dist/produce.js', [...args, '--help'])
    return undefined
  },
  metrics: (args) => unless(args.length < 2 && args[0]?.startsWith('-') !== true, 'it takes one folder'),
  bench: async (args) => {
    // What the pages have of options is tried all at once: the program takes long to begin.
    const all = commands.flatMap((each) =>
      scriptOf(each) === 'bench' ? each.args.slice(each.args.indexOf('--') + 1) : [],
    )
    const options = [...new Set(all.filter((each) => each.startsWith('--') && each !== '--'))].sort()
    const own = args.filter((each) => each.startsWith('--'))
    const tried = own.every((each) => options.includes(each)) ? options : own
    const values = tried.map((each) => (['--only', '--json'].includes(each) ? `${each}=x` : each))
    const listed = await outputOf('bench/dist/main.js', [...new Set([...values, '--list'])])
    const names = listed.split('\n').map((line) => line.split(' ')[0])
    const unknown = args.filter((each, i) => args[i - 1] === '--only' && each !== 'NAME' && !names.includes(each))
    return unless(unknown.length === 0, `no benchmark is named ${unknown.join()}`)
  },
  simulate: async (args) => {
    type Main = (args: readonly string[], tell: (line: string) => void) => Promise<number>
    const { main } = await load<{ main: Main }>('libs/testkit/dist/cli/simulate.js')
    const told: string[] = []
    // A single seed takes no time: it is run.
    const isShort = args.join(' ').startsWith('--seed ')
    const code = await main(isShort ? args : [...args, '--help'], (line) => void told.push(line))
    return unless(code === 0, told.join('\n'))
  },
  services: async ([command = '', ...names]) => {
    if (!['start', 'stop', 'status', 'install', '--help'].includes(command)) return `there is no ${command}`
    // It knows the names, whatever is asked for.
    await outputOf('tools/services/dist/cli.js', command === '--help' ? [command] : ['status', ...names])
    return undefined
  },
}

/** The npm script that a command runs. */
function scriptOf({ program, args }: Command): string | undefined {
  return program === 'npm' ? args.filter((each) => each !== '-s')[args[0] === 'run' ? 1 : 0] : undefined
}

function checkTests(args: readonly string[], { page }: Command): string | undefined {
  const files = testFiles()
  for (const [i, arg] of args.entries()) {
    const before = args[i - 1]
    if (before === '--project') {
      const isMade = blocksOf(page).some(({ source }) => source.includes(`connector-${arg.replace('-', ' ')}`))
      if (!projects.includes(arg) && !isMade) return `there is no project ${arg}`
    } else if (before === '-t') {
      const path = args.find((each) => each.includes('/')) ?? ''
      if (!files.some((file) => file.startsWith(path) && read(file).includes(arg)))
        return `no test of ${path} has ${arg}`
    } else if (!arg.startsWith('-') && !files.some((file) => file.startsWith(arg))) return `${arg} has no tests`
    else if (arg.startsWith('-') && !['-t', '--project'].includes(arg)) return `${arg} is not known here`
  }
  return undefined
}

/** What `npx` runs. */
const binaries: Readonly<Record<string, Check>> = {
  tsc: ([build, project]) =>
    unless(build === '-b' && (project === undefined || existsSync(join(ROOT, project))), 'tsc'),
  vitest: ([verb, ...args], command) => (verb === 'run' ? checkTests(args, command) : `vitest ${String(verb)}`),
  nx: ([verb, ...args]) => {
    if (verb === 'release')
      return unless(
        args.every((each) => each === '--dry-run'),
        `release ${args.join(' ')}`,
      )
    const [generator = '', name] = args
    const { generators } = JSON.parse(read('tools/generators/generators.json')) as { generators: object }
    const [scope, own = ''] = generator.split(':')
    const isThere = verb === 'g' && scope === '@sluice/generators' && own in generators
    return unless(isThere && name !== undefined, `there is no generator ${generator}`)
  },
  'sluice-checkpoint': async (args) => {
    interface Outcome {
      readonly stderr: string
    }
    const { runCommand } = await load<{ runCommand(args: readonly string[]): Promise<Outcome> }>(
      'libs/core/dist/cli/command.js',
    )
    if (args.length === 0) return undefined // its name in a text
    const { stderr } = await runCommand(args)
    return unless(
      manifests.some(({ bin }) => bin?.['sluice-checkpoint'] !== undefined) &&
        stderr.startsWith('[sluice-checkpoint] there is no checkpoint in ckpt'),
      stderr,
    )
  },
}

function checkNpm(words: readonly string[], command: Command): ReturnType<Check> {
  const [verb = '', ...rest] = words.filter((word) => word !== '-s' && word !== '--silent')
  if (verb === 'ci') return unless(rest.length === 0, 'npm ci')
  if (verb === 'install') {
    const names = rest.filter((each) => each !== '--save-dev')
    const unknown = names.filter((name) => !packages.has(name))
    return unless(names.length > 0 && unknown.length === 0, `${unknown.join()} is no package that is known here`)
  }
  const [script = '', separator, ...args] = verb === 'run' ? rest : [verb, ...rest]
  if (scripts[script] === undefined) return `there is no script ${script}`
  if (separator !== undefined && separator !== '--') return `${separator} is taken by npm`
  return programs[script]?.(
    args.map((each) => PLACEHOLDERS[each] ?? each),
    command,
  )
}

async function problemOf(command: Command): Promise<string | undefined> {
  const { program, args, env } = command
  const unread = Object.keys(env).filter((name) => !sources.some((text) => new RegExp(`\\b${name}\\b`).test(text)))
  if (unread.length > 0) return `nothing reads ${unread.join()}`
  if (program === 'npm') return checkNpm(args, command)
  if (program === 'npx') {
    const [name = '', ...rest] = args
    return binaries[name] === undefined ? `npx ${name} is not known here` : binaries[name](rest, command)
  }
  if (program === 'node') {
    const source = args[0]?.replace('/dist/', '/src/').replace(/\.js$/, '.ts') ?? ''
    return unless(existsSync(join(ROOT, source)), `there is no ${source}`)
  }
  return unless(OTHERS.includes(program) || existsSync(join(ROOT, program)), `${program} is not known here`)
}

/** Commands in the text around blocks. */
function inline(page: string): Command[] {
  return read(page)
    .replaceAll(/^```[^]*?^```$/gm, (block) => '\n'.repeat(block.split('\n').length - 1))
    .split('\n')
    .flatMap((text, index) =>
      [...text.matchAll(/`((?:npm|npx) [^`]+)`/g)].flatMap(([, code = '']) =>
        commandsOfLine(code, { page, line: index + 1 }),
      ),
    )
}

const commands = pages().flatMap((page) => [...blocksOf(page).flatMap(commandsIn), ...inline(page)])

test('every command is there, and knows its options', async () => {
  expect(commands.length).toBeGreaterThan(70)
  const problems: string[] = []
  for (const command of commands) {
    const problem = await Promise.resolve(problemOf(command)).catch((error: unknown) => (error as Error).message)
    if (problem !== undefined) problems.push(`${command.page}:${String(command.line)}: ${command.text}: ${problem}`)
  }
  expect(problems).toEqual([])
}, 120_000)

test.each([
  'npm run produced',
  'npm start -- --fast',
  'npm start --speed max',
  'npm run produce -- --kafkas HOST:PORT',
  'npm run bench -- --only nothing',
  'npm run bench -- --fast',
  'npm run simulate -- --seed x',
  'npm run simulate -- --worlds 3',
  'npm run services -- begin kafka',
  'npm run services -- start kafkas',
  'npm install @sluice/services',
  'npx vitest run libs/sink-nowhere',
  'npx vitest run --project sink-nowhere',
  "npx vitest run apps/order-metrics/src/chaos.test.ts -t 'no such test'",
  'CHAOS_NOTHING=1 npx vitest run libs/core',
  'npx nx g @sluice/generators:connector rabbit-mq',
  'npx sluice-checkpoint look ckpt',
  'npx sluice-checkpoint amend ckpt --drop lines',
  'node apps/word-count/dist/index.js',
  'redo all',
])('%s would be found', async (text) => {
  const [command] = commandsOfLine(text, { page: 'README.md', line: 1 })
  const problem = await Promise.resolve(problemOf(command as Command)).catch(
    (error: unknown) => (error as Error).message,
  )
  expect(problem).toEqual(expect.any(String))
})
