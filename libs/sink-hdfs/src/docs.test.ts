/** The examples of README and docs/files.md do what they say. */
import { gunzipSync } from 'node:zlib'
import { newIdentity, type StreamingContext } from '@sluice/core'
import { importBlock, runBlock } from '@sluice/doc-blocks'
import { describeWithServices } from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { hdfs } from './hdfs/hdfs-file-system.js'
import { s3 } from './s3/s3-file-system.js'
import { committedFiles } from './sink/committed-files.js'
import { configOf, makeBucket } from './testing/s3-bucket.js'

await describeWithServices({ describe, test }, ['hdfs'], 'README', (values) => {
  test('its example does what it says', async () => {
    const { fileSystem } = hdfs({ nameNodes: values.hdfs.url, user: 'root' })
    const path = `hdfs://cluster/readme/${newIdentity()}`
    await runBlock('libs/sink-hdfs/README.md', 'fileSink', {
      changes: { 'http://localhost:9870': values.hdfs.url, 'hdfs://cluster/orders': path },
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

const TOTALS = ['(to,2)', '(be,2)', '(or,1)', '(not,1)']

await describeWithServices({ describe, test }, ['s3'], 'docs/files.md', (values) => {
  /** What the streams of the page have written. */
  async function totalsOf(root: string): Promise<string> {
    const { fileSystem } = s3({ config: configOf(values.s3) })
    const totals: string[] = []
    for await (const { name } of fileSystem.list(`s3://${root}/out`)) {
      for await (const part of fileSystem.list(`s3://${root}/out/${name}`))
        if (part.name.startsWith('part-'))
          totals.push(Buffer.from(await fileSystem.read(`s3://${root}/out/${name}/${part.name}`)).toString())
    }
    return totals.join('')
  }

  test('its examples do what they say', async () => {
    const files = s3({ config: configOf(values.s3) })
    const { fileSystem } = files
    const root = `${await makeBucket(values.s3)}/docs/${newIdentity()}`
    await fileSystem.makeDirectory(`s3://${root}/in`)
    await fileSystem.create(`s3://${root}/in/a.txt`, Buffer.from('to be or\nnot to be\n'))
    const { wordCount } = await importBlock<Examples>('docs/files.md', 'wordCount')
    const { writeOrders } = await importBlock<Examples>('docs/files.md', 'writeOrders')
    const ssc = wordCount(root, files)
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
    const written = await writeOrders(`s3://${root}/orders`, files, orders)
    expect(written.map((path) => path.replace(/^.*\/orders\//, '').replace(/part-.*?\./, 'part.'))).toEqual([
      'parquet/dt=2026-01-02/country=de/part.parquet',
      'csv/dt=2026-01-02/country=de/part.csv.gz',
    ])
    const csv = await fileSystem.read(written[1] ?? '')
    expect(gunzipSync(csv).toString()).toBe('id,cents,at\na,5,2026-01-02T00:00:00.000Z\n')
    const totals = await totalsOf(root)
    for (const line of TOTALS) expect(totals).toContain(line)
  }, 120_000)

  test('its program counts, and keeps everything on S3', async () => {
    const { fileSystem } = s3({ config: configOf(values.s3) })
    const root = `${await makeBucket(values.s3)}/docs/${newIdentity()}`
    await fileSystem.makeDirectory(`s3://${root}/in`)
    await fileSystem.create(`s3://${root}/in/a.txt`, Buffer.from('to be or\nnot to be\n'))
    await runBlock('docs/files.md', 'wordCount', {
      changes: {
        'my-bucket': root,
        [`{ region: 'eu-central-1' }`]: JSON.stringify(configOf(values.s3)),
        '  return ssc\n': `  ssc.addListener({ onBatchCompleted: () => console.log('a batch') })\n  return ssc\n`,
      },
      last: 'await main()',
      until: (printed) => printed.includes('a batch'),
    })
    const totals = await totalsOf(root)
    for (const line of TOTALS) expect(totals).toContain(line)
    expect(await fileSystem.stat(`s3://${root}/ckpt/word-count`)).toMatchObject({ kind: 'directory' })
  }, 120_000)
})
