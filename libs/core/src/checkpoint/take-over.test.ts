/** Ownership and log together, as real processes that are killed, stopped and woken; they run the build of core. */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { expect, onTestFinished, test } from 'vitest'
import { nodeFileSystem } from '../storage/node-file-system.js'
import { systemClock } from '../time/system-clock.js'
import type { EntryLog } from './entry-log.js'
import { openSegmentLog } from './segment-log.js'
import { takeOwnership, type Ownership } from './ownership.js'

const DIST = new URL('../../dist/', import.meta.url).href
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** Does what it is told, line by line, and answers with `ok`, or the code or message of the error. */
const OWNER = `
import { createInterface } from 'node:readline'
const { nodeFileSystem, systemClock } = await import('${DIST}index.js')
const { takeOwnership } = await import('${DIST}checkpoint/ownership.js')
const { openSegmentLog } = await import('${DIST}checkpoint/segment-log.js')
const logger = { debug() {}, info() {}, warn() {}, error() {} }
const fileSystem = nodeFileSystem()
const owner = await takeOwnership({ fileSystem, folder: process.argv[1], appName: 'app', clock: systemClock, logger })
const options = { fileSystem, folder: owner.folder + '/log', epoch: owner.epoch, logger, segmentBytes: 300 }
const log = await openSegmentLog(options, () => undefined)
const commands = {
  append: (text) => log.append(1, Buffer.from(text)),
  async commit(text) { await log.append(1, Buffer.from(text)); await owner.confirm() },
  trim: () => log.trim(log.nextSequence),
  confirm: () => owner.confirm(),
}
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const [command, text] = line.split(' ')
  try { await commands[command](text); console.log('ok') } catch (error) { console.log(error.code ?? error.message) }
}
`

interface Child {
  readonly process: ChildProcessByStdio<Writable, Readable, null>
  ask(command: string): Promise<string>
  /** Gives the command now; the answer comes when the process can. */
  tell(command: string): void
  answer(): Promise<string>
}

async function ownerProcess(folder: string): Promise<Child> {
  const args = ['--input-type=module', '-e', OWNER, folder]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error('the process has ended')
    return value
  }
  const tell = (command: string): void => void child.stdin.write(`${command}\n`)
  expect(await answer()).toBe('ready')
  const ask = (command: string): Promise<string> => {
    tell(command)
    return answer()
  }
  return { process: child, ask, tell, answer }
}

async function temporaryFolder(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'sluice-take-over-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  return join(root, 'checkpoint')
}

interface Here {
  readonly owner: Ownership
  readonly log: EntryLog
  readonly texts: readonly string[]
}

async function takeHere(folder: string, takeOver = false): Promise<Here> {
  const fileSystem = nodeFileSystem()
  const owner = await takeOwnership({
    fileSystem,
    folder,
    appName: 'app',
    clock: systemClock,
    logger: silent,
    takeOver,
  })
  const texts: string[] = []
  const options = { fileSystem, folder: `${owner.folder}/log`, epoch: owner.epoch, logger: silent }
  const log = await openSegmentLog(options, ({ payload }) => void texts.push(Buffer.from(payload).toString()))
  onTestFinished(async () => {
    await log.close()
    await owner.release()
  })
  return { owner, log, texts }
}

test('E7: a process that was killed is replaced at once, and what it had acknowledged is there', async () => {
  const folder = await temporaryFolder()
  const child = await ownerProcess(folder)
  expect(await child.ask('commit a')).toBe('ok')
  expect(await child.ask('commit b')).toBe('ok')
  child.process.kill('SIGKILL')
  await once(child.process, 'exit')
  const { owner, texts } = await takeHere(folder)
  expect(owner.previous).toMatchObject({ state: 'dead', identity: { pid: child.process.pid } })
  expect(texts).toEqual(['a', 'b'])
})

test('E7: a process that is stopped and woken after a take-over can neither commit nor trim', async () => {
  const folder = await temporaryFolder()
  const child = await ownerProcess(folder)
  expect(await child.ask('commit a')).toBe('ok')
  child.process.kill('SIGSTOP')
  const next = await takeHere(folder, true)
  expect(next.owner.previous).toMatchObject({ state: 'alive', identity: { pid: child.process.pid } })
  expect(next.texts).toEqual(['a'])
  await next.log.append(1, Buffer.from('b'))

  child.process.kill('SIGCONT')
  // Its file is still open: the first write may succeed, but it is never confirmed and never read.
  expect(await child.ask('commit late')).toBe('FENCED')
  for (let i = 0; i < 3; i++) await child.ask(`append ${'x'.repeat(200)}`)
  // By now it wanted a new segment, for which there is no folder any more.
  expect(await child.ask('append more')).toBe('FILE_NOT_FOUND')
  expect(await child.ask('trim')).toBe('FILE_NOT_FOUND')
  expect(await child.ask('confirm')).toBe('FENCED')

  await next.owner.confirm()
  await next.log.append(1, Buffer.from('c'))
  expect((await takeHere(folder, true)).texts).toEqual(['a', 'b', 'c'])
})

test('E7: a process that is stopped before it trims removes nothing of the next owner', async () => {
  const folder = await temporaryFolder()
  const child = await ownerProcess(folder)
  for (let i = 0; i < 6; i++) expect(await child.ask(`commit ${'a'.repeat(100)}${String(i)}`)).toBe('ok')
  child.process.kill('SIGSTOP')
  const next = await takeHere(folder, true)
  expect(next.texts).toHaveLength(6)
  child.tell('trim')
  child.process.kill('SIGCONT')
  await child.answer()
  expect((await takeHere(folder, true)).texts).toHaveLength(6)
})
