import { milliseconds, pair, textFileSink, type Sink } from '@sluice/core'
import { absent, memoryFileSystem, type Batches } from '@sluice/core/testing'
import { expect, expectTypeOf, test } from 'vitest'
import { ABORT, runWithAborts } from './run-with-aborts.js'

test('a script without crashes gives what runBatches gives', async () => {
  const { runs } = await runWithAborts([[1, 2], absent, [3]], (numbers) => numbers.map((n) => n * 2))
  expectTypeOf(runs[0]!.seen).toEqualTypeOf<Batches<number>>()
  expect(runs).toEqual([{ seen: [[2, 4], absent, [6]], abortedAt: undefined }])
})

test('the engine stops at the marker, and the next life begins with that batch', async () => {
  const passed: number[] = []
  const { runs } = await runWithAborts([[1, 2], [3, ABORT, 4], [5]], (numbers) =>
    numbers.map((n) => {
      passed.push(n)
      return n * 2
    }),
  )
  expect(runs).toEqual([
    { seen: [[2, 4]], abortedAt: 2_000 },
    { seen: [[6, 8], [10]], abortedAt: undefined },
  ])
  expect(passed).toEqual([1, 2, 3, 3, 4, 5])
})

test('state is that of the last committed batch', async () => {
  const { runs } = await runWithAborts([['a'], ['a', ABORT], ['a']], (words) =>
    words.map((word) => pair(word, 1)).updateStateByKey<number>((ones, sum = 0) => sum + ones.length),
  )
  expect(runs).toEqual([
    { seen: [[['a', 1]]], abortedAt: 2_000 },
    { seen: [[['a', 2]], [['a', 3]]], abortedAt: undefined },
  ])
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
  expect(runs).toEqual([
    { seen: { left: [[1]], right: [['x']] }, abortedAt: 2_000 },
    { seen: { left: [[2], [3]], right: [['y'], ['z']] }, abortedAt: undefined },
  ])
})

test('each marker is one crash, in the first batch and the last, beside batches without RDD, in any partition', async () => {
  const { runs } = await runWithAborts(
    [[ABORT, 1, ABORT], absent, [2], [ABORT]],
    (numbers) => numbers.window(milliseconds(1_000)),
    { batchInterval: milliseconds(500), startMs: 1_700_000_000_250, inputPartitions: 2 },
  )
  expect(runs).toEqual([
    { seen: [], abortedAt: 1_700_000_000_500 },
    { seen: [], abortedAt: 1_700_000_000_500 },
    { seen: [[1], [1], [2]], abortedAt: 1_700_000_002_000 },
    { seen: [[2]], abortedAt: undefined },
  ])
})

test('a sink of the graph is left as a crash leaves it, and the next life completes the batch', async () => {
  const disk = memoryFileSystem()
  const atStart: Promise<unknown>[] = []
  await runWithAborts(
    [
      ['a', 'b'],
      ['c', ABORT, 'd'],
    ],
    (lines) => {
      atStart.push(disk.stat('/out/lines-2000/part-00000'))
      lines.to(textFileSink({ prefix: '/out/lines', fileSystem: disk }))
    },
  )
  expect(await Promise.all(atStart)).toEqual([undefined, undefined])
  for (const [time, text] of [
    ['1000', 'a\nb\n'],
    ['2000', 'c\nd\n'],
  ] as const) {
    const folder = `/out/lines-${time}`
    const names: string[] = []
    for await (const { name } of disk.list(folder)) names.push(name)
    expect(names.sort()).toEqual(['_SUCCESS', '_identity', 'part-00000'])
    expect(String(await disk.read(`${folder}/part-00000`))).toBe(text)
  }
})

test('a life does not try the crashed batch again', async () => {
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
  const { runs } = await runWithAborts([[ABORT]], (numbers) => {
    numbers.to(sink as Sink<unknown>)
  })
  expect(runs).toHaveLength(2)
  expect(tries).toBe(2)
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
