/** E14 and E15 over crashes: what receivers stored, and what nobody can give again. */
import { describe, expect, test } from 'vitest'
import type { Receiver, ReceiverContext } from '../input/receiver.js'
import type { FileSystem } from '../storage/file-system.js'
import { memoryFileSystem } from '../storage/memory-file-system.js'
import { crashableFileSystem, type DiskCall } from '../testing/crashable-file-system.js'
import { Gate, harness, until } from '../testing/harness.js'
import { LedgerStore } from '../testing/ledger-store.js'
import { mortalFileSystem } from '../testing/mortal-file-system.js'
import { Restarts, type Run } from '../testing/restarts.js'
import { seconds } from '../time/duration.js'
import { ManualClock } from '../time/manual-clock.js'

const forever = new Promise<void>(() => undefined)
const RECORDS = 12

/** What the sender knows: what was acknowledged to it. It outlives the receiver. */
interface Sender {
  acknowledged: number
}

type Store = (context: ReceiverContext<number>, from: number, to: number) => Promise<void>

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

const stores: Record<string, Store> = {
  storeAll: (context, from, to) => context.storeAll(numbers(from, to), { position: { p: BigInt(to) } }),
  storePacked: (context, from, to) =>
    context.storePacked(Uint8Array.from(numbers(from, to)), {
      records: to - from + 1,
      position: { p: BigInt(to) },
    }),
}

/** A receiver of the numbers from 1 on, two at a time, which goes on above the position that is safe. */
function resuming(store: Store, sender: Sender): Receiver<number> {
  return {
    '~sluice': 'receiver/1',
    name: 'sender',
    unpack: (bytes) => [...bytes],
    onStart(context) {
      void (async () => {
        const safe = Number(context.position['p'] ?? 0n)
        // One pair again, as a sender does that did not hear the acknowledgement: it is cut.
        for (let from = Math.max(1, safe - 1); from <= RECORDS; from += 2) {
          await store(context, from, from + 1)
          sender.acknowledged = Math.max(sender.acknowledged, from + 1)
        }
      })().catch(() => undefined)
    },
    onStop: () => undefined,
  }
}

interface Process {
  readonly store: LedgerStore
  readonly sender: Sender
  readonly disk: FileSystem
  readonly clock: ManualClock
}

const all = ({ store }: Process): number[] =>
  (store.contents()['table'] ?? []).map((row) => (row as unknown[])[2] as number)

/** Runs until all records are committed or the process dies. */
async function receive(
  process: Process,
  receiver: Receiver<number>,
  isDone: () => boolean,
  death: Promise<void> = forever,
): Promise<void> {
  const { disk, clock, store } = process
  const app = harness({ localFileSystem: disk, checkpoint: 'ckpt', takeOver: true, clock })
  app.ssc.receiverStream(receiver, { reliable: true, name: 'in' }).to(store.sink('table'))
  let isOver = false
  void death.then(() => {
    isOver = true
  })
  const started = app.ssc.start()
  started.catch(() => undefined)
  await Promise.race([started, death])
  for (let i = 0; i < 50 && !isOver && !isDone(); i++) {
    const before = app.completed.length
    await clock.advance(1_000)
    await until(() => app.completed.length > before || isOver)
  }
  if (!isOver) await Promise.race([app.ssc.stop({ graceful: false }), death])
}

