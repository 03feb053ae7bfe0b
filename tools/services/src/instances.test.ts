import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Instances } from './instances.js'
import { identify, identifySelf, isAlive, isStopped, type ProcessIdentity } from './process-identity.js'
import type { ServiceModule, StartContext } from './service.js'
import { StateFiles, type InstanceState } from './state.js'

/** A server that writes its start into its folder, and stays. */
const SERVER = `require('fs').writeFileSync('started', String(process.pid)); setInterval(() => {}, 1000)`

/** A service whose server is a Node process; `starts` counts what was launched. */
class TestService implements ServiceModule {
  readonly name = 'test'
  readonly summary = 'a server of tests'
  readonly environmentVariable = 'SLUICE_TEST_SERVICE'
  readonly folders: string[] = []
  /** What each start runs; the last counts for all further ones. */
  scripts = [SERVER]

  get starts(): number {
    return this.folders.length
  }

  fromEnvironment(value: string) {
    return { url: value }
  }

  missing() {
    return Promise.resolve(undefined)
  }

  fetch() {
    return Promise.resolve()
  }

  async start({ folder, logs, launch }: StartContext) {
    const script = this.scripts[Math.min(this.starts, this.scripts.length - 1)] ?? ''
    this.folders.push(folder)
    const server = await launch({
      name: 'server',
      command: process.execPath,
      args: ['--eval', script],
      cwd: folder,
      log: join(logs, 'server.log'),
      probe: () => access(join(folder, 'started')),
    })
    await server.ready()
    return { url: `test://${String(server.pid)}` }
  }
}

