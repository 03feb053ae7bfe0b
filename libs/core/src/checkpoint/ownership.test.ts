import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import type { SluiceError } from '../errors.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import type { FileSystem } from '../storage/file-system.js'
import { nodeFileSystem } from '../storage/node-file-system.js'
import { GONE, systemProcesses, UNKNOWN, type ProcessIdentity, type ProcessTable } from '../storage/process-table.js'
import { ManualClock } from '../time/manual-clock.js'
import { inspectOwnership, takeOwnership, type Ownership, type OwnershipOptions } from './ownership.js'

const folder = '/ckpt'
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** A machine whose processes live and die as a test says. */
class Machine {
  readonly #living = new Map<number, string>()
  readonly #host: string
  readonly #bootId: string

  constructor(host = 'here', bootId = 'boot-1') {
    this.#host = host
    this.#bootId = bootId
  }

  /** A process as it sees itself and the others. */
  process(pid: number, startTime = `started ${String(pid)}`, changes: Partial<ProcessIdentity> = {}): ProcessTable {
    this.#living.set(pid, startTime)
    const identity = { host: this.#host, pid, bootId: this.#bootId, pidNamespace: 'pid:[1]', startTime, ...changes }
    return {
      platform: 'linux',
      self: () => Promise.resolve(identity),
      startTimeOf: (other) => Promise.resolve(this.#living.get(other) ?? GONE),
    }
  }

  kill(pid: number): void {
    this.#living.delete(pid)
  }

  hide(pid: number): void {
    this.#living.set(pid, UNKNOWN)
  }
}

const held: Ownership[] = []
afterEach(async () => {
  await Promise.all(held.splice(0).map((ownership) => ownership.release().catch(() => undefined)))
})

async function take(fileSystem: FileSystem, options: Partial<OwnershipOptions> = {}): Promise<Ownership> {
  const defaults = { fileSystem, folder, appName: 'app', clock: new ManualClock(), logger: silent }
  const ownership = await takeOwnership({ ...defaults, ...options })
  held.push(ownership)
  return ownership
}

/** The same disk without rename, as an object store. */
function withoutRename(disk: FileSystem): FileSystem {
  return new Proxy(disk, {
    get: (target, key) => {
      if (key === 'supports') return { append: false, rename: false, link: false }
      const value = Reflect.get(target, key) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

const disks = [
  { kind: 'a disk', make: () => memoryFileSystem() },
  { kind: 'an object store', make: () => withoutRename(memoryFileSystem()) },
]

test.each(disks)('E7: on $kind a released folder is given to the next owner, with the same app', async ({ make }) => {
  const disk = make()
  const machine = new Machine()
  const first = await take(disk, { processes: machine.process(1) })
  expect(first).toMatchObject({ epoch: 1, previous: undefined })
  await first.confirm()
  await first.release()
  await first.release()
  const second = await take(disk, { processes: machine.process(2) })
  expect(second).toMatchObject({ epoch: 2, app: first.app, previous: { epoch: 1, state: 'released' } })
  await second.confirm()
})

test.each(disks)('E7: on $kind it is refused while its owner lives, by name', async ({ make }) => {
  const disk = make()
  const machine = new Machine()
  const first = await take(disk, { processes: machine.process(11) })
  await expect(take(disk, { processes: machine.process(12) })).rejects.toMatchObject({
    code: 'CHECKPOINT_OWNED',
    message: expect.stringMatching(/process 11 on here.*takeOver: true/),
  })
  await first.confirm()
})

test.each(disks)('E7: on $kind takeOver replaces a living owner, whose confirm rejects', async ({ make }) => {
  const disk = make()
  const machine = new Machine()
  const first = await take(disk, { processes: machine.process(1) })
  const second = await take(disk, { processes: machine.process(2), takeOver: true })
  expect(second.previous).toMatchObject({ epoch: 1, state: 'alive', identity: { pid: 1, host: 'here' } })
  await expect(first.confirm()).rejects.toMatchObject({ code: 'FENCED' })
  await second.confirm()
  // What a fenced owner releases is not the new owner's.
  await first.release()
  await expect(take(disk, { processes: machine.process(3) })).rejects.toMatchObject({ code: 'CHECKPOINT_OWNED' })
})

test('E8: who takes over knows all that were replaced and still live, until they end', async () => {
  const disk = memoryFileSystem()
  const machine = new Machine()
  expect((await take(disk, { processes: machine.process(1) })).replaced).toEqual([])
  const second = await take(disk, { processes: machine.process(2), takeOver: true })
  expect(second.replaced).toMatchObject([{ pid: 1 }])
  // It died before it had ended the first.
  machine.kill(2)
  const third = await take(disk, { processes: machine.process(3) })
  expect(third.replaced).toMatchObject([{ pid: 1 }])
  const fourth = await take(disk, { processes: machine.process(4), takeOver: true })
  expect(fourth.replaced).toMatchObject([{ pid: 1 }, { pid: 3 }])
  machine.kill(1)
  machine.kill(4)
  expect((await take(disk, { processes: machine.process(5) })).replaced).toMatchObject([{ pid: 3 }])
})

test('E8: a process that takes over from itself, or after a release, has nobody to end', async () => {
  const disk = memoryFileSystem()
  const processes = new Machine().process(1)
  await take(disk, { processes })
  const second = await take(disk, { processes, takeOver: true })
  expect(second).toMatchObject({ previous: { state: 'alive' }, replaced: [] })
  await second.release()
  expect((await take(disk, { processes })).replaced).toEqual([])
})

test('E7: an owner that is dead, or whose number another process has, is replaced at once', async () => {
  const disk = memoryFileSystem()
  const machine = new Machine()
  await take(disk, { processes: machine.process(1) })
  machine.kill(1)
  expect((await take(disk, { processes: machine.process(2) })).previous).toMatchObject({ state: 'dead' })
  machine.process(2, 'later')
  expect((await take(disk, { processes: machine.process(3) })).previous).toMatchObject({ epoch: 2, state: 'dead' })
})

test.each<[string, (machine: Machine) => ProcessTable]>([
  ['another host', () => new Machine('there').process(2)],
  ['another boot', () => new Machine('here', 'boot-2').process(2)],
  ['another PID namespace', (machine) => machine.process(2, 'x', { pidNamespace: 'pid:[2]' })],
  [
    'the same host, where it cannot be seen',
    (machine) => {
      machine.hide(1)
      return machine.process(2)
    },
  ],
])('E7: seen from %s an owner is replaced only when its lease ran out', async (_from, processesOf) => {
  const disk = memoryFileSystem()
  const machine = new Machine()
  const ownClock = new ManualClock()
  const first = await take(disk, { processes: machine.process(1), clock: ownClock, leaseMs: 9_000 })
  const processes = processesOf(machine)

  // It renews at a third of its lease: the watcher sees it.
  const clock = new ManualClock()
  const refused = expect(take(disk, { processes, clock })).rejects.toMatchObject({ code: 'CHECKPOINT_OWNED' })
  await clock.advance(3_000)
  await ownClock.advance(3_000)
  await clock.advance(3_000)
  await refused

  // Now it hangs. The watcher's own lease, of 30 s, does not matter.
  let taken: Ownership | undefined
  const taking = take(disk, { processes, clock }).then((ownership) => (taken = ownership))
  await clock.advance(8_999)
  expect(taken).toBeUndefined()
  await clock.advance(1)
  expect((await taking).previous).toMatchObject({ epoch: 1, state: 'lease ran out' })
  await expect(first.confirm()).rejects.toMatchObject({ code: 'FENCED' })
})

test('E7: a watcher takes over as soon as the owner has released', async () => {
  const disk = memoryFileSystem()
  const first = await take(disk, { processes: new Machine().process(1) })
  const clock = new ManualClock()
  const taking = take(disk, { processes: new Machine('there').process(1), clock })
  await clock.settle()
  await first.release()
  await clock.advance(3_000)
  expect((await taking).previous).toMatchObject({ state: 'released' })
})

test.each(disks)('E7: of many who start at once on $kind exactly one owns the folder', async ({ make }) => {
  const disk = make()
  const machine = new Machine()
  const crashed = await take(disk, { processes: machine.process(100) })
  machine.kill(100)
  const starters = Array.from({ length: 8 }, (_, pid) => take(disk, { processes: machine.process(pid) }))
  const results = await Promise.allSettled(starters)
  const owners = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  expect(owners.map(({ epoch }) => epoch)).toEqual([2])
  for (const result of results)
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'CHECKPOINT_OWNED' })
  await owners[0]!.confirm()
  await expect(crashed.confirm()).rejects.toMatchObject({ code: 'FENCED' })
})

test('E7: on a disk the logs move to a folder of the new epoch, and the old paths are gone', async () => {
  const disk = memoryFileSystem()
  const machine = new Machine()
  const first = await take(disk, { processes: machine.process(1) })
  await disk.create(`${first.folder}/log`, Buffer.from('entries'))
  const second = await take(disk, { processes: machine.process(2), takeOver: true })
  expect(second.folder).not.toBe(first.folder)
  expect(Buffer.from(await disk.read(`${second.folder}/log`)).toString()).toBe('entries')
  await expect(disk.openAppend(`${first.folder}/log-2`)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
})

test('E7: an owner that died between its epoch and the rename leaves the logs to the next one', async () => {
  const disk = memoryFileSystem()
  const machine = new Machine()
  const first = await take(disk, { processes: machine.process(1) })
  await disk.create(`${first.folder}/log`, Buffer.from('entries'))
  machine.kill(1)
  const dying = new Proxy(disk, {
    get: (target, key) => {
      if (key === 'rename') return () => Promise.reject(new Error('killed'))
      const value = Reflect.get(target, key) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  await expect(take(dying, { processes: machine.process(2) })).rejects.toThrow('killed')
  machine.kill(2)
  const third = await take(disk, { processes: machine.process(3) })
  expect(third.epoch).toBe(3)
  expect(Buffer.from(await disk.read(`${third.folder}/log`)).toString()).toBe('entries')
})

test('E7: an owner that is replaced before it has found the logs is told', async () => {
  const disk = memoryFileSystem()
  const machine = new Machine()
  let overtaken: Ownership | undefined
  const slow = new Proxy(disk, {
    get: (target, key) => {
      if (key === 'makeDirectory')
        return async (path: string) => {
          // It was paused after it had looked for logs and found none.
          if (path.includes('data-')) overtaken = await take(disk, { processes: machine.process(2), takeOver: true })
          await target.makeDirectory(path)
        }
      const value = Reflect.get(target, key) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  await expect(take(slow, { processes: machine.process(1) })).rejects.toMatchObject({ code: 'FENCED' })
  await overtaken!.confirm()
  await disk.create(`${overtaken!.folder}/log`, Buffer.from('entries'))
  const third = await take(disk, { processes: machine.process(3), takeOver: true })
  expect(Buffer.from(await disk.read(`${third.folder}/log`)).toString()).toBe('entries')
})

test('E7: an epoch whose answer was lost is recognised by its nonce', async () => {
  const disk = memoryFileSystem()
  const lossy = new Proxy(disk, {
    get: (target, key) => {
      if (key === 'create')
        return async (path: string, data: Uint8Array) => {
          await target.create(path, data)
          if (path.endsWith('1.json')) throw new Error('timed out')
        }
      const value = Reflect.get(target, key) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  const first = await take(lossy, { processes: new Machine().process(1) })
  expect(first.epoch).toBe(1)
  await first.confirm()
})

test('a checkpoint on Windows is refused by name', async () => {
  const processes = { ...new Machine().process(1), platform: 'win32' }
  await expect(take(memoryFileSystem(), { processes })).rejects.toMatchObject({
    code: 'CHECKPOINT_UNAVAILABLE',
    message: expect.stringMatching(/Windows/),
  })
})

test('a checkpoint of another format is refused, a damaged one is named', async () => {
  const disk = memoryFileSystem()
  await disk.makeDirectory(folder)
  await disk.create(`${folder}/app.json`, Buffer.from('{"format":"sluice-checkpoint/9"}'))
  await expect(take(disk)).rejects.toMatchObject({ code: 'CONTRACT_VERSION' })
  await disk.remove(`${folder}/app.json`)
  await disk.create(`${folder}/app.json`, Buffer.from('{'))
  await expect(take(disk)).rejects.toMatchObject({
    code: 'DATA_CORRUPT',
    message: expect.stringMatching(/app\.json/),
  })
})

test.each(['app.json', 'epochs/0000000001.json'])(
  'E1: a bit that flips in %s makes no other application and no other owner',
  async (file) => {
    const disk = memoryFileSystem()
    await take(disk)
    const before = await inspectOwnership(disk, folder)
    const path = `${folder}/${file}`
    const bytes = await disk.read(path)
    for (let bit = 0; bit < 8 * bytes.byteLength; bit++) {
      const flipped = Uint8Array.from(bytes)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      await disk.remove(path)
      await disk.create(path, flipped)
      const found = await inspectOwnership(disk, folder).then(
        (report) => report,
        (error: SluiceError) => error.code,
      )
      if (typeof found === 'string') expect(['DATA_CORRUPT', 'CONTRACT_VERSION']).toContain(found)
      else expect(found).toEqual(before)
    }
  },
)

/** A process that only lives. */
async function livingChild(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child, 'spawn')
  return child
}

/** This machine as another process of it sees itself. */
function asProcess(pid: number): ProcessTable {
  const system = systemProcesses()
  const self = async (): Promise<ProcessIdentity> => {
    const startTime = await system.startTimeOf(pid)
    return { ...(await system.self()), pid, startTime }
  }
  return { ...system, self }
}

test('E7: a real process owns its folder while it lives, stopped or not, and no longer', async () => {
  const root = await mkdtemp(join(tmpdir(), 'sluice-owner-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  const disk = nodeFileSystem()
  const child = await livingChild()
  await take(disk, { folder: root, processes: asProcess(child.pid!) })
  await expect(take(disk, { folder: root })).rejects.toMatchObject({ code: 'CHECKPOINT_OWNED' })
  child.kill('SIGSTOP')
  await expect(take(disk, { folder: root })).rejects.toMatchObject({ code: 'CHECKPOINT_OWNED' })
  child.kill('SIGKILL')
  await once(child, 'exit')
  const next = await take(disk, { folder: root })
  expect(next).toMatchObject({ epoch: 2, previous: { state: 'dead', identity: { pid: child.pid } } })
  await next.confirm()
})
