/** The life of instances: started once for all who ask, held by those who use them, stopped when nobody does. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, ServiceError } from './errors.js'
import { cacheFolder, instanceFolder, stateFolder } from './folders.js'
import { removeLock, withLock } from './lock.js'
import { sendSignal, type ProcessIdentity } from './process-identity.js'
import { LaunchedProcess, waitUntilGone, type Launch, type ServerProcess } from './server-process.js'
import type { Progress, ServiceModule, ServiceValues } from './service.js'
import { isUsable, livingOf, StateFiles, type InstanceState } from './state.js'

/** Who wants a service: the user, who stops it by hand, or a test run. */
export type Holder = 'user' | ProcessIdentity

const STARTS = 3
const PORT_TAKEN = /address already in use|EADDRINUSE|BindException/i

/** The instances of one checkout. */
export class Instances {
  readonly #files: StateFiles
  readonly #progress: Progress
  #ownCount = 0

  constructor(folder: string, progress: Progress) {
    this.#files = new StateFiles(folder)
    this.#progress = progress
  }

  static async ofCheckout(progress: Progress): Promise<Instances> {
    return new Instances(await stateFolder(), progress)
  }

  list(): Promise<InstanceState[]> {
    return this.#files.list()
  }

  /** The values of the shared instance where one runs; undefined where none does. */
  async find(name: string, holder: Holder): Promise<ServiceValues | undefined> {
    const state = await this.#files.read(name)
    if (state === undefined || !(await isUsable(state))) return undefined
    return this.#locked(name, () => this.#hold(name, holder))
  }

