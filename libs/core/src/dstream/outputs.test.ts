import { expect, test } from 'vitest'
import { harness } from '../testing/harness.js'

const RULE = '-------------------------------------------'

test("print writes Spark's layout, byte for byte", async () => {
  const { ssc, printed, batch } = harness()
  const words: (readonly [string, number])[] = [
    ['a', 1],
    ['b', 2],
  ]
  ssc.queueStream([words]).print()
  await ssc.start()
  await batch()
  await ssc.stop({ graceful: false })
  expect(RULE).toHaveLength(43)
  expect(printed.join('')).toBe(`${RULE}\nTime: 1000 ms\n${RULE}\n(a,1)\n(b,2)\n\n`)
})

test('print shows ten records unless told otherwise, and three dots if there were more', async () => {
  const ten = Array.from({ length: 10 }, (_, i) => i)
  const body = (text: string): string[] => text.split('\n').slice(3, -2)
  for (const [records, limit, shown] of [
    [ten, undefined, ten.map(String)],
    [[...ten, 10], undefined, [...ten.map(String), '...']],
    [[1, 2, 3], 2, ['1', '2', '...']],
    [[1], 0, ['...']],
    [[], 0, []],
  ] as const) {
    const { ssc, printed, batch } = harness()
    ssc.queueStream<number>([records], { partitions: 3 }).print({ limit })
    await ssc.start()
    await batch()
    await ssc.stop({ graceful: false })
    expect(body(printed[0] ?? '')).toEqual(shown)
  }
})

test('print says that a batch is empty by printing nothing between its rules and the end', async () => {
  const { ssc, printed, batch } = harness()
  ssc.queueStream([]).print()
  await ssc.start()
  await batch()
  await ssc.stop({ graceful: false })
  expect(printed).toEqual([`${RULE}\nTime: 1000 ms\n${RULE}\n\n`])
})

test.each([-1, 1.5, NaN])('print refuses a limit of %s', (limit) => {
  const { ssc } = harness()
  expect(() => {
    ssc.queueStream([]).print({ limit })
  }).toThrowError(/limit must be a whole number of at least 0/)
})

test('saveAsTextFiles writes one folder per batch, prefix-TIME.suffix', async () => {
  const { ssc, disk, batches } = harness()
  ssc
    .queueStream([['a', 'b', 'c'], [], ['d']], { partitions: 2 })
    .map((word) => [word, 1])
    .saveAsTextFiles('out/wc', 'txt')
  await ssc.start()
  await batches(3)
  await ssc.stop({ graceful: false })
  const folders: Record<string, string[]> = {}
  for await (const { name } of disk.list('out')) {
    const names: string[] = (folders[name] = [])
    for await (const file of disk.list(`out/${name}`)) names.push(file.name)
    names.sort()
  }
  expect(folders).toEqual({
    'wc-1000.txt': ['_SUCCESS', '_identity', 'part-00000', 'part-00001'],
    'wc-3000.txt': ['_SUCCESS', '_identity', 'part-00001'],
  })
  expect(Buffer.from(await disk.read('out/wc-1000.txt/part-00001')).toString()).toBe('(b,1)\n(c,1)\n')
})

test('saveAsObjectFiles writes folders as text files do, and objectFile reads them back with all types', async () => {
  const { ssc, disk, batches } = harness()
  const rich = {
    none: undefined,
    nothing: null,
    numbers: [-0, NaN, Infinity, 1.5, 2 ** 60],
    big: 12n ** 40n,
    day: new Date(5),
    bytes: Uint8Array.of(1, 2),
    map: new Map([['a', new Set([1])]]),
    text: 'a\nb\uD83D',
  }
  const many = Array.from({ length: 3_000 }, (_, i) => [`key-${String(i)}`, i])
  ssc.queueStream<unknown>([[rich, 'x', 7], [], many], { partitions: 2 }).saveAsObjectFiles('out/all', 'bin')
  await ssc.start()
  await batches(3)
  const folders: Record<string, string[]> = {}
  for await (const { name } of disk.list('out')) {
    const names: string[] = (folders[name] = [])
    for await (const file of disk.list(`out/${name}`)) names.push(file.name)
    names.sort()
  }
  const whole = ['_SUCCESS', '_identity', 'part-00000', 'part-00001']
  expect(folders).toEqual({ 'all-1000.bin': whole, 'all-3000.bin': whole })
  const { sluiceContext: sc } = ssc
  expect(await sc.objectFile('out/all-1000.bin').collect()).toStrictEqual([rich, 'x', 7])
  expect(await sc.objectFile('out/all-3000.bin', 3).collect()).toEqual(many)
  expect(await sc.objectFile('out/all-3000.bin/part-00001').count()).toBe(1_500)
  await ssc.stop({ graceful: false })
})

test('records that object files cannot hold fail the batch with UNSERIALIZABLE', async () => {
  const { ssc, clock, end } = harness()
  ssc.queueStream<unknown>([[() => 1]]).saveAsObjectFiles('out/functions')
  await ssc.start()
  const ended = end()
  await clock.advance(1_000)
  expect(await ended).toMatchObject({ code: 'UNSERIALIZABLE' })
})

test('an object file that is cut off is DATA_CORRUPT, naming the file', async () => {
  const { ssc, disk, batch } = harness()
  ssc.queueStream([[1, 2, 3]]).saveAsObjectFiles('out/numbers')
  await ssc.start()
  await batch()
  const path = 'out/numbers-1000/part-00000'
  const bytes = await disk.read(path)
  await disk.remove(path)
  const file = await disk.openAppend(path)
  await file.append(bytes.subarray(0, bytes.byteLength - 1))
  await file.close()
  const read = ssc.sluiceContext.objectFile(path).collect()
  await expect(read).rejects.toMatchObject({ code: 'DATA_CORRUPT', message: expect.stringContaining(path) as string })
  await ssc.stop({ graceful: false })
})

test('saveAsTextFiles with an unknown scheme fails where it is declared, naming what to do', () => {
  const { ssc } = harness()
  expect(() => {
    ssc.queueStream<string>([]).saveAsTextFiles('hdfs://host/out')
  }).toThrowError(/hdfs/)
})

test('foreachRDD is given the RDD and the batch time, and is awaited', async () => {
  const { ssc, batches, clock } = harness()
  const seen: (readonly [number, number])[] = []
  ssc.queueStream([[5, 6], [7]]).foreachRDD(async (rdd, time) => {
    await clock.yield()
    seen.push([time, await rdd.count()])
  })
  await ssc.start()
  await batches(2)
  expect(seen).toEqual([
    [1_000, 2],
    [2_000, 1],
  ])
  await ssc.stop({ graceful: false })
})
