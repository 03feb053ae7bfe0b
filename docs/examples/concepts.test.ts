/** Runs the examples of the pages that need nothing but core and sockets, as they stand there. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { milliseconds, SluiceError, StreamingContext, type Receiver, type Sink } from '@sluice/core'
import { LedgerStore, receiverOf } from '@sluice/core/testing'
import { blockNamed, importBlock, runBlock, type Printed } from '@sluice/doc-blocks'
import type { SinkTarget, SuiteRunner } from '@sluice/testkit'
import { afterEach, describe, expect, test, vi } from 'vitest'

/** The server of a socket that sends `bytes` to all who come; resolves to its port. */
const stops: (() => void)[] = []
async function serverOf(bytes: string | Buffer): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.write(bytes)
  }).listen(0, '127.0.0.1')
  stops.push(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
  vi.restoreAllMocks()
})

/** What a block prints is what the comments behind its `console.log(…)` say. */
function expectAsSaid(page: string, name: string, { stdout }: Printed): void {
  const { source } = blockNamed(page, name)
  const said = [...source.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].map(([, text = '']) => text)
  const plain = (text: string): string => text.replaceAll(/\s|Symbol|[()]/g, '')
  expect(said).not.toEqual([])
  expect(plain(stdout)).toBe(plain(said.join('')))
}

describe('docs/concepts.md', () => {
  test('an RDD without a stream', async () => {
    expectAsSaid('docs/concepts.md', 'parallelize', await runBlock('docs/concepts.md', 'parallelize'))
  })

  test('worker threads', async () => {
    expectAsSaid('docs/concepts.md', 'workerExecutor', await runBlock('docs/concepts.md', 'workerExecutor'))
  }, 60_000)

  test('one input and one output', async () => {
    expectAsSaid('docs/concepts.md', 'absent', await runBlock('docs/concepts.md', 'absent'))
  })

  test('several inputs and outputs', async () => {
    expectAsSaid('docs/concepts.md', 'doubled', await runBlock('docs/concepts.md', 'doubled'))
  })

  test('getOrCreate begins anew where nothing is, and goes on from what is there', async () => {
    const cwd = mkdtempSync(join(tmpdir(), 'sluice-concepts-'))
    mkdirSync(join(cwd, 'in'))
    try {
      const run = (file: string, until: string) => {
        let isWritten = false
        return runBlock('docs/concepts.md', 'getOrCreate', {
          cwd,
          until: (stdout) => {
            if (!isWritten && stdout.includes('Time: ')) {
              isWritten = true
              writeFileSync(join(cwd, file), 'be\n')
              renameSync(join(cwd, file), join(cwd, 'in', file))
            }
            return stdout.includes(until)
          },
        })
      }
      expect((await run('a.txt', '(be,1)')).stdout).not.toContain('(be,2)')
      expect((await run('b.txt', '(be,2)')).stdout).toMatch(/\(be,1\)[^]*\(be,2\)/)
    } finally {
      rmSync(cwd, { recursive: true })
    }
  }, 60_000)
})

test('README.md: the whole application counts words of a socket', async () => {
  const port = await serverOf('to be or\nnot to be\n')
  const { stdout } = await runBlock('README.md', 'socketTextStream', {
    changes: { '9999': String(port), localhost: '127.0.0.1', 'seconds(10)': 'seconds(1)' },
    until: (printed) => printed.includes('(not,1)') && printed.includes('(to,2)'),
  })
  expect(stdout).toMatch(/\(be,2\)/)
})

describe('libs/source-socket/README.md', () => {
  test('the words of a socket are counted', async () => {
    const port = await serverOf('to be or  not\nto be\n')
    const { stdout } = await runBlock('libs/source-socket/README.md', 'socketTextStream', {
      changes: { '9999': String(port), localhost: '127.0.0.1' },
      until: (printed) => printed.includes('(not,1)') && printed.includes('(to,2)'),
    })
    expect(stdout).toMatch(/\(be,2\)/)
    expect(stdout).not.toContain('(,')
  })

  test('frames are decoded, wherever they are cut', async () => {
    const frame = (text: string) => Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)])
    const port = await serverOf(Buffer.concat([frame('one'), frame(''), frame('three'), frame('cut').subarray(0, 5)]))
    const { stdout } = await runBlock('libs/source-socket/README.md', 'frames', {
      changes: { '9999': String(port), localhost: '127.0.0.1' },
      last: 'messages.map(String).map((text) => `<${text}>`).print()\nawait ssc.start()\nawait ssc.awaitTermination()',
      until: (printed) => printed.includes('<three>'),
    })
    expect(stdout).toMatch(/<one>\n<>\n<three>\n/)
  })
})

test('docs/backpressure.md: a stream under control counts what comes', async () => {
  interface Examples {
    countUnderControl(receiver: Receiver<string>): StreamingContext
  }
  const { countUnderControl } = await importBlock<Examples>('docs/backpressure.md', 'countUnderControl', {
    changes: { 'seconds(1),': "seconds(0.1),\n    log: 'silent',\n    signals: false," },
  })
  let printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text)
    return true
  })
  const letters = async function* (): AsyncGenerator<string> {
    for (const letter of ['a', 'b', 'c']) yield await Promise.resolve(letter)
  }
  const ssc = countUnderControl(receiverOf(letters))
  const counted = (): number =>
    [...printed.matchAll(/^(\d+)$/gm)].reduce((sum, [, count = '']) => sum + Number(count), 0)
  await ssc.start()
  await expect.poll(counted, { timeout: 20_000 }).toBe(3)
  await ssc.stop()
})

test('docs/errors.md: what ended the application is rethrown, and a rejected record is told', async () => {
  interface Examples {
    untilTheEnd(ssc: StreamingContext): Promise<void>
  }
  const { untilTheEnd } = await importBlock<Examples>('docs/errors.md', 'untilTheEnd')
  const told = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  for (const code of ['RECORD_REJECTED', 'TIMEOUT'] as const) {
    const ssc = new StreamingContext({ batchInterval: milliseconds(10), log: 'silent', signals: false })
    ssc.queueStream([[1]]).foreachRDD(() => {
      throw new SluiceError({ code, component: 'store', message: `no ${code}; look at it` })
    })
    const ended = expect(untilTheEnd(ssc)).rejects.toMatchObject({ code })
    await ssc.start()
    await ended
  }
  expect(told.mock.calls).toEqual([['[store] no RECORD_REJECTED; look at it']])
})

interface Contracts {
  holds(runner: SuiteRunner, open: () => Promise<SinkTarget<string>>, broken: () => Sink<string>): void
}
const { holds } = await importBlock<Contracts>('docs/contracts.md', 'holds')
describe('docs/contracts.md', () => {
  holds(
    { describe, test },
    async () => {
      const store = new LedgerStore()
      const sink = () => store.sink('records')
      const readBack = async () => store.rows('records').map(({ record }) => record as string)
      return { sink: sink(), reopen: sink, readBack }
    },
    () => ({
      ...new LedgerStore().sink('records'),
      open: () =>
        Promise.reject(
          new SluiceError({ code: 'CONNECTION_FAILED', component: 'ledger', message: 'nobody there; start it' }),
        ),
    }),
  )
})
