/** The README's example compiles as it stands, and does what it says. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describeWithInstalled, startService } from '@sluice/services'
import { MongoClient } from 'mongodb'
import { describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const run = promisify(execFile)

await describeWithInstalled({ describe, test }, ['mongo'], 'the README', () => {
  test('its example compiles and runs', async () => {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    const [, example = ''] = /```ts\n(.*?)```/s.exec(readme) ?? []
    const folder = await mkdtemp(join(tmpdir(), 'sluice-readme-'))
    const own = await startService('mongo')
    const reader = new MongoClient(own.values.url)
    try {
      await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
      await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
      await writeFile(join(folder, 'example.ts'), example)
      const options = '--module nodenext --target es2023 --strict --types node --skipLibCheck'.split(' ')
      const env = { ...process.env, MONGO_URL: own.values.url }
      await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), 'example.ts', ...options], {
        cwd: folder,
      })
      await run(process.execPath, ['--no-warnings', 'example.js'], { cwd: folder, env })
      const words = reader.db('texts').collection('words')
      const found = await words
        .find({}, { projection: { _sluice: 0 } })
        .sort({ _id: 1 })
        .toArray()
      expect(found).toEqual([
        { _id: 'be', count: 2 },
        { _id: 'not', count: 1 },
        { _id: 'or', count: 1 },
        { _id: 'to', count: 2 },
      ])
    } finally {
      await reader.close(true)
      await own.stop()
      await rm(folder, { recursive: true })
    }
  }, 120_000)
})