describe.each([
  ['a disk', {}],
  ['an object store', { append: false, rename: false, link: false }],
] as const)('E14: on %s', (_name, supports) => {
  const newDisk = (): FileSystem => crashableFileSystem({ supports })

  test.each(Object.entries(stores))(
    'E14: with positions each record is there exactly once, whenever the process dies: %s',
    async (_kind, store) => {
      const run = async (dieAt: number | undefined, when: 'before' | 'after'): Promise<number> => {
        const disk = newDisk()
        const death = new Gate()
        const mortal = mortalFileSystem(disk, { dieAt, when, onDeath: death.open })
        const clock = new ManualClock()
        const process = { store: new LedgerStore(), sender: { acknowledged: 0 }, disk: mortal.fileSystem, clock }
        const isDone = (): boolean => all(process).length >= RECORDS
        await receive(process, resuming(store, process.sender), isDone, death.opened)
        const { operations } = mortal
        const next = { ...process, disk, clock: new ManualClock(clock.now()) }
        if (dieAt !== undefined) await receive(next, resuming(store, process.sender), isDone)
        expect(all(process), `died ${when} operation ${String(dieAt)}`).toEqual(numbers(1, RECORDS))
        return operations
      }
      const operations = await run(undefined, 'before')
      expect(operations).toBeGreaterThan(20)
      for (let n = 1; n <= operations; n++) {
        await run(n, 'before')
        await run(n, 'after')
      }
    },
    600_000,
  )

  test('E14: without positions nothing is lost that was acknowledged, and the order is kept', async () => {
    const plain = (sender: Sender): Receiver<number> => ({
      ...resuming(stores['storeAll'] as Store, sender),
      onStart(context) {
        void (async () => {
          while (sender.acknowledged < RECORDS) {
            const next = sender.acknowledged + 1
            await context.store(next)
            sender.acknowledged = next
          }
        })().catch(() => undefined)
      },
    })
    let operations = Infinity
    for (let n = 1; n <= operations; n++) {
      const disk = newDisk()
      const death = new Gate()
      const mortal = mortalFileSystem(disk, { dieAt: n, when: 'after', onDeath: death.open })
      const clock = new ManualClock()
      const process = { store: new LedgerStore(), sender: { acknowledged: 0 }, disk: mortal.fileSystem, clock }
      const isDone = (): boolean => new Set(all(process)).size >= RECORDS
      await receive(process, plain(process.sender), isDone, death.opened)
      if (mortal.operations < n) operations = mortal.operations
      await receive({ ...process, disk, clock: new ManualClock(clock.now()) }, plain(process.sender), isDone)
      const got = all(process)
      expect([...new Set(got)], `died at operation ${String(n)}`).toEqual(numbers(1, RECORDS))
      // What was stored but not acknowledged comes again: one record at most.
      expect(got.length).toBeLessThanOrEqual(RECORDS + 1)
    }
  }, 600_000)
})

/** A run whose receiver stores what the test says. */
function manual(runs: Restarts): { run: Run; batches: number[][]; context: () => ReceiverContext<number> } {
  const run = runs.launch()
  const batches: number[][] = []
  let current: ReceiverContext<number> | undefined
  run.ssc
    .receiverStream<number>(
      {
        '~sluice': 'receiver/1',
        onStart: (context) => {
          current = context
        },
        onStop: () => undefined,
      },
      { reliable: true, name: 'in' },
    )
    .foreachRDD(async (rdd) => {
      batches.push(await rdd.collect())
    })
  return { run, batches, context: () => current as ReceiverContext<number> }
}

test('E14: records at or below the durable position are cut, in the same run and after a restart', async () => {
  const runs = new Restarts()
  const first = manual(runs)
  await first.run.ssc.start()
  await until(() => (first.context() as unknown) !== undefined)
  await first.context().storeAll([1, 2], { position: { p: 2n } })
  await first.context().storeAll([1, 2], { position: { p: 2n } })
  await first.context().storeAll([3], { position: { p: 3n, q: 7n } })
  await first.run.batches(1)
  await first.context().storeAll([4], { position: { p: 4n } })
  first.run.kill()
  const second = manual(runs)
  await second.run.ssc.start()
  await until(() => (second.context() as unknown) !== undefined)
  expect(second.context().position).toEqual({ p: 4n, q: 7n })
  await second.context().storeAll([4], { position: { p: 4n } })
  await second.context().storeAll([5], { position: { p: 5n } })
  await second.run.batches(1)
  await second.run.ssc.stop({ graceful: false })
  expect([first.batches, second.batches]).toEqual([[[1, 2, 3]], [[4, 5]]])
})

test('E14: blocks of committed batches, which a window still asks for, take no room after a restart', async () => {
  const runs = new Restarts()
  for (let restart = 0; restart < 3; restart++) {
    const run = runs.launch()
    let context: ReceiverContext<number> | undefined
    const receiver: Receiver<number> = {
      '~sluice': 'receiver/1',
      onStart: (started) => {
        context = started
      },
      onStop: () => undefined,
    }
    const counts: number[] = []
    run.ssc
      .receiverStream(receiver, { reliable: true, name: 'in', maxHeldBytes: 3_000 })
      .window(seconds(6))
      .foreachRDD(async (rdd) => {
        counts.push(await rdd.count())
      })
    await run.ssc.start()
    await until(() => context !== undefined)
    for (let i = 1; i <= 3; i++) {
      let isStored = false
      const stored = context?.storeAll(numbers(1, 150), { position: { p: BigInt(restart * 10 + i) } })
      void stored?.then(() => {
        isStored = true
      })
      await until(() => isStored, 'there is room')
      await run.batches(1)
    }
    run.kill()
    expect(counts.at(-1)).toBe(150 * Math.min(6, restart * 3 + 3))
  }
})

