/** Runs the examples of operators.md. */
import { readFile } from 'node:fs/promises'
import { quotedBlock, runBlock } from '@sluice/doc-blocks'
import { expect, test } from 'vitest'
import type { Sink } from '@sluice/core'
import { runBatches } from '@sluice/core/testing'
import { operators } from './operators.js'

const collapse = (code: string): string => code.replace(/\s+/g, ' ')

test('every example of operators.md is one that runs', async () => {
  const page = await readFile(new URL('../operators.md', import.meta.url), 'utf8')
  const source = collapse(await readFile(new URL('operators.ts', import.meta.url), 'utf8'))
  const cells = page.split('\n').flatMap((line) => /^\|.*\| `([^|]+)`\s+\|$/.exec(line)?.[1] ?? [])
  expect(cells.length).toBeGreaterThan(30)
  for (const code of cells) expect(source).toContain(collapse(code))
  quotedBlock('docs/operators.md', 'allowed', 'docs/examples/operators.ts')
  quotedBlock('docs/operators.md', 'lastFiveMinutes', 'docs/examples/operators.ts')
  quotedBlock('docs/operators.md', 'counted', 'docs/examples/operators.ts')
})

test('what they begin with is a program', async () => {
  const { stdout } = await runBlock('docs/operators.md', 'hashPartitioner', {
    changes: { 'seconds(1)': 'milliseconds(50)', 'seconds,': 'milliseconds,' },
    last: 'pairs.join(names).print()\nawait ssc.start()\nawait ssc.awaitTermination()',
    until: (printed) => printed.includes('(be,'),
  })
  expect(stdout).toContain('(be,(1,verb))')
})

test('they give what the page says', async () => {
  const saved: string[] = []
  const written: string[] = []
  const redisSink = (): Sink<string> => ({
    '~sluice': 'sink/1',
    name: 'redis',
    target: 'words',
    guarantee: { level: 'at-least-once', condition: 'it is an example' },
    async writePartition(_id, chunks) {
      for await (const chunk of chunks) written.push(...chunk)
    },
  })
  const out = await runBatches([[], [], []] as never[][], (_ticks, ssc) =>
    operators({
      ssc,
      look: (word) => Promise.resolve(word.toUpperCase()),
      readList: () => ['be'],
      save: (words) => Promise.resolve(void saved.push(...words)),
      redisSink,
    }),
  )
  expect(out['allowed']).toEqual([['to', 'or', 'not', 'to'], [], []])
  expect(out['counted']?.[1]).toEqual([['be', '103']])
  expect(out['stateSnapshots']?.[2]).toContainEqual(['be', 103])
  expect(out['countByWindow']).toEqual([[6], [7], [7]])
  expect(out['updateStateByKey']?.[2]).toContainEqual(['be', 3])
  expect(out['join']?.[0]).toEqual([
    ['be', [1, 'verb']],
    ['be', [1, 'verb']],
  ])
  expect(saved).toHaveLength(7)
  expect(written).toEqual(saved)
})