  /** The values of the shared instance, which is started where none runs. All who ask meanwhile wait for that one start. */
  share(module: ServiceModule, holder: Holder): Promise<ServiceValues> {
    return this.#locked(module.name, async () => {
      const found = await this.#hold(module.name, holder)
      if (found !== undefined) return found
      const { values } = await this.#start(module, module.name, holder, {})
      return values
    })
  }

  /** A new instance that nobody else gets. */
  async startOwn(module: ServiceModule, holder: ProcessIdentity, options: object): Promise<OwnInstance> {
    this.#ownCount += 1
    const id = `${module.name}-${String(process.pid)}-${String(this.#ownCount)}`
    return this.#start(module, id, holder, options)
  }

  /** Stops an instance, whoever uses it. Gives the ids of the processes that ran; its logs stay. */
  stop(id: string): Promise<number[]> {
    return this.#locked(id, async () => {
      const state = await this.#files.read(id)
      return state === undefined ? [] : this.#end(state)
    })
  }

  /** Takes a test run off all instances, and those that have died; what nobody holds any more is stopped. */
  async release(holder?: ProcessIdentity): Promise<void> {
    await Promise.all((await this.list()).map((state) => this.#releaseOne(state, holder)))
  }

  async #releaseOne(seen: InstanceState, holder: ProcessIdentity | undefined): Promise<void> {
    // Most have nothing to be done, and are not locked for it: one that is being started is locked for long.
    if ((await othersOf(seen, holder)).length === seen.holders.length && seen.holders.length > 0) return
    await this.#locked(seen.id, async () => {
      const state = await this.#files.read(seen.id)
      if (state === undefined) return
      const holders = await othersOf(state, holder)
      const isInUse = holders.length > 0 || (state.kept && (await isUsable(state)))
      if (!isInUse) await this.#end(state)
      else await this.#files.write({ ...state, holders })
    })
  }

  /** The values of an instance that can be used, now also held by `holder`. One that cannot be used is cleared away. */
  async #hold(name: string, holder: Holder): Promise<ServiceValues | undefined> {
    const state = await this.#files.read(name)
    if (state === undefined) return undefined
    if (!(await isUsable(state))) {
      await this.#end(state)
      return undefined
    }
    await this.#files.write({ ...state, ...heldBy(holder, state) })
    return state.values
  }

  async #start(module: ServiceModule, id: string, holder: Holder, options: object): Promise<OwnInstance> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#startOnce(module, id, holder, options)
      } catch (error) {
        if (tries === STARTS || !PORT_TAKEN.test(messageOf(error))) throw error
        this.#progress(`${module.name}: a port was taken meanwhile; once more`)
      }
    }
  }

  async #startOnce(module: ServiceModule, id: string, holder: Holder, options: object): Promise<OwnInstance> {
    const top = await instanceFolder(module.name)
    const folder = join(top, 'data')
    const logs = join(top, 'logs')
    await Promise.all([mkdir(folder), mkdir(logs)])
    const base = { id, service: module.name, folder, logs, ...heldBy(holder) }
    const instance = new OwnInstance(this, this.#files, base)
    const launch = (what: Launch) => {
      if (instance.processes.length === 0) this.#progress(`${module.name}: starting, logs in ${logs}`)
      return instance.launch(what)
    }
    try {
      await instance.becomeReady(await module.start({ folder, logs, progress: this.#progress, launch }, options))
      if (instance.processes.length === 0) {
        // A program that is no server: nothing runs, so there is nothing to find again.
        await this.#end(instance.state)
        await rm(top, { recursive: true })
      }
    } catch (error) {
      await this.#end(instance.state)
      throw error
    }
    return instance
  }

  async #end(state: InstanceState): Promise<number[]> {
    const living = await livingOf(state.processes)
    await Promise.all(
      living.map(async (process) => {
        await sendSignal(process, process.stopSignal)
        // A paused one hears a SIGTERM only when it goes on.
        await sendSignal(process, 'SIGCONT')
        await waitUntilGone(process)
      }),
    )
    await rm(state.folder, { recursive: true, force: true })
    await this.#files.remove(state.id)
    return living.map(({ pid }) => pid)
  }

  #locked<T>(id: string, body: () => Promise<T>): Promise<T> {
    return withLock(this.#files.folder, id, body)
  }
}

/** An instance started by this process, whose single processes it can break. */
export class OwnInstance {
  readonly #launched: LaunchedProcess[] = []
  readonly #instances: Instances
  readonly #files: StateFiles
  readonly #base: Omit<InstanceState, 'processes' | 'values'>
  #values: ServiceValues | undefined

  constructor(instances: Instances, files: StateFiles, base: Omit<InstanceState, 'processes' | 'values'>) {
    this.#instances = instances
    this.#files = files
    this.#base = base
  }

  get values(): ServiceValues {
    if (this.#values === undefined) throw new ServiceError(this.#base.service, 'it is not ready yet')
    return this.#values
  }

  get processes(): readonly ServerProcess[] {
    return this.#launched
  }

  get state(): InstanceState {
    const processes = this.#launched.map(({ name, identity, stopSignal }) => ({ name, ...identity, stopSignal }))
    return { ...this.#base, processes, ...(this.#values === undefined ? {} : { values: this.#values }) }
  }

  async launch(launch: Launch): Promise<LaunchedProcess> {
    const write = () => this.#files.write(this.state)
    const launched = await LaunchedProcess.start(launch, write)
    this.#launched.push(launched)
    // Written down before it is ready, so that it is found and ended when this process dies meanwhile.
    await write()
    return launched
  }

  async becomeReady(values: ServiceValues): Promise<void> {
    this.#values = values
    await this.#files.write(this.state)
  }

  async stop(): Promise<void> {
    await this.#instances.stop(this.#base.id)
    await removeLock(this.#files.folder, this.#base.id)
  }
}

/** Gets what a service needs, once for all who want it. */
export async function fetchMissing(module: ServiceModule, progress: Progress): Promise<void> {
  const folder = cacheFolder()
  await mkdir(folder, { recursive: true })
  await withLock(folder, 'fetch', async () => {
    await module.fetch(progress)
    const missing = await module.missing()
    if (missing !== undefined) throw new ServiceError(module.name, `${missing}, although it was fetched; see above`)
  })
}

function heldBy(holder: Holder, state?: InstanceState): Pick<InstanceState, 'kept' | 'holders'> {
  const { kept = false, holders = [] } = state ?? {}
  if (holder === 'user') return { kept: true, holders }
  return { kept, holders: [...holders.filter((other) => !isSame(other, holder)), holder] }
}

/** The holders that are left when one goes: those that live. */
async function othersOf(state: InstanceState, holder: ProcessIdentity | undefined): Promise<ProcessIdentity[]> {
  const others = state.holders.filter((other) => holder === undefined || !isSame(other, holder))
  return livingOf(others)
}

function isSame(a: ProcessIdentity, b: ProcessIdentity): boolean {
  return a.pid === b.pid && a.birth === b.birth
}
