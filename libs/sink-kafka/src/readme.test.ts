/** The README's example compiles as it stands, and does what it says. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describeWithServices } from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { clientOf, newTopic, readTopic } from './testing/targets.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const run = promisify(execFile)

await describeWithServices({ describe, test }, ['kafka'], 'the README', ({ kafka }) => {
  test('its example compiles and runs', async () => {
    const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
    const [, example = ''] = /```ts\n(.*?)```/s.exec(readme) ?? []
    const folder = await mkdtemp(join(tmpdir(), 'sluice-readme-'))
    const topic = await newTopic(kafka)
    const client = clientOf(kafka)
    try {
      await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
      await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
      await writeFile(join(folder, 'example.ts'), example)
      const options = '--module nodenext --target es2023 --strict --types node --skipLibCheck'.split(' ')
      const env = { ...process.env, KAFKA: kafka.bootstrap, TOPIC: topic }
      await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), 'example.ts', ...options], {
        cwd: folder,
      })
      await run(process.execPath, ['--no-warnings', 'example.js'], { cwd: folder, env })
      const rows = await readTopic(client, topic)
      expect(rows.map(({ key }) => key)).toEqual(['to', 'be', 'or', 'not', 'to', 'be'])
      expect(String(rows[3]?.value)).toBe('{"word":"not","letters":3}')
    } finally {
      await client.close()
      await rm(folder, { recursive: true })
    }
  }, 120_000)
})
