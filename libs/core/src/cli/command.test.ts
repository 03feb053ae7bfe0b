/** The command as a process of its own, on folders that real applications have left: tried on the build of core. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

const CORE = new URL('../../dist/index.js', import.meta.url).href
const COMMAND = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const DEADLINE_MS = 120_000

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function sluiceCheckpoint(...args: readonly string[]): Promise<Result> {
  return new Promise((resolve) => {
    execFile(process.execPath, [COMMAND, ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
    })
  })
}

async function json(...args: readonly string[]): Promise<Record<string, unknown>> {
  return JSON.parse((await sluiceCheckpoint(...args, '--json')).stdout) as Record<string, unknown>
}

interface App {
  readonly child: ChildProcess
  /** Resolves when stdout holds `text`. */
  shows(text: string): Promise<void>
  kill(): Promise<void>
  ended(): Promise<string>
}

const children: ChildProcess[] = []
let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-checkpoint-'))
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(() => rm(root, { recursive: true, force: true }))

/**
 * Words of files, counted with state; a batch with the word `wait` does not end. The window over a queue, which cannot be read
 * again, keeps its slices in the log of records.
 */
const PROGRAM = `
import { milliseconds, StreamingContext } from '${CORE}'
const ssc = new StreamingContext({ appName: 'words', batchInterval: milliseconds(100), checkpoint: 'ckpt', log: 'silent' })
const words = ssc.textFileStream('in', { name: 'files' })
words.saveAsTextFiles('out/words')
words
  .map((word) => [word, 1])
  .updateStateByKey((values, sum) => values.length + (sum ?? 0), {
    partitions: 2,
    version: Number(process.env.STATE_VERSION ?? 0),
    migrate: (value) => value,
  })
  .foreachRDD(async (rdd) => {
    const counts = await rdd.collect()
    const isWaiting = counts.some(([word]) => word === 'wait')
    console.log(isWaiting ? 'waiting' : counts.map(([word, n]) => word + n).sort().join(' '))
    if (isWaiting) await new Promise(() => undefined)
  }, { name: 'counts' })
ssc.queueStream([['q']], { name: 'queue' }).window(milliseconds(300)).foreachRDD(() => undefined, { name: 'window' })
let completed = 0
ssc.addListener({
  onBatchSubmitted: ({ inputs }) => console.log('planned ' + inputs[0].description),
  onBatchCompleted: () => console.log('completed ' + ++completed),
})
await ssc.start()
console.log('started')
await ssc.awaitTermination().catch((error) => console.log(error.code))
process.exit()
`

function launch(folder: string, stateVersion = 0): App {
  const args = ['--input-type=module', '-e', PROGRAM]
  const env = { ...process.env, STATE_VERSION: String(stateVersion) }
  const child = spawn(process.execPath, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  const closed = once(child, 'close')
  return {
    child,
    shows: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (text.includes(wanted)) resolve()
        }
        child.stdout.on('data', look)
        child.on('close', () => {
          reject(new Error(`ended before it showed '${wanted}':\n${text}`))
        })
        look()
      }),
    async kill() {
      child.kill('SIGKILL')
      await closed
    },
    async ended() {
      await closed
      return text
    },
  }
}

async function folderFor(name: string): Promise<string> {
  const folder = join(root, name)
  await mkdir(join(folder, 'in'), { recursive: true })
  return folder
}

async function put(folder: string, name: string, words: readonly string[]): Promise<void> {
  await writeFile(join(folder, name), `${words.join('\n')}\n`)
  await rename(join(folder, name), join(folder, 'in', name))
}

/** Every file below a folder: name, size, time. */
async function filesBelow(folder: string): Promise<string[]> {
  const names = (await readdir(folder, { recursive: true })).sort()
  const stats = await Promise.all(names.map((name) => stat(join(folder, name))))
  return names.map((name, i) => `${name} ${String(stats[i]?.size)} ${String(stats[i]?.mtimeMs)}`)
}

