/** The state: one file for each instance that runs, or is being started, for this checkout. */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { errnoOf } from './errors.js'
import { isAlive, type ProcessIdentity } from './process-identity.js'
import type { ServiceValues } from './service.js'

export interface InstanceState {
  /** The name of the service for the shared instance, else a name of its own. */
  readonly id: string
  readonly service: string
  /** Undefined until it is ready: who finds it so, and holds its lock, knows that its starter died. */
  readonly values?: ServiceValues
  readonly processes: readonly ProcessState[]
  readonly folder: string
  readonly logs: string
  /** Started by the user: it runs until the user stops it. */
  readonly kept: boolean
  /** Test runs that use it. Without any, and not kept, it is stopped. */
  readonly holders: readonly ProcessIdentity[]
}

interface ProcessState extends ProcessIdentity {
  readonly name: string
  readonly stopSignal: 'SIGTERM' | 'SIGKILL'
}

const SUFFIX = '.json'

/** The instances written down in a folder. */
export class StateFiles {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  async list(): Promise<InstanceState[]> {
    const names = (await readdir(this.folder)).filter((name) => name.endsWith(SUFFIX)).sort()
    const states = await Promise.all(names.map((name) => this.read(name.slice(0, -SUFFIX.length))))
    return states.filter((state) => state !== undefined)
  }

  async read(id: string): Promise<InstanceState | undefined> {
    try {
      return JSON.parse(await readFile(this.#path(id), 'utf8')) as InstanceState
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  async write(state: InstanceState): Promise<void> {
    const temporary = join(this.folder, `${state.id}.${randomUUID()}`)
    await writeFile(temporary, `${JSON.stringify(state, undefined, 2)}\n`, { mode: 0o600 })
    await rename(temporary, this.#path(state.id))
  }

  async remove(id: string): Promise<void> {
    await rm(this.#path(id), { force: true })
  }

  #path(id: string): string {
    return join(this.folder, `${id}${SUFFIX}`)
  }
}

/** Whether all of it runs and can be used. */
export async function isUsable(state: InstanceState): Promise<boolean> {
  return state.values !== undefined && (await everyAlive(state.processes)).every(Boolean)
}

/** Those of some processes that still run. */
export async function livingOf<T extends ProcessIdentity>(processes: readonly T[]): Promise<T[]> {
  const alive = await everyAlive(processes)
  return processes.filter((_, index) => alive[index])
}

function everyAlive(processes: readonly ProcessIdentity[]): Promise<boolean[]> {
  return Promise.all(processes.map((process) => isAlive(process)))
}
