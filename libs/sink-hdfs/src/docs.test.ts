/** The examples of README and docs/files.md compile as they stand, and do what they say. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { newIdentity, type StreamingContext } from '@sluice/core'
import { describeWithServices } from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { hdfs } from './hdfs/hdfs-file-system.js'
import { s3 } from './s3/s3-file-system.js'
import { committedFiles } from './sink/committed-files.js'
import { configOf, makeBucket } from './testing/s3-bucket.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const run = promisify(execFile)

async function examplesOf(path: string): Promise<string[]> {
  const page = await readFile(join(ROOT, path), 'utf8')
  return [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, source = '']) => source)
}

/** Compiles the examples into a folder of their own, `example-0.js` and so on, and removes it at the end. */
async function withCompiled(sources: readonly string[], use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-examples-'))
  try {
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
    const names = sources.map((_, index) => `example-${String(index)}.ts`)
    for (const [index, source] of sources.entries()) await writeFile(join(folder, names[index]!), source)
    const options = '--module nodenext --target es2023 --strict --types node --skipLibCheck'.split(' ')
    await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), ...names, ...options], { cwd: folder })
    await use(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

await describeWithServices({ describe, test }, ['hdfs'], 'README', (values) => {
  test('its example does what it says', async () => {
    const { fileSystem } = hdfs({ nameNodes: values.hdfs.url, user: 'root' })
    const path = `hdfs://cluster/readme/${newIdentity()}`
    const [example = ''] = await examplesOf('libs/sink-hdfs/README.md')
    const here = example.replace('http://localhost:9870', values.hdfs.url).replace('hdfs://cluster/orders', path)
    await withCompiled([here], async (folder) => {
      await run(process.execPath, ['--no-warnings', 'example-0.js'], { cwd: folder })
    })
    const files = await committedFiles(path, fileSystem)
    const texts = await Promise.all(
      files.map(async ({ path: file }) => Buffer.from(await fileSystem.read(file)).toString()),
    )
    expect(texts.sort()).toEqual(['{"id":1,"country":"de"}\n', '{"id":2,"country":"fr"}\n'])
    expect(files[0]?.path).toMatch(/\/dt=\d{4}-\d\d-\d\d\/country=(de|fr)\/part-\d+-\d{5}-[0-9a-f]{16}\.ndjson$/)
  }, 120_000)
})

interface Examples {
  wordCount(bucket: string, files: ReturnType<typeof s3>): StreamingContext
  writeOrders(path: string, files: ReturnType<typeof s3>, orders: readonly object[]): Promise<string[]>
}

await describeWithServices({ describe, test }, ['s3'], 'docs/files.md', (values) => {
  test('its examples do what they say', async () => {
    const files = s3({ config: configOf(values.s3) })
    const { fileSystem } = files
    const root = `${await makeBucket(values.s3)}/docs/${newIdentity()}`
    await fileSystem.makeDirectory(`s3://${root}/in`)
    await fileSystem.create(`s3://${root}/in/a.txt`, Buffer.from('to be or\nnot to be\n'))
    await withCompiled(await examplesOf('docs/files.md'), async (folder) => {
      const load = async (name: string): Promise<Examples> =>
        (await import(/* @vite-ignore */ pathToFileURL(join(folder, name)).href)) as Examples
      const ssc = (await load('example-0.js')).wordCount(root, files)
      const counted = new Promise<void>((resolve) => {
        ssc.addListener({
          onBatchCompleted: () => {
            resolve()
          },
        })
      })
      await ssc.start()
      await counted
      await ssc.stop()
      const at = new Date(Date.UTC(2026, 0, 2))
      const orders = [{ id: 'a', country: 'de', cents: 5, at }]
      const written = await (await load('example-1.js')).writeOrders(`s3://${root}/orders`, files, orders)
      expect(written.map((path) => path.replace(/^.*\/orders\//, '').replace(/part-.*?\./, 'part.'))).toEqual([
        'parquet/dt=2026-01-02/country=de/part.parquet',
        'csv/dt=2026-01-02/country=de/part.csv.gz',
      ])
      const csv = await fileSystem.read(written[1] ?? '')
      expect(gunzipSync(csv).toString()).toBe('id,cents,at\na,5,2026-01-02T00:00:00.000Z\n')
    })
    const totals: string[] = []
    for await (const { name } of fileSystem.list(`s3://${root}/out`)) {
      for await (const part of fileSystem.list(`s3://${root}/out/${name}`))
        if (part.name.startsWith('part-'))
          totals.push(Buffer.from(await fileSystem.read(`s3://${root}/out/${name}/${part.name}`)).toString())
    }
    for (const line of ['(to,2)', '(be,2)', '(or,1)', '(not,1)']) expect(totals.join('')).toContain(line)
  }, 120_000)
})
