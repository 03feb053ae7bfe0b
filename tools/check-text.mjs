/**
 * Fails if a text file of the repository names a path of somebody's machine, or if the lock file or an npm setting names
 * a registry: both would tie the repository to the place it was made in.
 *
 * Run: `node tools/check-text.mjs`. Prints each finding as `file:line: what`.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'

const everywhere = [
  { what: 'a machine path', pattern: /(?<![\w.-])\/(?:work|root|tmp\/bash_jobs[\w.]*|home\/\w+|Users\/\w+)\// },
]

const inNpmFiles = [
  { what: 'a resolved address', pattern: /"resolved":\s*"\w+(?:\+\w+)?:/ },
  { what: 'a registry host', pattern: /\bregistry\.[\w-]+\.\w+|\bnpm\.pkg\.|\bartifactory\b|\bregistry\s*=/ },
]

const NPM_FILES = new Set(['package-lock.json', '.npmrc'])

/** Files known to git, and new ones that it does not ignore. */
function listFiles() {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  return execFileSync('git', args, { encoding: 'utf8' })
    .split('\0')
    .filter((file) => file !== '' && existsSync(file))
}

function findingsIn(file) {
  const content = readFileSync(file)
  if (content.includes(0)) return [] // a binary file
  const rules = NPM_FILES.has(basename(file)) ? [...everywhere, ...inNpmFiles] : everywhere
  return content
    .toString('utf8')
    .split('\n')
    .flatMap((line, index) => {
      const found = rules.flatMap(({ what, pattern }) => {
        const match = pattern.exec(line)
        return match === null ? [] : [`${what} (${match[0]})`]
      })
      return found.map((what) => `${file}:${index + 1}: ${what}`)
    })
}

const files = listFiles()
const findings = files.flatMap(findingsIn)
for (const finding of findings) console.error(finding)
console.log(`check-text: ${files.length} files, ${findings.length} findings`)
process.exitCode = findings.length === 0 ? 0 : 1
