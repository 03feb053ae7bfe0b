/** Word count over lines of text, against the best loop written for nothing else. */
import type { Pair } from '@sluice/core'
import { withContext, type Benchmark } from '../benchmark.js'
import { zipfLines } from '../data/words.js'
import { measure } from '../measure.js'

const AIM = 0.9

export const wordCount: Benchmark = {
  name: 'word-count',
  about: '10 M words in lines of text against the best string loop, which calls no user functions',
  run: (sizes) =>
    withContext((context) => {
      const lines = zipfLines({ lines: sizes.count(1_000_000) })
      const counts = context
        .parallelize(lines)
        .flatMap((line) => line.split(' '))
        .map((word) => [word, 1])
        .reduceByKey((a, b) => a + b)
      return measure(
        [
          {
            name: 'word-count',
            aim: AIM,
            noun: 'words',
            count: 10 * lines.length,
            ours: () => counts.collect(),
            reference: () => countWords(lines),
          },
        ],
        sizes.repeats({ warmUp: 1, rounds: 9 }),
      )
    }),
}

/** The fastest of those tried: `split` beats a loop of `indexOf` and `slice`, boxes beat `Map.set`. */
export function countWords(lines: readonly string[]): Pair<string, number>[] {
  const boxes = new Map<string, { n: number }>()
  for (const line of lines) {
    for (const word of line.split(' ')) {
      const box = boxes.get(word)
      if (box === undefined) boxes.set(word, { n: 1 })
      else box.n++
    }
  }
  return Array.from(boxes, ([word, box]) => [word, box.n])
}