/** A checkpoint with two keys, and planned batches of which one has begun: its process was killed. */
async function killed(name: string): Promise<string> {
  const folder = await folderFor(name)
  const app = launch(folder)
  // Only what comes behind an entry tells that it was durable.
  await app.shows('completed 3')
  await put(folder, 'one', ['a', 'b', 'a'])
  await app.shows('a2 b1')
  await put(folder, 'two', ['wait'])
  await app.shows('waiting')
  await put(folder, 'three', ['c'])
  await app.shows('planned in/three')
  await app.kill()
  return folder
}

interface Inspected {
  readonly owner: { readonly state: string; readonly pid: number }
  readonly lastPlanned: number
  readonly lastCommitted: number
  readonly batches: readonly {
    readonly time: number
    readonly isStarted: boolean
    readonly inputs: readonly { readonly plan: { readonly files: readonly { readonly path: string }[] } }[]
    readonly outputs: readonly { readonly id: string; readonly isDone: boolean }[]
  }[]
}

test(
  'inspect shows what a process that was killed has left, and changes nothing',
  async () => {
    const folder = await killed('inspect')
    const before = await filesBelow(folder)
    const report = await json('inspect', join(folder, 'ckpt'))
    const { owner, batches, lastPlanned, lastCommitted } = report as unknown as Inspected
    expect(report).toMatchObject({
      appName: 'words',
      batchIntervalMs: 100,
      inputs: ['files', 'queue'],
      states: [{ kind: 'updateStateByKey', version: 0, partitions: 2, keys: 2, snapshotBytes: 0 }],
      damage: [],
    })
    expect(owner.state).toBe('dead')
    expect(lastCommitted).toBeLessThan(lastPlanned)
    expect(report['oldestPlanKept']).toBeLessThanOrEqual(lastCommitted)
    expect(batches[0]?.isStarted).toBe(true)
    expect(batches[0]?.inputs[0]).toMatchObject({ id: 'files', plan: { files: [{ path: 'in/two' }] } })
    expect(batches.at(-1)).toMatchObject({ time: lastPlanned, isStarted: false, outputs: [] })
    const text = await sluiceCheckpoint('inspect', join(folder, 'ckpt'))
    expect(text.code).toBe(0)
    expect(text.stdout).toMatch(/^application words \([0-9a-f-]{36}\)$/m)
    expect(text.stdout).toMatch(/^ {2}updateStateByKey-0 \(updateStateByKey, version 0\): 2 keys in 2 partitions/m)
    expect(text.stdout).toMatch(/^ {4}output saveAsTextFiles.*: 1 partitions, (not )?done$/m)
    expect(await sluiceCheckpoint('verify', join(folder, 'ckpt'))).toMatchObject({ code: 0 })
    expect(await filesBelow(folder)).toEqual(before)
  },
  DEADLINE_MS,
)

test(
  'E7: inspect and verify look at an application that runs; amend is refused while it lives',
  async () => {
    const folder = await folderFor('running')
    const app = launch(folder)
    await app.shows('started')
    for (let i = 0; i < 5; i++) {
      const report = (await json('inspect', join(folder, 'ckpt'))) as unknown as Inspected
      expect(report.owner).toMatchObject({ state: 'alive', pid: app.child.pid })
      expect(await json('verify', join(folder, 'ckpt'))).toMatchObject({ isSound: true })
    }
    const refused = await sluiceCheckpoint('amend', join(folder, 'ckpt'), '--batch', '0', '--drop', 'files')
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain(`is owned by process ${String(app.child.pid)}`)
    await put(folder, 'one', ['a'])
    await app.shows('a1')
    app.child.kill('SIGTERM')
    await app.ended()
    expect(await json('inspect', join(folder, 'ckpt'))).toMatchObject({ owner: { state: 'released' }, batches: [] })
  },
  DEADLINE_MS,
)

/** The only file of a folder whose name matches. */
async function fileOf(folder: string, pattern: RegExp): Promise<string> {
  const names = await readdir(folder, { recursive: true })
  const found = names.filter((name) => pattern.test(name))
  expect(found).toHaveLength(1)
  return join(folder, found[0]!)
}

