/** A deliberately broken engine: the real one, of which a small piece is another one when it is loaded. */
import type { HuntName } from './hunts.js'

export interface Replacement {
  /** Below `dist` of `@sluice/core`. */
  readonly file: string
  /** Stands in the compiled file exactly once. */
  readonly find: string
  readonly replace: string
}

export interface BrokenEngine {
  readonly name: string
  /** Of EXACTNESS.md. */
  readonly rule: string
  /** What it does wrong. */
  readonly mistake: string
  /** More than one where a second check hides the mistake, as it should. */
  readonly replacements: readonly Replacement[]
  /** The runs that find it. */
  readonly hunt: HuntName
  /** What they find: a mistake that is found as something else is not understood. */
  readonly finds: RegExp
}

/** Where the compiled engine stands, seen from `src` and from `dist`. */
export const coreDist = new URL('../../../../core/dist/', import.meta.url)

/** The file with its pieces replaced. Throws where a piece is not there, or not once: then nobody knows what was broken. */
export function broken(source: string, file: string, replacements: readonly Replacement[]): string {
  return replacements.filter((each) => each.file === file).reduce(replaced, source)
}

function replaced(source: string, { file, find, replace }: Replacement): string {
  const [before, after, ...more] = source.split(find)
  if (before !== undefined && after !== undefined && more.length === 0) return `${before}${replace}${after}`
  const times = after === undefined ? 'not' : 'more than once'
  throw new RangeError(
    `this stands ${times} in ${file}; find the piece of the engine that it was, and break it there: ${find}`,
  )
}
