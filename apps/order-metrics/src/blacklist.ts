/** A file of customers, read again while the job runs. */
import { open, type FileHandle } from 'node:fs/promises'
import { RunError } from './results.js'

export interface Blacklist {
  /**
   * The customers in the file as it is now; it is read only if it has changed. While it cannot be read its last good
   * customers stand, and `warn` is told once, until it can be read again.
   */
  customers(warn: (message: string) => void): Promise<readonly string[]>
}

/** A file as it was when it was read, and what tells that it has changed. */
interface Reading {
  readonly version: string
  readonly customers: readonly string[]
}

/** Reads the file for the first time. Rejects with a {@link RunError} when that cannot be done. */
export async function openBlacklist(path: string): Promise<Blacklist> {
  let last: Reading
  try {
    last = await read(path)
  } catch (error) {
    const remedy = 'does --blacklist name a file of customers, one a line?'
    throw new RunError(`cannot read the blacklist ${path}: ${(error as Error).message}; ${remedy}`, { cause: error })
  }
  let isFailing = false
  return {
    customers: async (warn) => {
      try {
        last = await read(path, last)
        isFailing = false
      } catch (error) {
        const count = String(last.customers.length)
        if (!isFailing) {
          warn(`cannot read the blacklist ${path}: ${(error as Error).message}; its last ${count} customers stand`)
        }
        isFailing = true
      }
      return last.customers
    },
  }
}

async function read(path: string, last?: Reading): Promise<Reading> {
  const file = await open(path)
  try {
    // Before the file is read: what is written to it meanwhile makes another version.
    const version = await versionOf(file)
    if (version === last?.version) return last
    return { version, customers: parseBlacklist(await file.readFile('utf8')) }
  } finally {
    await file.close()
  }
}

async function versionOf(file: FileHandle): Promise<string> {
  const { ino, size, mtimeNs } = await file.stat({ bigint: true })
  return [ino, size, mtimeNs].join(' ')
}

/** Customers one a line, each once, without blank lines and what follows a `#`. */
export function parseBlacklist(text: string): string[] {
  const customers = text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
  return [...new Set(customers)].filter((customer) => customer !== '')
}
