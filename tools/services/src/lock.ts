/**
 * A lock between processes that survives the death of any of them.
 *
 * It is a row of files `NAME.lock.1`, `NAME.lock.2`, …, of which the highest counts: it names its owner, or says that it is free. Who
 * finds it free, or its owner dead, makes the next one, which can succeed for one only. The highest file is never removed, so that
 * one who was slow sees, after having made his, that there is a higher one.
 */
import { link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errnoOf, ServiceError } from './errors.js'
import { identifySelf, isAlive, type ProcessIdentity } from './process-identity.js'

const LOOK_MS = 50
const LONGEST_WAIT_MS = 20 * 60_000
const FREE = 'free'

/** Runs `body` while no other process, and no other call in this one, runs one under the same name in the same folder. */
export async function withLock<T>(folder: string, name: string, body: () => Promise<T>): Promise<T> {
  const path = await takeLock(folder, name)
  try {
    return await body()
  } finally {
    await put(path, FREE, rename)
  }
}

/** Removes a lock whose name nobody will use again. One who waits for it gets it, as a new one. */
export async function removeLock(folder: string, name: string): Promise<void> {
  const files = (await generations(folder, name)).map((generation) => `${name}.lock.${String(generation)}`)
  await Promise.all(files.map((file) => rm(join(folder, file), { force: true })))
}

async function takeLock(folder: string, name: string): Promise<string> {
  const self = await identifySelf()
  const deadline = performance.now() + LONGEST_WAIT_MS
  for (;;) {
    const path = await tryToTake(folder, name, self)
    if (path !== undefined) return path
    if (performance.now() > deadline) throw heldTooLong(folder, name)
    await sleep(LOOK_MS)
  }
}

async function tryToTake(folder: string, name: string, self: ProcessIdentity): Promise<string | undefined> {
  const highest = (await generations(folder, name)).at(-1) ?? 0
  const fileOf = (generation: number) => join(folder, `${name}.lock.${String(generation)}`)
  if (highest > 0 && !(await isFree(fileOf(highest)))) return undefined
  const mine = highest + 1
  try {
    await put(fileOf(mine), JSON.stringify(self), link)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return undefined
    throw error
  }
  const all = await generations(folder, name)
  const isMine = all.at(-1) === mine
  const useless = isMine ? all.slice(0, -1) : [mine]
  await Promise.all(useless.map((generation) => rm(fileOf(generation), { force: true })))
  return isMine ? fileOf(mine) : undefined
}

async function generations(folder: string, name: string): Promise<number[]> {
  const prefix = `${name}.lock.`
  const numbers = (await readdir(folder))
    .filter((file) => file.startsWith(prefix))
    .map((file) => Number(file.slice(prefix.length)))
  return numbers.filter(Number.isInteger).sort((a, b) => a - b)
}

async function isFree(path: string): Promise<boolean> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    // A higher one was made in the meantime: look again.
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
  return text === FREE || !(await isAlive(JSON.parse(text) as ProcessIdentity))
}

/** Writes a file that is never seen half-written: `link` only where there is none, `rename` in place of the one there. */
async function put(path: string, text: string, publish: (from: string, to: string) => Promise<void>): Promise<void> {
  const temporary = `${path}-${randomUUID()}`
  await writeFile(temporary, text)
  try {
    await publish(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
}

function heldTooLong(folder: string, name: string): ServiceError {
  return new ServiceError('services', `the lock '${name}' in ${folder} is held for too long; end the process it names`)
}
