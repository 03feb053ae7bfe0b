/** The files that are replayed or produced. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { RunError } from './results.js'

const SAMPLE = fileURLToPath(new URL('../data/online-retail/', import.meta.url))

/** All `*.csv` of a folder in the order of their names; by default the sample's. Rejects when there are none. */
export async function csvFiles(directory = SAMPLE): Promise<string[]> {
  let names: string[]
  try {
    names = await readdir(directory)
  } catch (error) {
    throw new RunError(`cannot read ${directory}: ${(error as Error).message}; is --data a folder?`, { cause: error })
  }
  const files = names.filter((name) => name.endsWith('.csv')).sort()
  if (files.length === 0) throw new RunError(`${directory} holds no *.csv; is --data the right folder?`)
  return files.map((name) => join(directory, name))
}
