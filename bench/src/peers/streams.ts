/** Word count with Node's streams, record by record, as their documentation composes them. Run: `node streams.js FILE LINES`. */
import { argv } from 'node:process'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { linesOf, serve, type Counts } from './serve.js'

const lines = linesOf(argv[2] ?? '', Number(argv[3]))

async function* toWords(source: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of source) yield* line.split(' ')
}

async function count(): Promise<Counts> {
  const counts = new Map<string, number>()
  await pipeline(Readable.from(lines), toWords, async (words: AsyncIterable<string>) => {
    for await (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  })
  return counts
}

await serve(count)
