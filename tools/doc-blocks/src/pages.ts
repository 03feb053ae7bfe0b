/** Which pages users read, and which files are tests. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './blocks.js'

const SKIPPED = new Set(['node_modules', 'dist', 'out', 'coverage', 'templates'])

/** The paths of all pages with blocks that somebody may copy, from the root of the repository. */
export function pages(): string[] {
  const packages = ['libs', 'apps', 'tools'].flatMap((room) =>
    readdirSync(join(ROOT, room)).map((name) => `${room}/${name}/README.md`),
  )
  return [
    ...['README.md', 'CONTRIBUTING.md', 'bench/README.md', ...packages].filter((path) => existsSync(join(ROOT, path))),
    ...filesBelow('docs', '.md'),
  ]
}

/** The paths of all test files, but for those of this package: they try blocks, and do not stand for them. */
export const testFiles = (): string[] =>
  ['apps', 'bench', 'docs', 'libs', 'tools']
    .flatMap((room) => filesBelow(room, '.test.ts'))
    .filter((path) => !path.startsWith('tools/doc-blocks/'))

/** Those whose names end so, at any depth. */
export function filesBelow(folder: string, end: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (!entry.isDirectory()) return entry.name.endsWith(end) ? [path] : []
    return SKIPPED.has(entry.name) || entry.name.startsWith('out-') ? [] : filesBelow(path, end)
  })
}
