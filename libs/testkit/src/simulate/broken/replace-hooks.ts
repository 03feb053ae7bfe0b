/** A loader that breaks the engine: gives other code for some of its files. */
import type { InitializeHook, LoadHook } from 'node:module'
import { broken, coreDist, type Replacement } from './broken-engine.js'

let replacements: readonly Replacement[] = []

export const initialize: InitializeHook<readonly Replacement[]> = (data) => {
  replacements = data
}

export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context)
  if (!url.startsWith(coreDist.href) || loaded.source === undefined || loaded.source === null) return loaded
  const source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source)
  return { ...loaded, source: broken(source, url.slice(coreDist.href.length), replacements) }
}
