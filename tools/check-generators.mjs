/**
 * Makes one connector of each kind with the generators, in a copy of this checkout, and does there what is done for the packages that
 * are here: build, lint, format, imports, unused code, texts, the shape of the package, its tests. Needs no network.
 *
 * Run after a build: `node tools/check-generators.mjs`. With `--keep` the copy stays, and its folder is printed.
 */
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const SCOPE = '@sluice'
/** Two words, so that every form of a name is in use. */
const MADE = [
  { generator: 'connector-source', name: 'made-up', packageName: 'source-made-up' },
  { generator: 'connector-sink', name: 'made-up', packageName: 'sink-made-up' },
]

/** Files known to git, and new ones that it does not ignore. */
function trackedFiles() {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' })
    .split('\0')
    .filter((file) => file !== '' && existsSync(join(root, file)))
}

function copyCheckout(folder) {
  for (const file of trackedFiles()) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    cpSync(join(root, file), join(folder, file))
  }
  // What is built is not built again.
  for (const { from } of workspacesIn(root)) {
    const dist = join(from, 'dist')
    if (existsSync(join(root, dist))) cpSync(join(root, dist), join(folder, dist), { recursive: true })
  }
  execFileSync('git', ['init', '--quiet'], { cwd: folder })
}

/** The packages of this repository: their folders, and their names in `node_modules`. */
function workspacesIn(checkout) {
  const scope = join(checkout, 'node_modules', SCOPE)
  const folders = readdirSync(join(root, 'node_modules', SCOPE), { withFileTypes: true })
  return folders.map(({ name }) => {
    const from = ['libs', 'apps', 'tools', '.'].map((room) => join(room, name.replace(/^app-/, '')))
    return { link: join(scope, name), from: from.find((each) => existsSync(join(root, each, 'package.json'))) }
  })
}

/** Links to all that is installed here, but for the packages of this repository, which are those of the copy. */
function linkModules(folder) {
  const modules = join(folder, 'node_modules')
  const installed = join(root, 'node_modules')
  mkdirSync(modules)
  for (const name of readdirSync(installed)) {
    if (name === SCOPE) continue
    if (!name.startsWith('@') || lstatSync(join(installed, name)).isSymbolicLink()) {
      symlinkSync(join(installed, name), join(modules, name))
      continue
    }
    mkdirSync(join(modules, name))
    for (const part of readdirSync(join(installed, name)))
      symlinkSync(join(installed, name, part), join(modules, name, part))
  }
  mkdirSync(join(modules, SCOPE))
  for (const { link, from } of workspacesIn(folder)) symlinkSync(join(folder, from), link)
  for (const { packageName } of MADE) symlinkSync(join(folder, 'libs', packageName), join(modules, SCOPE, packageName))
}

/** What a command prints on stdout. Rejects, with all that it printed, where it fails. */
async function run(title, folder, command, args) {
  const start = performance.now()
  const program = join(root, 'node_modules/.bin', command)
  const env = { ...process.env, NX_DAEMON: 'false', NX_NO_CLOUD: 'true' }
  const child = spawn(existsSync(program) ? program : command, args, {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let printed = ''
  child.stdout.on('data', (text) => (stdout += String(text)))
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (printed += String(text)))
  const code = await new Promise((done, fail) => child.on('error', fail).on('close', done))
  const seconds = ((performance.now() - start) / 1_000).toFixed(1)
  if (code !== 0) throw new Error(`${title} failed after ${seconds} s, with ${String(code)}:\n${printed}`)
  console.log(`${title}: ${seconds} s`)
  return stdout
}

async function check(folder) {
  const paths = MADE.map(({ packageName }) => `libs/${packageName}`)
  for (const { generator, name } of MADE)
    await run(generator, folder, 'nx', ['g', `${SCOPE}/generators:${generator}`, name, '--skipInstall'])
  await Promise.all(paths.map((path) => build(folder, path)))
  await Promise.all([lint(folder, paths), checkTexts(folder, paths)])
  const projects = MADE.flatMap(({ packageName }) => ['--project', packageName])
  const printed = await run('tests', folder, 'vitest', ['run', ...projects])
  const [summary = 'no summary'] = /^\d+ passed, \d+ failed, \d+ skipped$/m.exec(printed) ?? []
  if (!/^\d{2,} passed, 0 failed, 0 skipped$/.test(summary)) throw new Error(`the tests: ${summary}\n${printed}`)
  console.log(summary)
  await run('examples of their READMEs', folder, 'vitest', ['run', '--project', 'docs', 'every-block'])
}

/** Packed as it would be published, too. */
async function build(folder, path) {
  await run(`build of ${path}`, folder, 'tsc', ['-p', `${path}/tsconfig.lib.json`])
  await run(`types of its tests`, folder, 'tsc', ['-p', `${path}/tsconfig.test.json`])
  const packed = await run('pack', join(folder, path), 'npm', [
    'pack',
    '--json',
    '--ignore-scripts',
    '--loglevel=silent',
  ])
  const [{ filename }] = JSON.parse(packed)
  const tarball = join(folder, path, filename)
  await run(`publint of ${path}`, folder, 'publint', ['run', tarball, '--strict'])
  await run(`attw of ${path}`, folder, 'attw', [tarball, '--profile', 'esm-only', '--format', 'ascii'])
  rmSync(tarball)
}

async function lint(folder, paths) {
  await run('projects', folder, 'nx', ['show', 'projects'])
  await run('lint', folder, 'eslint', ['--max-warnings', '0', ...paths])
}

async function checkTexts(folder, paths) {
  await run('format', folder, 'prettier', ['--check', '--log-level', 'warn', ...paths, 'tsconfig.json'])
  await run('imports', folder, 'depcruise', ['--config', '.dependency-cruiser.mjs', '--output-type', 'err', ...paths])
  await run('unused code', folder, 'knip', ['--no-config-hints', ...paths.flatMap((path) => ['--workspace', path])])
  await run('texts', folder, process.execPath, ['tools/check-text.mjs'])
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-generators-'))
try {
  copyCheckout(folder)
  linkModules(folder)
  await check(folder)
} finally {
  if (process.argv.includes('--keep')) console.log(`kept: ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
}
