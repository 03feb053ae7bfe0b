/** The example as it is run: in a process of its own, against a server like `nc -lk`. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { quotedBlock } from '@sluice/doc-blocks'
import { afterEach, beforeEach, expect, it } from 'vitest'

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url))

let folder: string
let server: Server
let app: ChildProcess | undefined
let stdout = ''
let stderr = ''

beforeEach(async () => {
  if (!existsSync(MAIN)) throw new Error('this test runs the built app: build it first, e.g. by npm test at the root')
  folder = await mkdtemp(join(tmpdir(), 'word-count-'))
  server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(async () => {
  app?.kill('SIGKILL')
  server.close()
  await rm(folder, { recursive: true })
})

function start(): ChildProcess {
  const { port } = server.address() as AddressInfo
  app = spawn(process.execPath, [MAIN, '127.0.0.1', String(port)], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  app.stdout?.on('data', (part: Buffer) => (stdout += part.toString()))
  app.stderr?.on('data', (part: Buffer) => (stderr += part.toString()))
  return app
}

/** What `print` wrote, by batch time; batches without words left out. */
function printed(): Map<string, string[]> {
  const blocks = [...stdout.matchAll(/^-{43}\nTime: (\d+) ms\n-{43}\n((?:\(.*\n)*)\n/gm)]
  return new Map(
    blocks
      .map(([, time = '', lines = '']): [string, string[]] => [time, lines.split('\n').slice(0, -1).sort()])
      .filter(([, lines]) => lines.length > 0),
  )
}

/** What `saveAsTextFiles` wrote, by batch time. */
async function saved(): Promise<Map<string, string[]>> {
  const batches = new Map<string, string[]>()
  for (const name of (await readdir(join(folder, 'out'))).sort()) {
    const time = /^wc-(\d+)\.batch$/.exec(name)?.[1]
    if (time === undefined) throw new Error(`${name} is no folder of a batch`)
    const files = await readdir(join(folder, 'out', name))
    expect(files).toContain('_SUCCESS')
    const parts = files.filter((file) => file.startsWith('part-'))
    const texts = await Promise.all(parts.map((part) => readFile(join(folder, 'out', name, part), 'utf8')))
    batches.set(time, texts.flatMap((text) => text.split('\n').slice(0, -1)).sort())
  }
  return batches
}

it('counts the words of each batch, prints and saves them, and drains at Ctrl-C', async () => {
  const running = start()
  const ended = once(running, 'close')
  const [socket] = (await once(server, 'connection')) as [Socket]
  socket.write('the cat  and the dog\nthe ')
  while (!stdout.includes('(the,'))
    await Promise.race([sleep(50), ended.then(() => expect.fail(`it ended: ${stderr}`))])
  socket.write('end\r\n')
  await sleep(500)
  running.kill('SIGINT')
  expect([await ended, stderr]).toEqual([[0, null], expect.any(String) as string])

  const batches = printed()
  expect([...batches.values()]).toEqual([
    ['(and,1)', '(cat,1)', '(dog,1)', '(the,2)'],
    ['(end,1)', '(the,1)'],
  ])
  expect([...batches.keys()].slice(0, 1).every((time) => Number(time) % 10_000 === 0)).toBe(true)
  expect(await saved()).toEqual(batches)
})

it('is what the documentation shows', () => {
  quotedBlock('docs/word-count.md', 'socketTextStream', 'apps/word-count/src/main.ts')
})
