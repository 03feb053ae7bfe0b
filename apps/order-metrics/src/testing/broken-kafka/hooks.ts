/** A loader that gives other code for some files of the connectors. */
import type { InitializeHook, LoadHook } from 'node:module'
import type { Mutant } from './mutants.js'

const LIBS = new URL('../../../../../libs/', import.meta.url).href
let replacements: Mutant['replacements'] = []

export const initialize: InitializeHook<Mutant['replacements']> = (data) => {
  replacements = data
}

export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context)
  const own = replacements.filter(({ file }) => url === `${LIBS}${file}`)
  if (own.length === 0 || loaded.source === undefined || loaded.source === null) return loaded
  const source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source)
  return { ...loaded, source: own.reduce(replaced, source) }
}

/** Throws where the piece is not there, or not once: then nobody knows what was broken. */
function replaced(source: string, { file, find, replace }: Mutant['replacements'][number]): string {
  const [before, after, ...more] = source.split(find)
  if (before !== undefined && after !== undefined && more.length === 0) return `${before}${replace}${after}`
  throw new RangeError(`this stands not once in ${file}; find the piece that it was, and break it there: ${find}`)
}
