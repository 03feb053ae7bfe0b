import { describe, expect, test } from 'vitest'
import { SluiceError } from '../errors.js'
import { foldAggregator, reversed, unpackLines } from '../rdd/engine-functions.js'
import { task } from '../rdd/functions.js'
import { compareNatural } from '../rdd/order.js'
import { rangePartitioner } from '../rdd/partitioner.js'
import type { Pipeline, Source } from '../rdd/pipeline.js'
import type { Task, Work } from '../rdd/work.js'
import { describeError, restoreError } from './task-codec-errors.js'
import { decodeHeader, describeTask, encodeHeader, TaskRestorer, type DescribeHost } from './task-codec.js'

const plus = task('codec/plus', (a: number, b: number) => a + b)
const info = { app: 'a', output: 'o', batchTime: undefined, partition: 1, partitions: 2, attempt: 0, operator: 'op' }
const numbers: Pipeline = { source: { kind: 'range', start: 0, step: 1, count: 3 }, ops: [] }
const collect: Work = { kind: 'collect', limit: Infinity }

const host: DescribeHost = {
  knows: () => true,
  isOnDisk: () => true,
  storedBlock: () => undefined,
  storedShuffleBlocks: () => [],
}

const restorer = new TaskRestorer()

/** The task after its way to another thread. */
function sent({ pipeline, work }: Pick<Task, 'pipeline' | 'work'>, from: DescribeHost = host): Task {
  const described = describeTask({ pipeline, work, info }, from)
  if (described.driverOnly !== undefined) throw new Error(described.driverOnly)
  const header = { task: described.data, inputs: { records: [], blocks: [], shuffles: [] }, spillRecords: 1 }
  return restorer.task(
    decodeHeader(encodeHeader(header)).task,
    (input) => described.inputs.records[input] as readonly unknown[],
  )
}

const ofSource = (source: Source): Task => sent({ pipeline: { source, ops: [] }, work: collect })

describe('a task comes back equal from bytes', () => {
  const two = [numbers, { source: { kind: 'records', records: ['x'] }, ops: [] }] as const
  const operator = 'op'
  const sources: Source[] = [
    { kind: 'records', records: [1, [2]] },
    { kind: 'block', id: 'b' },
    { kind: 'text', path: '/t', start: 1, length: 2 },
    { kind: 'bytes', path: '/t' },
    { kind: 'shuffle', shuffle: 's', partition: 3 },
    { kind: 'concat', inputs: two },
    {
      kind: 'aggregate',
      operator,
      input: numbers,
      from: 'values',
      aggregator: { create: undefined, add: plus, merge: plus },
    },
    { kind: 'count', operator, input: numbers },
    { kind: 'fold', operator, input: numbers, f: plus, start: { a: undefined } },
    { kind: 'cogroup', operator, inputs: two },
    { kind: 'join', operator, left: numbers, right: two[1], join: 'full' },
    { kind: 'sort', operator, input: numbers, compare: undefined, descending: true },
    { kind: 'sort', operator, input: numbers, compare: plus as never, descending: false },
    { kind: 'cartesian', left: numbers, right: two[1] },
    { kind: 'zip', operator, inputs: two, fn: plus },
    { kind: 'partition', operator, input: numbers, fn: plus, index: 4 },
    { kind: 'async-map', operator, input: numbers, fn: plus, concurrency: 3 },
    { kind: 'unpack', operator, block: 'b', records: 1, fn: unpackLines },
    { kind: 'cached', block: 'c', level: 'disk', input: numbers },
  ]
  test.each(sources.map((source) => [source.kind, source] as const))('source %s', (_, source) => {
    expect(ofSource(source)).toEqual({ pipeline: { source, ops: [] }, work: collect, info })
  })

  const works: Work[] = [
    { kind: 'count' },
    { kind: 'fold', f: plus, start: { value: new Map([[1, undefined]]) } },
    { kind: 'fold', f: plus, start: undefined },
    { kind: 'each', f: plus },
    { kind: 'each-partition', f: plus },
    { kind: 'top', n: 3, compare: plus as never, descending: true },
    { kind: 'stats' },
    { kind: 'sample', n: 3, seed: 4 },
    { kind: 'bounds', partitions: 3, compare: compareNatural },
    { kind: 'locate', partitioner: rangePartitioner([1]) },
    { kind: 'shuffle', shuffle: 's', partitioner: rangePartitioner([1, 'a', undefined]), aggregator: undefined },
  ]
  test.each(works.map((work) => [work.kind, work] as const))('work %s', (_, work) => {
    expect(sent({ pipeline: numbers, work })).toEqual({ pipeline: numbers, work, info })
  })

  test('operators: functions, builtins and neither', () => {
    const ops = [
      { kind: 'map', id: 'map-0', fn: plus },
      { kind: 'filter', id: 'sample-0', fn: { builtin: 'sample', args: [0.5, 1] } },
      { kind: 'keys', id: 'keys-0', fn: undefined },
    ] as const
    expect(sent({ pipeline: { source: numbers.source, ops }, work: collect }).pipeline.ops).toEqual(ops)
  })
})