async function flip(file: string, at: number): Promise<void> {
  const bytes = await readFile(file)
  bytes[at]! ^= 0x40
  await writeFile(file, bytes)
}

interface Verified {
  readonly isSound: boolean
  readonly logs: { readonly batches: { readonly tornBytes: number }; readonly records: { readonly entries: number } }
  readonly damage: readonly { readonly file: string; readonly offset: number; readonly reason: string }[]
}

/** Like {@link killed}, and killed once more. Where the state has another version then, a snapshot stands for the first log. */
async function killedTwice(name: string, stateVersion: number): Promise<string> {
  const folder = await killed(name)
  const app = launch(folder, stateVersion)
  await app.shows('waiting')
  await app.kill()
  return join(folder, 'ckpt')
}

const FIRST = /batches.*0001[.]log$/
const RECORDS = /records.*0001[.]log$/
const PART = /snapshots.*[.]part$/
const BASE = /snapshots.*[.]base$/

test(
  'E17: verify names file and place of damage in each region',
  async () => {
    const once = join(await killed('once'), 'ckpt')
    const twice = await killedTwice('twice', 0)
    const saved = await killedTwice('saved', 1)
    for (const folder of [once, twice, saved]) {
      expect(await json('verify', folder)).toMatchObject({ isSound: true, damage: [] })
    }
    const { states } = (await json('inspect', saved)) as { states: [{ snapshotBytes: number; version: number }] }
    expect(states[0]).toMatchObject({
      version: 1,
      keys: 2,
      snapshotBytes: (await stat(await fileOf(saved, PART))).size,
    })
    const headerOf = async (file: string): Promise<number> => 40 + (await readFile(file)).readUInt32LE(12)
    const inBatches = await headerOf(await fileOf(twice, FIRST))
    const inRecords = await headerOf(await fileOf(once, RECORDS))
    const cases: readonly (readonly [string, string, RegExp, number, (file: string) => Promise<unknown>])[] = [
      ['the header of the records', once, RECORDS, 0, (file) => flip(file, 45)],
      ['the first frame of the records', once, RECORDS, inRecords, (file) => flip(file, inRecords + 50)],
      ["a segment's header", twice, FIRST, 0, (file) => flip(file, 45)],
      ['the first frame of a segment', twice, FIRST, inBatches, (file) => flip(file, inBatches + 50)],
      ['a segment that another one follows is cut', twice, FIRST, inBatches, (file) => truncate(file, inBatches + 20)],
      ['a part of the snapshot', saved, PART, 0, (file) => flip(file, 12)],
      ['a part that is gone', saved, PART, 0, (file) => rm(file)],
      ['a part that is empty', saved, PART, 0, (file) => truncate(file, 0)],
      ['the base of the snapshot', saved, BASE, 0, (file) => flip(file, 12)],
      ['a base that is cut', saved, BASE, 0, (file) => truncate(file, 20)],
      ['a base that is gone', saved, BASE, 0, (file) => rm(file)],
      ['a base that is empty', saved, BASE, 0, (file) => truncate(file, 0)],
    ]
    for (const [name, sound, pattern, offset, damage] of cases) {
      const copy = join(root, name.replaceAll(/\W/g, '-'))
      await cp(sound, copy, { recursive: true })
      await damage(await fileOf(copy, pattern))
      const { code, stdout } = await sluiceCheckpoint('verify', copy, '--json')
      const report = JSON.parse(stdout) as Verified
      expect({ code, isSound: report.isSound }, name).toEqual({ code: 1, isSound: false })
      // Without its base a snapshot is none: that it is missing is seen in the log.
      const where = name === 'a base that is gone' ? /batches$/ : pattern
      expect(report.damage[0], name).toMatchObject({ file: expect.stringMatching(where), offset })
      const text = await sluiceCheckpoint('verify', copy)
      expect(text.stdout, name).toMatch(/^DAMAGED .* at byte \d+: .*$/m)
    }
  },
  DEADLINE_MS,
)

