import { pair, textFileSink, type Sink } from '@sluice/core'
import { absent, memoryFileSystem, type Batches } from '@sluice/core/testing'
import { expect, expectTypeOf, test } from 'vitest'
import { ABORT, runWithAborts } from './run-with-aborts.js'

test('a script without crashes gives what runBatches gives', async () => {
  const { runs } = await runWithAborts([[1, 2], absent, [3]], (numbers) => numbers.map((n) => n * 2))
  expectTypeOf(runs[0]!.seen).toEqualTypeOf<Batches<number>>()
  expect(runs).toEqual([{ seen: [[2, 4], absent, [6]], abortedAt: undefined }])
})

test('the engine stops at the marker: the batch is not completed, later ones do not run', async () => {
  const passed: number[] = []
  const { runs } = await runWithAborts([[1, 2], [3, ABORT, 4], [5]], (numbers) =>
    numbers.map((n) => {
      passed.push(n)
      return n * 2
    }),
  )
  expect(runs).toEqual([{ seen: [[2, 4]], abortedAt: 2_000 }])
  expect(passed).toEqual([1, 2, 3])
})

test('state of the crashed batch is not committed, and its outputs do not see it', async () => {
  const { runs } = await runWithAborts([['a'], ['a', ABORT], ['a']], (words) =>
    words.map((word) => pair(word, 1)).updateStateByKey<number>((ones, sum = 0) => sum + ones.length),
  )
  expect(runs).toEqual([{ seen: [[['a', 1]]], abortedAt: 2_000 }])
})

test('several inputs have names; a crash in one is the crash of all', async () => {
  const { runs } = await runWithAborts(
    { left: [[1], [2], [3]], right: [['x'], ['y', ABORT], ['z']] },
    ({ left, right }) => ({
      left,
      right,
    }),
  )
  expectTypeOf(runs[0]!.seen).toEqualTypeOf<{ left: Batches<number>; right: Batches<string> }>()
  expect(runs).toEqual([{ seen: { left: [[1]], right: [['x']] }, abortedAt: 2_000 }])
})

test('a sink of the graph is left as a crash leaves it: committed batches whole, the other one not', async () => {
  const disk = memoryFileSystem()
  await runWithAborts(
    [
      ['a', 'b'],
      ['c', ABORT, 'd'],
    ],
    (lines) => {
      lines.to(textFileSink({ prefix: '/out/lines', fileSystem: disk }))
    },
  )
  const names: string[] = []
  for await (const { name } of disk.list('/out/lines-1000')) names.push(name)
  expect(names.sort()).toEqual(['_SUCCESS', '_identity', 'part-00000'])
  expect(await disk.stat('/out/lines-2000/part-00000')).toBeUndefined()
})

test('a retry policy does not run the crashed batch again', async () => {
  let tries = 0
  const sink: Sink<number> = {
    '~sluice': 'sink/1',
    name: 'counting',
    target: 'nowhere',
    guarantee: { level: 'at-least-once', condition: 'it is a test' },
    async writePartition(_id, chunks) {
      tries++
      for await (const _ of chunks);
    },
  }
  await runWithAborts([[ABORT]], (numbers) => {
    numbers.to(sink as Sink<unknown>)
  })
  expect(tries).toBe(1)
})

test('a batch that fails by itself rejects', async () => {
  const running = runWithAborts([[1], [2]], (numbers) =>
    numbers.map((n) => {
      if (n === 2) throw new Error('two is too much')
      return n
    }),
  )
  await expect(running).rejects.toThrow('two is too much')
})