test('functions that the engine makes are made once for equal arguments, so that stages are compiled once', () => {
  const aggregate = (zero: unknown): Source => {
    const aggregator = foldAggregator(zero, plus, plus)
    return { kind: 'aggregate', operator: 'op', input: numbers, from: 'values', aggregator }
  }
  const made = (zero: unknown): unknown => {
    const { source } = ofSource(aggregate(zero)).pipeline
    return source.kind === 'aggregate' ? source.aggregator.create : undefined
  }
  expect(made({ n: 0 })).toBe(made({ n: 0 }))
  expect(made({ n: 0 })).not.toBe(made({ n: 1 }))
  expect((made(10) as (value: number) => number)(5)).toBe(15)
})

test('a turned order keeps its inner order, whoever made that', () => {
  const work: Work = { kind: 'bounds', partitions: 2, compare: reversed(reversed(compareNatural)) }
  const restored = sent({ pipeline: numbers, work }).work
  expect(restored.kind === 'bounds' && restored.compare(1, 2)).toBe(-1)
})

describe('what belongs to the driver is told', () => {
  const reasonOf = (pipeline: Pipeline, work: Work, from: DescribeHost = host): string | undefined =>
    describeTask({ pipeline, work, info }, from).driverOnly

  test.each<[string, Pipeline, Work, DescribeHost, RegExp]>([
    ['a driver source', { source: { kind: 'driver', open: () => [] }, ops: [] }, collect, host, /its source belongs/],
    ['driver work', numbers, { kind: 'driver', run: () => Promise.resolve() }, host, /its work belongs/],
    ['an unregistered function', numbers, { kind: 'each', f: () => 1 }, host, /not registered with task/],
    [
      'one that workers do not know',
      numbers,
      { kind: 'each', f: plus },
      { ...host, knows: () => false },
      /codec\/plus/,
    ],
    [
      'a file elsewhere',
      { source: { kind: 'bytes', path: 's3://b/k' }, ops: [] },
      collect,
      { ...host, isOnDisk: () => false },
      /s3:/,
    ],
  ])('%s', (_, pipeline, work, from, reason) => {
    expect(reasonOf(pipeline, work, from)).toMatch(reason)
    // Also where it is nested.
    const nested: Pipeline = { source: { kind: 'concat', inputs: [numbers, pipeline] }, ops: [] }
    expect(reasonOf(nested, work, from)).toMatch(reason)
  })

  test('but not behind a partition that is kept already', () => {
    const behind: Pipeline = { source: { kind: 'driver', open: () => [] }, ops: [] }
    const pipeline: Pipeline = { source: { kind: 'cached', block: 'c', level: 'memory', input: behind }, ops: [] }
    expect(reasonOf(pipeline, collect)).toMatch(/its source belongs/)
    const kept = { ...host, storedBlock: () => ({ packed: false, records: [1] }) }
    expect(sent({ pipeline, work: collect }, kept).pipeline.source).toEqual({ kind: 'block', id: 'c' })
  })
})

describe('errors as data', () => {
  test('keep class, name, message, stack, code, further properties and causes', () => {
    const cause = Object.assign(new RangeError('deep', { cause: 'text' }), { errno: 3, data: { not: 'plain' } })
    const error = new SluiceError({ code: 'KEY_INVALID', component: 'op', message: 'no; yes', retryable: true, cause })
    const back = restoreError(structuredClone(describeError(error))) as SluiceError
    expect(back).toBeInstanceOf(SluiceError)
    expect(back).toMatchObject({ code: 'KEY_INVALID', component: 'op', retryable: true, message: '[op] no; yes' })
    expect(back.stack).toBe(error.stack)
    expect(back.cause).toBeInstanceOf(RangeError)
    expect(back.cause).toMatchObject({ message: 'deep', stack: cause.stack, errno: 3, cause: 'text' })
    expect(back.cause).not.toHaveProperty('data')
  })

  test('of classes of the app keep their name; values that are no errors their text', () => {
    class AppError extends Error {
      override readonly name = 'AppError'
    }
    expect(restoreError(describeError(new AppError('x')))).toMatchObject({ name: 'AppError', message: 'x' })
    expect(restoreError(describeError(undefined))).toBe('undefined')
    expect(restoreError(describeError(Object.create(null)))).toBe('[object Object]')
  })

  test('whose causes form a circle come to an end', () => {
    const error = new Error('a')
    error.cause = error
    expect(restoreError(describeError(error))).toMatchObject({ cause: { cause: { message: 'a' } } })
  })
})