test(
  'E17: verify tells how much of a torn tail there is, which is no damage',
  async () => {
    const folder = join(await killed('torn'), 'ckpt')
    const file = await fileOf(folder, /batches.*[.]log$/)
    const before = (await json('verify', folder)) as unknown as Verified
    // Nothing was under way when the process was killed.
    await truncate(file, (await stat(file)).size - 1)
    const { isSound, logs } = (await json('verify', folder)) as unknown as Verified
    expect(isSound).toBe(true)
    expect(logs.batches.tornBytes).toBeGreaterThan(before.logs.batches.tornBytes)
    const { code, stdout } = await sluiceCheckpoint('verify', folder)
    expect(code).toBe(0)
    expect(stdout).toContain(`torn tail of ${String(logs.batches.tornBytes)} bytes`)
  },
  DEADLINE_MS,
)

test(
  'E15: a file that is removed after its batch was planned: the restart fails by name, amend lets it go on, nothing is doubled',
  async () => {
    const folder = await killed('amend')
    await rm(join(folder, 'in/three'))
    // What waited no longer waits: the batch of its file cannot run again, either.
    await rm(join(folder, 'in/two'))
    expect(await launch(folder).ended()).toContain('FILE_CHANGED')
    const { batches } = (await json('inspect', join(folder, 'ckpt'))) as unknown as Inspected
    const lost = batches.filter(({ inputs }) => (inputs[0]?.plan.files.length ?? 0) > 0)
    expect(lost).toHaveLength(2)
    for (const { time } of lost) {
      const amended = await sluiceCheckpoint('amend', join(folder, 'ckpt'), '--batch', String(time), '--drop', 'files')
      expect(amended).toMatchObject({ code: 0, stderr: '' })
      expect(amended.stdout).toMatch(/^application .*, plan digest [0-9a-f]{32}: a ledger entry with both/m)
    }
    const app = launch(folder)
    await app.shows('started')
    await put(folder, 'four', ['d', 'a'])
    await app.shows('a3 b1 d1')
    app.child.kill('SIGTERM')
    await app.ended()
    const parts = (await readdir(join(folder, 'out'), { recursive: true })).filter((name) => /part-\d+$/.test(name))
    const texts = await Promise.all(parts.map((name) => readFile(join(folder, 'out', name), 'utf8')))
    const words = texts.join('').trim().split('\n').sort()
    // `wait` was written, under the same digest, when its process was killed: the files have it, and once; the state lacks it.
    expect(words).toEqual(['a', 'a', 'a', 'b', 'd', 'wait'])
  },
  DEADLINE_MS,
)

test('wrong arguments are told with the usage, and end with 2; so does a folder without checkpoint', async () => {
  const wrong: readonly (readonly [RegExp, readonly string[]])[] = [
    [/a command is missing/, []],
    [/there is no command look/, ['look', root]],
    [/inspect takes one folder/, ['inspect']],
    [/verify takes one folder/, ['verify', root, root]],
    [/only folders of a local disk/, ['inspect', 's3://bucket/ckpt']],
    [/--batch and --drop belong to amend/, ['verify', root, '--drop', 'x']],
    [/amend needs --batch TIME/, ['amend', root, '--drop', 'x']],
    [/amend needs --batch TIME/, ['amend', root, '--batch', 'noon', '--drop', 'x']],
    [/amend needs --drop INPUT/, ['amend', root, '--batch', '1']],
    [/Unknown option '--force'/, ['inspect', root, '--force']],
  ]
  for (const [reason, args] of wrong) {
    const { code, stdout, stderr } = await sluiceCheckpoint(...args)
    expect({ code, stdout }, args.join(' ')).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(reason)
    expect(stderr).toContain('usage: sluice-checkpoint inspect DIR')
  }
  for (const command of ['inspect', 'verify']) {
    const { code, stderr } = await sluiceCheckpoint(command, root)
    expect(code).toBe(2)
    expect(stderr).toContain(`there is no checkpoint in ${root}`)
  }
  const help = await sluiceCheckpoint('--help')
  expect(help).toMatchObject({ code: 0, stderr: '' })
  expect(help.stdout).toContain('exit code: 0 all is well')
})
