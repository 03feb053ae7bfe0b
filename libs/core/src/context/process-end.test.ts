/** How a process ends in which a context runs: tried in processes of their own, on the build of core. */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { afterEach, expect, test } from 'vitest'

const CORE = new URL('../../dist/index.js', import.meta.url).href

type Child = ChildProcessByStdio<null, Readable, Readable>

const children: Child[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

interface App {
  readonly child: Child
  /** Resolves when stdout holds `text`. */
  shows(text: string): Promise<void>
  /** Exit code, or the signal that ended it. */
  ended(): Promise<{ readonly code: number | string; readonly stdout: string; readonly stderr: string }>
}

function startApp(program: string): App {
  const source = `import { StreamingContext, milliseconds, seconds } from '${CORE}'\n${program}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (part: string) => (text[name] += part))
  }
  const closed = once(child, 'close') as Promise<[number | null, string | null]>
  return {
    child,
    shows: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (text.stdout.includes(wanted)) resolve()
        }
        child.stdout.on('data', look)
        child.on('close', () => {
          reject(new Error(`ended before it showed '${wanted}':\n${text.stdout}\n${text.stderr}`))
        })
        look()
      }),
    async ended() {
      const [code, signal] = await closed
      return { code: code ?? signal ?? '', ...text }
    },
  }
}

const FAILING = `
const ssc = new StreamingContext({ batchInterval: milliseconds(10), log: 'silent' })
ssc.queueStream([]).foreachRDD(() => { throw new Error('the batch is broken') })
await ssc.start()
`

test('an error that nobody awaits ends the process as an uncaught exception', async () => {
  const { code, stderr } = await startApp(FAILING).ended()
  expect(code).toBe(1)
  expect(stderr).toContain('Error: the batch is broken')
})

test('an error that is awaited is only there', async () => {
  const app = startApp(`${FAILING}
    await ssc.awaitTermination().catch((error) => console.log('caught: ' + error.message))
    await new Promise((resolve) => setTimeout(resolve, 50))
    console.log('still here')
  `)
  const { code, stdout, stderr } = await app.ended()
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'caught: the batch is broken\nstill here\n', stderr: '' })
})

test('a start that fails leaves nothing that keeps the process or ends it as uncaught', async () => {
  const app = startApp(`
    const ssc = new StreamingContext({ batchInterval: milliseconds(10), log: 'silent' })
    ssc.queueStream([]).to({
      '~sluice': 'sink/1', name: 'x', target: 'x', guarantee: { level: 'exactly-once', condition: '' },
      open: () => Promise.reject(new Error('no server')), writePartition: async () => {},
    })
    await ssc.start().catch((error) => console.log(error.message))
  `)
  expect(await app.ended()).toEqual({ code: 0, stdout: 'no server\n', stderr: '' })
})

const WORKING = `
const ssc = new StreamingContext({ batchInterval: milliseconds(20), log: 'silent' })
ssc.queueStream([]).foreachRDD(async (_rdd, time) => {
  console.log('begun')
  await new Promise((resolve) => setTimeout(resolve, globalThis.batchMs))
  console.log('done')
})
`

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s stops gracefully: the batches under way are done, exit code 0',
  async (signal) => {
    const app = startApp(`globalThis.batchMs = 150
    ${WORKING}
    await ssc.start()
    await ssc.awaitTermination()
    console.log('ended')
  `)
    await app.shows('begun')
    app.child.kill(signal)
    const { code, stdout } = await app.ended()
    expect(code).toBe(0)
    const lines = stdout.trim().split('\n')
    expect(lines.at(-1)).toBe('ended')
    expect(lines.filter((line) => line === 'done')).toHaveLength(lines.filter((line) => line === 'begun').length)
  },
)

test('a Ctrl-C that reaches the process twice, as under npm, stops gracefully', async () => {
  const app = startApp(`globalThis.batchMs = 200
    ${WORKING}
    await ssc.start()
    await ssc.awaitTermination()
    console.log('ended')
  `)
  await app.shows('begun')
  app.child.kill('SIGINT')
  app.child.kill('SIGTERM')
  const { code, stdout } = await app.ended()
  expect(code).toBe(0)
  const lines = stdout.trim().split('\n')
  expect(lines.filter((line) => line === 'done')).toHaveLength(lines.filter((line) => line === 'begun').length)
})

test('a second SIGINT forces: the running batch is left, and the application ends', async () => {
  const app = startApp(`globalThis.batchMs = 600_000
    ${WORKING}
    await ssc.start()
    // What comes at once is the same press.
    process.once('SIGINT', () => setTimeout(() => console.log('armed'), 300))
    await ssc.awaitTermination()
    console.log('ended')
    process.exit()
  `)
  await app.shows('begun')
  app.child.kill('SIGINT')
  await app.shows('armed')
  app.child.kill('SIGINT')
  const { code, stdout } = await app.ended()
  expect(code).toBe(0)
  expect(stdout).toContain('ended')
  expect(stdout).not.toContain('done')
})

test('with signals: false the process ends as without Sluice', async () => {
  const app = startApp(`globalThis.batchMs = 0
    ${WORKING.replace("log: 'silent'", "log: 'silent', signals: false")}
    await ssc.start()
    await ssc.awaitTermination()
  `)
  await app.shows('begun')
  app.child.kill('SIGINT')
  expect(await app.ended()).toMatchObject({ code: 'SIGINT' })
})