test('E14: ids of blocks never repeat over restarts', async () => {
  const runs = new Restarts()
  const ids: string[] = []
  for (let restart = 0; restart < 3; restart++) {
    const { run, context } = manual(runs)
    await run.ssc.start()
    await until(() => (context() as unknown) !== undefined)
    await context().store(restart)
    await run.batches(1)
    await run.ssc.stop({ graceful: restart === 1 })
    for await (const text of logTexts(runs.disk, 'ckpt')) ids.push(...(text.match(/in\/0\/\d+\/\d+/g) ?? []))
  }
  expect([...new Set(ids)].sort()).toEqual(['in/0/1/0', 'in/0/2/0', 'in/0/3/0'])
})

async function* logTexts(disk: FileSystem, folder: string): AsyncGenerator<string> {
  for await (const { kind, name } of disk.list(folder)) {
    const path = `${folder}/${name}`
    if (kind === 'directory') yield* logTexts(disk, path)
    else yield Buffer.from(await disk.read(path)).toString('latin1')
  }
}

test.each([
  ['EIO', 'sync'],
  ['ENOSPC', 'append'],
] as const)(
  'E14: %s in the write-ahead log rejects store with the cause, ends the application with it, and a restart goes on',
  async (errno, kind) => {
    let isBroken = false
    const fail = (call: DiskCall): string | undefined =>
      isBroken && call.kind === kind && call.path.includes('records') ? errno : undefined
    const runs = new Restarts(crashableFileSystem({ fail }))
    const first = manual(runs)
    const end = first.run.end()
    await first.run.ssc.start()
    await until(() => (first.context() as unknown) !== undefined)
    await first.context().storeAll([1], { position: { p: 1n } })
    isBroken = true
    const failed = { code: 'FILE_SYSTEM_FAILED', cause: expect.objectContaining({ code: errno }) as unknown }
    await expect(first.context().storeAll([2], { position: { p: 2n } })).rejects.toMatchObject(failed)
    await first.run.clock.advance(1_000)
    expect(await end).toMatchObject(failed)
    expect(first.batches).toEqual([])
    isBroken = false
    const second = manual(runs)
    await second.run.ssc.start()
    await until(() => (second.context() as unknown) !== undefined)
    // After a failed sync nobody knows whether the record is there; the position tells.
    const next = Number(second.context().position['p'] ?? 0n) + 1
    await second.context().storeAll(numbers(next, 3), { position: { p: 3n } })
    await second.run.batches(1)
    await second.run.ssc.stop({ graceful: false })
    expect(second.batches.flat()).toEqual([1, 2, 3])
  },
)

test('E14: a store that is pending at a graceful stop is durable and in the last batch', async () => {
  const runs = new Restarts()
  const { run, batches, context } = manual(runs)
  await run.ssc.start()
  await until(() => (context() as unknown) !== undefined)
  const stored = context().store(7)
  await run.ssc.stop()
  await stored
  expect(batches.flat()).toEqual([7])
  const next = manual(runs)
  await next.run.ssc.start()
  await next.run.batches(1)
  await next.run.ssc.stop({ graceful: false })
  expect(next.batches.flat()).toEqual([])
})

test('E14: a store that is pending at a stop at once and resolves is there after the restart', async () => {
  const runs = new Restarts()
  const { run, context } = manual(runs)
  await run.ssc.start()
  await until(() => (context() as unknown) !== undefined)
  const stored = context()
    .store(7)
    .then(
      () => true,
      () => false,
    )
  await run.ssc.stop({ graceful: false })
  const isStored = await stored
  const next = manual(runs)
  await next.run.ssc.start()
  await next.run.batches(1)
  await next.run.ssc.stop({ graceful: false })
  if (isStored) expect(next.batches.flat()).toEqual([7])
  else expect(next.batches.flat().length).toBeLessThanOrEqual(1)
})

