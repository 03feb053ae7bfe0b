/**
 * Word count with RxJS: a second's words at a time, and the seconds added up.
 * Run in a folder that has rxjs installed: `node rxjs.mjs FILE LINES`.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { linesOf, serve } from '../../dist/peers/serve.js'

const installed = createRequire(join(process.cwd(), 'package.json'))
const { bufferTime, from, lastValueFrom, map, mergeMap, reduce } = await import(
  pathToFileURL(installed.resolve('rxjs')).href
)

const [file, limit] = process.argv.slice(2)
const lines = linesOf(file, Number(limit))

/** Adds up pairs. */
function addAll(counts, pairs) {
  for (const [word, n] of pairs) counts.set(word, (counts.get(word) ?? 0) + n)
  return counts
}

await serve(() =>
  lastValueFrom(
    from(lines).pipe(
      mergeMap((line) => line.split(' ')),
      map((word) => [word, 1]),
      bufferTime(1_000),
      map((pairs) => addAll(new Map(), pairs)),
      reduce(addAll, new Map()),
    ),
  ),
)
