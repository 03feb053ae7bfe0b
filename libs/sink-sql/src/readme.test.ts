/** The README's example compiles as it stands, and does what it says. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { readSqlite } from './sqlite.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const run = promisify(execFile)

test('the example of the README compiles and runs', async () => {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const [, example = ''] = /```ts\n(.*?)```/s.exec(readme) ?? []
  const folder = await mkdtemp(join(tmpdir(), 'sluice-readme-'))
  try {
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
    await writeFile(join(folder, 'example.ts'), example)
    const options = '--module nodenext --target es2023 --strict --types node --skipLibCheck'.split(' ')
    await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), 'example.ts', ...options], {
      cwd: folder,
    })
    await run(process.execPath, ['--no-warnings', 'example.js'], { cwd: folder })
    const file = join(folder, 'words.db')
    expect(await readSqlite({ file }, (db) => db.all('SELECT word, count FROM words ORDER BY word'))).toEqual([
      { word: 'be', count: 2 },
      { word: 'not', count: 1 },
      { word: 'or', count: 1 },
      { word: 'to', count: 2 },
    ])
  } finally {
    await rm(folder, { recursive: true })
  }
}, 120_000)
