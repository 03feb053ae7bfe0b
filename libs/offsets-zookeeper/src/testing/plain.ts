/** For tests: a client that is not ours, in plain calls, and stores that are open. */
import { isSluiceError, systemClock, type Logger, type OffsetStore } from '@sluice/core'
import { createClient, type Client, type Exception } from 'node-zookeeper-client'
import { zookeeperOffsetStore } from '../zookeeper-offset-store.js'
import type { ZooKeeperOffsetStoreOptions } from '../zookeeper-offset-store.config.js'

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export class Plain {
  readonly client: Client
  readonly connected: Promise<void>

  constructor(url: string) {
    this.client = createClient(url)
    this.connected = new Promise((resolve) => this.client.once('connected', resolve))
    this.client.connect()
  }

  /** As text, with its version; undefined where there is none. */
  get(path: string): Promise<{ data: string; version: number } | undefined> {
    return new Promise((resolve, reject) => {
      this.client.getData(path, (error, data, { version } = { version: 0 } as never) => {
        if (error) (isAbsent(error) ? resolve : reject)(undefined)
        else resolve({ data: String((data as Buffer | undefined) ?? ''), version })
      })
    })
  }

  /** Makes it and all above it, or sets it, whatever is there. */
  async set(path: string, data: string): Promise<void> {
    await done((end) => this.client.mkdirp(path, end))
    await done((end) => this.client.setData(path, Buffer.from(data), -1, end))
  }

  remove(path: string): Promise<void> {
    return done((end) => this.client.remove(path, -1, end))
  }

  close(): void {
    this.client.close()
  }
}

function isAbsent(error: Error | Exception): boolean {
  return (error as Exception).code === -101
}

function done(call: (end: (error: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => {
      if (error) reject(error as Error)
      else resolve()
    })
  })
}

let groups = 0

/** One that nobody else has. */
export function newGroup(): string {
  return `group-${String(process.pid)}-${String(++groups)}`
}

export async function openStore(
  options: ZooKeeperOffsetStoreOptions,
  ended = new AbortController(),
): Promise<OffsetStore> {
  const store = zookeeperOffsetStore(options)
  await store.open?.({ appName: 'app', logger: silent, clock: systemClock, signal: ended.signal })
  return store
}

/** Tries again while that may help: a call with a short deadline may miss it also where nothing is broken. */
export async function patiently<T>(call: () => Promise<T>): Promise<T> {
  const end = systemClock.monotonic() + DEADLINE_MS
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!isSluiceError(error) || !error.retryable || systemClock.monotonic() > end) throw error
    }
  }
}

const DEADLINE_MS = 30_000

/** Resolves when `condition` holds; rejects after a generous time, naming it. */
export async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const end = systemClock.monotonic() + DEADLINE_MS
  while (!(await condition())) {
    if (systemClock.monotonic() > end) throw new Error(`never came true: ${what}`)
    await systemClock.sleep(20)
  }
}
