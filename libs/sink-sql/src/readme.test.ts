/** The README's examples do what they say. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runBlock } from '@sluice/doc-blocks'
import { service } from '@sluice/services'
import pg from 'pg'
import { expect, test } from 'vitest'
import { readSqlite } from './sqlite.js'

const words = [
  { word: 'be', count: 2 },
  { word: 'not', count: 1 },
  { word: 'or', count: 1 },
  { word: 'to', count: 2 },
]

test('the example of the README runs', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-readme-'))
  try {
    await runBlock('libs/sink-sql/README.md', 'sqliteSink', { cwd: folder })
    const file = join(folder, 'words.db')
    expect(await readSqlite({ file }, (db) => db.all('SELECT word, count FROM words ORDER BY word'))).toEqual(words)
  } finally {
    await rm(folder, { recursive: true })
  }
}, 120_000)

test('the example for a server runs', async (context) => {
  const postgres = await service('postgres', context)
  const client = new pg.Client({ connectionString: postgres.url })
  await client.connect()
  try {
    await runBlock('libs/sink-sql/README.md', 'postgresSink', { env: { DATABASE_URL: postgres.url } })
    const { rows } = await client.query<{ word: string; count: string }>('SELECT * FROM words ORDER BY word')
    expect(rows.map(({ word, count }) => ({ word, count: Number(count) }))).toEqual(words)
  } finally {
    await client.query('DROP TABLE IF EXISTS words')
    await client.end()
  }
}, 120_000)
