/**
 * Checks every public package as its users get it: packs it, looks at its shape (publint, are-the-types-wrong), installs
 * it in an empty project with nothing but what it asks for, imports every entry of `exports` there, compiles a file that does the same with
 * each TypeScript that is supported, declarations of libraries included, and asks every command of `bin` for its help. Then all together.
 *
 * Run after a build: `node tools/check-packages.mjs`.
 */
import { execFile, execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const root = resolve(import.meta.dirname, '..')
const bin = (name) => join(root, 'node_modules', '.bin', name)
/** Resolves with what it prints, and rejects with that. */
async function run(command, args, cwd = root) {
  try {
    return (await promisify(execFile)(command, args, { cwd, maxBuffer: 2 ** 26 })).stdout
  } catch (error) {
    throw new Error(`${command} ${args.join(' ')} failed:\n${error.stdout ?? ''}${error.stderr ?? error.message}`)
  }
}
const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'))

/** Optional peers that an entry imports as it loads, so that apps which use it can be bundled. */
const NEEDED_PEERS = { '@platformatic/kafka': '1.35.0', '@aws-sdk/client-s3': '3.1169.0' }

/** Node's types, without which drivers cannot be compiled, and besides the TypeScript of this repository the oldest that is supported. */
const COMPILERS = ['@types/node@20.19.43', 'typescript@5.9.3']

function publicPackages() {
  return readdirSync(join(root, 'libs'))
    .map((name) => join(root, 'libs', name))
    .filter((folder) => existsSync(join(folder, 'package.json')))
    .map((folder) => ({ folder, manifest: readJson(join(folder, 'package.json')) }))
    .filter(({ manifest }) => manifest.private !== true)
}

function pack({ folder }, into) {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', into]
  const [{ filename }] = JSON.parse(
    execFileSync('npm', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
  )
  return join(into, filename)
}

/** What a user can write after `import`, such as `@sluice/core/testing`. */
const entriesOf = ({ manifest }) =>
  Object.keys(manifest.exports)
    .filter((entry) => entry !== './package.json')
    .map((entry) => manifest.name + entry.slice(1))

/** The package and all of ours that it needs: none of them is in a registry yet. */
function withOwnNeeds(each, packages, found = new Set()) {
  found.add(each)
  const { dependencies = {}, peerDependencies = {} } = each.manifest
  for (const other of packages) {
    const isNeeded = other.manifest.name in { ...dependencies, ...peerDependencies }
    if (isNeeded && !found.has(other)) withOwnNeeds(other, packages, found)
  }
  return [...found]
}

/** Installs packages in an empty project, and uses every entry of those in `used` there; resolves with what there is to tell. */
async function installInEmptyProject(packages, used, folder) {
  const peers = Object.entries(NEEDED_PEERS)
    .filter(([name]) => packages.some(({ manifest }) => name in (manifest.peerDependencies ?? {})))
    .map(([name, version]) => `${name}@${version}`)
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
  const options = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
  await run('npm', ['install', ...options, ...packages.map(({ tarball }) => tarball), ...peers, ...COMPILERS], folder)
  const entries = used.flatMap(entriesOf)
  const names = entries.map((_, index) => `entry${index}`)
  const lines = entries.map((entry, index) => `import * as ${names[index]} from '${entry}'`)
  const source = `${lines.join('\n')}\nexport const entries: object[] = [${names.join(', ')}]\n`
  writeFileSync(join(folder, 'consumer.ts'), source)
  const strictness = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false }
  const compilerOptions = { ...strictness, module: 'nodenext', target: 'es2023', types: [] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
  const told = [await compile(folder)]
  for (const entry of entries) {
    await run(process.execPath, ['--input-type=module', '--eval', `await import('${entry}')`], folder)
    told.push(`imports: ${entry}\n`)
  }
  for (const command of used.flatMap(({ manifest }) => Object.keys(manifest.bin ?? {}))) {
    const help = await run(join(folder, 'node_modules', '.bin', command), ['--help'])
    if (!help.startsWith(`usage: ${command} `)) throw new Error(`${command} --help does not tell its usage:\n${help}`)
    told.push(`runs: ${command}\n`)
  }
  return told.join('')
}

async function compile(folder) {
  let told = ''
  for (const compiler of [bin('tsc'), join(folder, 'node_modules/.bin/tsc')]) {
    told += `compiles: ${await run(compiler, ['--version'], folder)}${await run(compiler, [], folder)}`
  }
  return told
}

async function check(each, packages, folder) {
  const told = [`package: ${each.manifest.name}\n`]
  told.push(await run(bin('publint'), ['run', each.tarball, '--strict']))
  told.push(await run(bin('attw'), [each.tarball, '--profile', 'esm-only', '--format', 'ascii']))
  told.push(await installInEmptyProject(withOwnNeeds(each, packages), [each], folder))
  console.log(told.join(''))
}

/** As many at a time as there are processors. */
async function checkAll(packages, folder) {
  const waiting = [...packages.entries()]
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      await check(next[1], packages, join(folder, String(next[0])))
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, lane))
}

/** Connectors that got a copy of core of their own, as package managers give it to them now and then. */
async function withTwoCopies(packages, folder) {
  const modules = (name) => join(folder, 'node_modules', name)
  for (const { manifest } of packages) {
    if (manifest.peerDependencies?.['@sluice/core'] === undefined) continue
    cpSync(modules('@sluice/core'), join(modules(manifest.name), 'node_modules/@sluice/core'), { recursive: true })
  }
  writeFileSync(join(folder, 'consumer.ts'), TWO_COPIES)
  return `${await compile(folder)}${await run(process.execPath, ['--no-warnings', 'consumer.js'], folder)}`
}

const TWO_COPIES = `import { milliseconds, nodeFileSystem, StreamingContext } from '@sluice/core'
import { committedFiles, fileSink, ndjson } from '@sluice/sink-hdfs'
import { socketTextStream } from '@sluice/source-socket'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

const server = createServer((socket) => socket.end('a\\nb\\na\\n')).listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo
const ssc = new StreamingContext({ appName: 'copies', batchInterval: milliseconds(50), log: 'warn' })
const found: (readonly [string, number])[] = []
const counts = socketTextStream(ssc, { host: '127.0.0.1', port, onEnd: 'stop' })
  .map((word) => [word, 1])
  .reduceByKey((a, b) => a + b)
counts.foreachRDD(async (rdd) => void found.push(...(await rdd.collect())))
counts.to(fileSink({ path: process.cwd() + '/copies', format: ndjson() }))
ssc.addListener({ onReceiverStopped: () => void ssc.stop() })
await ssc.start()
await ssc.awaitTermination()
server.close()
const files = await committedFiles(process.cwd() + '/copies', nodeFileSystem())
const text = JSON.stringify([found.sort(), files.length > 0])
if (text !== '[[["a",2],["b",1]],true]') throw new Error('two copies of core: ' + text)
console.log('two copies of core: ' + text)
`

const top = mkdtempSync(join(tmpdir(), 'sluice-packages-'))
try {
  const packages = publicPackages().map((each) => ({ ...each, tarball: pack(each, top) }))
  await checkAll(packages, top)
  const together = join(top, 'together')
  console.log(`all packages\n${await installInEmptyProject(packages, packages, together)}`)
  console.log(await withTwoCopies(packages, together))
} finally {
  rmSync(top, { recursive: true, force: true })
}
