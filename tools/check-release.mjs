/**
 * What `npx nx release` would publish: makes the next version in a copy of this checkout, and looks at each manifest. All packages have one
 * version, ranges of each other name it, and none has a protocol that only a workspace understands. Run: `node tools/check-release.mjs`.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const VERSION = '0.77.0'
const RANGES = ['dependencies', 'peerDependencies', 'devDependencies', 'optionalDependencies']

const root = resolve(import.meta.dirname, '..')
const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean)

/** What is wrong with a manifest. */
function problemsOf(file, folder, names) {
  const manifest = JSON.parse(readFileSync(join(folder, file), 'utf8'))
  const isPublished = manifest.private !== true
  const problems = []
  if (isPublished && manifest.version !== VERSION) problems.push(`its version is ${manifest.version}`)
  for (const kind of RANGES) {
    for (const [name, range] of Object.entries(manifest[kind] ?? {})) {
      if (/^(workspace|file|link|portal):/.test(range)) problems.push(`${kind}: ${name} is ${range}`)
      if (names.has(name) && range !== `^${VERSION}`) problems.push(`${kind}: ${name} is ${range}`)
    }
  }
  if (isPublished && manifest.peerDependencies?.['@sluice/core'] === undefined && manifest.name !== '@sluice/core') {
    problems.push('core is no peer of it')
  }
  return problems.map((problem) => `${manifest.name}: ${problem}`)
}

/** Npm would write it, and into the folder of modules, which is not the copy's own. */
function withoutLockFile(file) {
  const settings = JSON.parse(readFileSync(file, 'utf8'))
  settings.release.version.versionActionsOptions = { skipLockFileUpdate: true }
  writeFileSync(file, JSON.stringify(settings))
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-release-'))
try {
  for (const file of tracked) cpSync(join(root, file), join(folder, file))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  execFileSync('git', ['init', '--quiet'], { cwd: folder })
  withoutLockFile(join(folder, 'nx.json'))
  const args = ['release', 'version', VERSION, '--git-commit=false', '--git-tag=false', '--stage-changes=false']
  const env = { ...process.env, NX_DAEMON: 'false', NX_NO_CLOUD: 'true' }
  execFileSync(join(folder, 'node_modules/.bin/nx'), args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const manifests = tracked.filter((file) => /^(libs|apps|bench|tools)\/.*package\.json$/.test(file))
  const names = new Set(
    manifests
      .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')))
      .filter((each) => each.private !== true)
      .map(({ name }) => name),
  )
  const problems = manifests.flatMap((file) => problemsOf(file, folder, names))
  for (const problem of problems) console.error(problem)
  console.log(`check-release: ${names.size} packages as ${VERSION}, ${problems.length} problems`)
  if (problems.length > 0) process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
