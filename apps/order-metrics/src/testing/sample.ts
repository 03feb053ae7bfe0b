/** The sample of real orders that is in the repository. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SAMPLE = fileURLToPath(new URL('../../data/online-retail/', import.meta.url))

const BAD_LINE_EVERY = 997

/** All lines of the twelve days, without headers and line ends. */
export const sampleOrders: readonly string[] = readdirSync(SAMPLE)
  .filter((name) => name.endsWith('.csv'))
  .sort()
  .flatMap((name) => readFileSync(join(SAMPLE, name), 'utf8').split('\n').slice(1, -1))

/** The same with a bad line now and then. */
export const sampleLines: readonly string[] = sampleOrders.flatMap((line, i) =>
  i % BAD_LINE_EVERY === 0 ? [line, `bad line ${String(i)}`] : [line],
)
