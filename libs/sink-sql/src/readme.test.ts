/** The README's examples compile as they stand, and do what they say. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { service } from '@sluice/services'
import pg from 'pg'
import { expect, test } from 'vitest'
import { readSqlite } from './sqlite.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const run = promisify(execFile)
const words = [
  { word: 'be', count: 2 },
  { word: 'not', count: 1 },
  { word: 'or', count: 1 },
  { word: 'to', count: 2 },
]

/** Compiles and runs the nth example in a folder of its own. */
async function runExample(n: number, env: NodeJS.ProcessEnv, check: (folder: string) => Promise<void>): Promise<void> {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const [, example = ''] = [...readme.matchAll(/```ts\n(.*?)```/gs)][n] ?? []
  const folder = await mkdtemp(join(tmpdir(), 'sluice-readme-'))
  try {
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
    await writeFile(join(folder, 'example.ts'), example)
    const options = '--module nodenext --target es2023 --strict --types node --skipLibCheck'.split(' ')
    await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), 'example.ts', ...options], {
      cwd: folder,
    })
    await run(process.execPath, ['--no-warnings', 'example.js'], { cwd: folder, env: { ...process.env, ...env } })
    await check(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('the example of the README compiles and runs', async () => {
  await runExample(0, {}, async (folder) => {
    const file = join(folder, 'words.db')
    expect(await readSqlite({ file }, (db) => db.all('SELECT word, count FROM words ORDER BY word'))).toEqual(words)
  })
}, 120_000)

test('the example for a server compiles and runs', async (context) => {
  const postgres = await service('postgres', context)
  const client = new pg.Client({ connectionString: postgres.url })
  await client.connect()
  try {
    await runExample(1, { DATABASE_URL: postgres.url }, async () => {
      const { rows } = await client.query<{ word: string; count: string }>('SELECT * FROM words ORDER BY word')
      expect(rows.map(({ word, count }) => ({ word, count: Number(count) }))).toEqual(words)
    })
  } finally {
    await client.query('DROP TABLE IF EXISTS words')
    await client.end()
  }
}, 120_000)