describe('E15: what nobody can give again', () => {
  test.each(['receiver', 'queue'] as const)(
    'E15: blocks of a %s that were not committed count as empty, with an event and their exact count',
    async (kind) => {
      const runs = new Restarts(memoryFileSystem())
      const lost: number[] = []
      const ran: [number, number][] = []
      let context: ReceiverContext<number> | undefined
      const launch = async (hold: (time: number) => Promise<void> | undefined): Promise<Run> => {
        const run = runs.launch()
        run.ssc.addListener({ onInputLost: ({ records }) => void lost.push(records) })
        const queue = [[1, 2], [3], [4, 5, 6]]
        const stream =
          kind === 'queue'
            ? run.ssc.queueStream(queue, { name: 'in', partitions: 2 })
            : run.ssc.receiverStream<number>(
                {
                  '~sluice': 'receiver/1',
                  onStart: (started) => {
                    context = started
                  },
                  onStop: () => undefined,
                },
                { name: 'in' },
              )
        stream.foreachRDD(async (rdd, time) => {
          await hold(time)
          ran.push([time, await rdd.count()])
        })
        await run.ssc.start()
        return run
      }
      const first = await launch((time) => (time > 1_000 ? forever : undefined))
      const store = async (records: number[]): Promise<void> => {
        if (kind === 'queue') return
        await until(() => context !== undefined)
        await context?.storeAll(records)
      }
      await store([1, 2])
      await first.batches(1)
      for (const records of [[3], [4, 5, 6]]) {
        await store(records)
        await first.clock.advance(1_000)
      }
      await until(() => first.events.includes('submitted 3000'))
      first.kill()
      const second = await launch(() => undefined)
      await until(() => second.completed.length === 2)
      await second.ssc.stop({ graceful: false })
      expect(ran).toEqual([
        [1_000, 2],
        [2_000, 0],
        [3_000, 0],
      ])
      expect(lost).toEqual([4])
      expect(second.log).toContainEqual(expect.stringMatching(/warn: \[in\] 4 records are lost/))
      // They are told once: the batches are committed now.
      const third = await launch(() => undefined)
      await third.ssc.stop({ graceful: false })
      expect(lost).toEqual([4])
    },
  )
})

test('E16: the time-out of a graceful stop is kept while the disk hangs, and what was not safe is not acknowledged', async () => {
  const disk = memoryFileSystem()
  const mortal = mortalFileSystem(disk)
  const clock = new ManualClock()
  const app = harness({ localFileSystem: mortal.fileSystem, checkpoint: 'ckpt', clock, stopTimeout: seconds(4) })
  const end = app.end()
  let context: ReceiverContext<number> | undefined
  app.ssc
    .receiverStream<number>(
      {
        '~sluice': 'receiver/1',
        onStart: (started) => {
          context = started
        },
        onStop: () => undefined,
      },
      { reliable: true },
    )
    .foreachRDD(() => undefined)
  await app.ssc.start()
  await until(() => context !== undefined)
  mortal.kill()
  let isStored = false
  void context?.store(1).then(() => {
    isStored = true
  })
  void app.ssc.stop()
  for (let i = 0; i < 10; i++) await clock.advance(1_000)
  void end
  expect(isStored).toBe(false)
  expect(app.log).toContainEqual(expect.stringMatching(/has not ended within 4 s/))
})

test('E15: a block of a planned batch that is not in the write-ahead log any more fails the start by name', async () => {
  const disk = memoryFileSystem()
  const options = { localFileSystem: disk, checkpoint: 'ckpt', takeOver: true }
  const seen: number[] = []
  let isFailing = true
  const launch = (clock: ManualClock): ReturnType<typeof harness> => {
    const app = harness({ ...options, clock })
    app.ssc
      .receiverStream(resuming(stores['storeAll'] as Store, { acknowledged: 0 }), { name: 'numbers', reliable: true })
      .foreachRDD(async (rdd) => {
        const records = await rdd.collect()
        if (isFailing && records.length > 0) throw new Error('not yet')
        seen.push(...records)
      })
    return app
  }
  const clock = new ManualClock()
  const first = launch(clock)
  const failed = first.end()
  await first.ssc.start()
  await clock.settle()
  await clock.advance(1_000)
  expect(await failed).toMatchObject({ message: 'not yet' })
  for await (const { name } of disk.list('ckpt')) {
    if (name.startsWith('data-')) await disk.removeTree(`ckpt/${name}/records`)
  }
  isFailing = false
  await expect(launch(new ManualClock(clock.now())).ssc.start()).rejects.toMatchObject({
    code: 'INPUT_MISSING',
    message: expect.stringMatching(/block numbers.* of batch 1000 .*--batch 1000 --drop numbers/) as string,
  })
  expect(seen).toEqual([])
})
