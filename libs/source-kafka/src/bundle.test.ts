/** The README's example, bundled into one file as it stands there, in a folder where nothing is installed, on a real broker. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { textOfBlock } from '@sluice/doc-blocks'
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { describeOnKafka } from './testing/on-kafka.js'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const LONG_MS = 60_000
/** Modules that are not ES modules look for Node's own by `require`. */
const BANNER = `import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url)`

/** What is printed until `isEnough`, then the process is killed. */
async function outputOf(file: string, cwd: string, isEnough: (text: string) => boolean): Promise<string> {
  const child = spawn(process.execPath, [file], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (part: string) => {
      text[name] += part
      if (isEnough(text.stdout)) child.kill('SIGKILL')
    })
  }
  await once(child, 'close')
  if (!isEnough(text.stdout)) throw new Error(`it ended too soon:\n${text.stdout}\n${text.stderr}`)
  return text.stdout
}

await describeOnKafka('the example of the README', ({ kafka }) => {
  test(
    'runs as a bundle of one file, without node_modules',
    async () => {
      const topic = await kafka.topic()
      const orders = [
        { customer: 'ann', amount: 1 },
        { customer: 'bob', amount: 2 },
        { customer: 'ann', amount: 3 },
      ]
      await kafka.add(
        topic,
        orders.map((order) => JSON.stringify(order)),
      )
      const contents = textOfBlock('libs/source-kafka/README.md', 'kafkaDirectStream', {
        'localhost:9092': kafka.brokers.join(),
        [`topics: 'orders'`]: `topics: '${topic}'`,
      })
      const folder = mkdtempSync(join(tmpdir(), 'bundle-'))
      try {
        const file = join(folder, 'app.mjs')
        const options = { bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'silent' } as const
        const { warnings } = await build({
          ...options,
          stdin: { contents, resolveDir: HERE, loader: 'ts' },
          conditions: ['@sluice/source'],
          banner: { js: BANNER },
          outfile: file,
        })
        expect(warnings).toEqual([])
        expect(readdirSync(folder)).toEqual(['app.mjs'])
        const text = await outputOf(file, folder, (printed) =>
          /\(ann,4\)[^]*\(bob,2\)|\(bob,2\)[^]*\(ann,4\)/.test(printed),
        )
        expect(text).toMatch(/Time: \d+/)
        expect(readdirSync(folder).sort()).toEqual(['app.mjs', 'ckpt'])
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
    LONG_MS,
  )
})