describe('instances', () => {
  let folder: string
  let module: TestService
  let self: ProcessIdentity
  const progress: string[] = []
  const children: ChildProcess[] = []

  const open = () => new Instances(folder, (line) => progress.push(line))
  const only = async (): Promise<InstanceState> => {
    const [state, ...others] = await open().list()
    expect(others).toEqual([])
    return state!
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-instances-'))
    module = new TestService()
    self = await identifySelf()
    progress.length = 0
  })

  afterEach(async () => {
    const instances = open()
    await Promise.all((await instances.list()).map(({ id }) => instances.stop(id)))
    for (const path of [folder, ...module.folders.map((data) => dirname(data))]) {
      await rm(path, { recursive: true, force: true })
    }
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })

  /** A process that has nothing to do with any of it. */
  async function bystander(): Promise<ProcessIdentity> {
    const child = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    children.push(child)
    await once(child, 'spawn')
    return (await identify(child.pid ?? 0))!
  }

  /** One that has ended. */
  async function deadProcess(): Promise<ProcessIdentity> {
    const identity = await bystander()
    const child = children.pop()!
    child.kill('SIGKILL')
    await once(child, 'exit')
    return identity
  }

  test('all who ask at once get one server', async () => {
    const values = await Promise.all([open(), open(), open()].map((instances) => instances.share(module, self)))
    expect(module.starts).toBe(1)
    expect(new Set(values.map(({ url }) => url)).size).toBe(1)
    expect(await open().find('test', self)).toEqual(values[0])
  })

  test('nothing is found where nothing runs', async () => {
    expect(await open().find('test', self)).toBeUndefined()
  })

  test('a server whose process has died is not found, and is started anew', async () => {
    await open().share(module, self)
    const [process_] = (await only()).processes
    process.kill(process_!.pid, 'SIGKILL')
    while (await isAlive(process_!)) await new Promise(setImmediate)
    expect(await open().find('test', self)).toBeUndefined()
    await open().share(module, self)
    expect(module.starts).toBe(2)
    expect((await only()).processes[0]!.pid).not.toBe(process_!.pid)
    await expect(access(module.folders[0]!)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a process that has the number of a dead server by now is left alone', async () => {
    const other = await bystander()
    await open().share(module, self)
    const state = await only()
    const { processes, ...rest } = state
    const stale = { ...processes[0]!, pid: other.pid, birth: 'that of the dead one' }
    await open().stop('test')
    await new StateFiles(folder).write({ ...rest, processes: [stale] })
    expect(await open().find('test', self)).toBeUndefined()
    expect(await open().stop('test')).toEqual([])
    expect(await isAlive(other)).toBe(true)
    expect(await open().list()).toEqual([])
  })

  test('what a starter that died has launched is ended, and started anew', async () => {
    await open().share(module, self)
    const { values: _, ...unfinished } = await only()
    await new StateFiles(folder).write(unfinished)
    expect(await open().find('test', self)).toBeUndefined()
    await open().share(module, self)
    expect(module.starts).toBe(2)
    expect(await isAlive(unfinished.processes[0]!)).toBe(false)
  })

  test('stopping ends the process, removes its data and keeps its logs', async () => {
    module.scripts = [`console.log('a line'); ${SERVER}`]
    await open().share(module, 'user')
    const { processes, logs } = await only()
    expect(await open().stop('test')).toEqual([processes[0]!.pid])
    expect(await isAlive(processes[0]!)).toBe(false)
    await expect(access(module.folders[0]!)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await readFile(join(logs, 'server.log'), 'utf8')).toBe('a line\n')
    expect(await open().stop('test')).toEqual([])
  })

  test('a start that fails says why with the end of the log, and leaves nothing behind', async () => {
    module.scripts = [`console.error('no licence'); process.exit(3)`]
    const failed = open().share(module, self)
    await expect(failed).rejects.toMatchObject({
      message: expect.stringMatching(/exit code 3[^]*no licence/) as string,
    })
    expect(await open().list()).toEqual([])
    expect(module.starts).toBe(1)
  })

  test('a program that is no server leaves nothing to be found, and is there all the same', async () => {
    module.start = ({ folder: data }) => {
      module.folders.push(data)
      return Promise.resolve({ url: 'a program' })
    }
    expect(await open().share(module, self)).toEqual({ url: 'a program' })
    expect(await open().list()).toEqual([])
    await expect(access(dirname(module.folders[0]!))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('a command that is not there is named', async () => {
    module.start = async ({ logs, launch }) => {
      const log = join(logs, 'log')
      await launch({ name: 'x', command: 'no-such-command', args: [], log, probe: () => Promise.resolve() })
      return { url: '' }
    }
    await expect(open().share(module, self)).rejects.toThrow("'no-such-command' cannot be started")
  })

  test('a port that was taken meanwhile costs another try, three in all', async () => {
    const taken = `console.error('java.net.BindException: Address already in use'); process.exit(1)`
    module.scripts = [taken, SERVER]
    await open().share(module, self)
    expect(module.starts).toBe(2)
    await open().stop('test')
    module.scripts = [taken]
    await expect(open().share(module, self)).rejects.toThrow('Address already in use')
    expect(module.starts).toBe(5)
  })

  test('a run that ends stops what only it has used', async () => {
    const other = await bystander()
    await open().share(module, self)
    await open().share(module, other)
    await open().release(self)
    expect((await only()).holders).toEqual([other])
    await open().release(other)
    expect(await open().list()).toEqual([])
  })

  test('a run that ends does not stop what the user has started, before it or meanwhile', async () => {
    await open().share(module, 'user')
    await open().share(module, self)
    await open().release(self)
    expect((await only()).kept).toBe(true)
    await open().stop('test')
    await open().share(module, self)
    await open().share(module, 'user')
    await open().release(self)
    expect(await open().find('test', self)).toBeDefined()
  })

  test('what a dead run has left behind is stopped by the next', async () => {
    await open().share(module, await deadProcess())
    const [left] = (await only()).processes
    await open().release()
    expect(await open().list()).toEqual([])
    expect(await isAlive(left!)).toBe(false)
  })

  test('an instance of its own is shared with nobody', async () => {
    const shared = await open().share(module, self)
    const own = await open().startOwn(module, self, {})
    expect(own.values).not.toEqual(shared)
    await own.stop()
    expect(await own.processes[0]!.isRunning()).toBe(false)
    expect((await readdir(folder)).filter((file) => file.includes(String(process.pid)))).toEqual([])
    expect(await open().find('test', self)).toEqual(shared)
  })

  test('killed, restarted, paused and resumed, it is known by its new process', async () => {
    const own = await open().startOwn(module, self, {})
    const [server] = own.processes
    const first = server!.pid
    await server!.kill()
    expect(await server!.isRunning()).toBe(false)
    await server!.restart()
    expect(server!.pid).not.toBe(first)
    expect((await only()).processes[0]!.pid).toBe(server!.pid)
    const identity = (await identify(server!.pid))!
    expect(await isStopped(identity)).toBe(false)
    await server!.pause()
    expect(await isStopped(identity)).toBe(true)
    expect(await server!.isRunning()).toBe(true)
    await server!.resume()
    await server!.terminate()
    expect(await server!.isRunning()).toBe(false)
  })

  test('a paused one is stopped, too', async () => {
    const own = await open().startOwn(module, self, {})
    await own.processes[0]!.pause()
    await own.stop()
    expect(await own.processes[0]!.isRunning()).toBe(false)
  })
})
