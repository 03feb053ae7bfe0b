import { EventEmitter, once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { isSluiceError } from '../errors.js'
import type { ReceiverInfo } from '../observe/listener.js'
import { Gate, harness, until, type Harness } from '../testing/harness.js'
import { milliseconds, seconds } from '../time/duration.js'
import type { StreamingContextOptions } from '../context/streaming-context.js'
import type { DecoderFactory } from './decoder.js'
import type { ReceiverContext } from './receiver.js'
import { chunk, fromReadable, type AnyReceiver } from './receiver-forms.js'
import type { ReceiverStreamOptions } from './receiver-stream.js'

interface Run extends Harness {
  /** Records of each batch. */
  readonly seen: unknown[][]
  readonly infos: ReceiverInfo[]
}

async function started(
  receiver: AnyReceiver<unknown> | readonly AnyReceiver<unknown>[],
  options?: ReceiverStreamOptions,
  context: Partial<StreamingContextOptions> = {},
): Promise<Run> {
  const run = harness(context)
  const seen: unknown[][] = []
  const infos: ReceiverInfo[] = []
  run.ssc.addListener({
    onReceiverStarted: (info) => void infos.push(info),
    onReceiverError: (info) => void infos.push(info),
    onReceiverStopped: (info) => void infos.push(info),
  })
  run.ssc.receiverStream<unknown>(receiver, options).foreachRDD(async (rdd) => void seen.push(await rdd.collect()))
  await run.ssc.start()
  await run.clock.settle()
  return { ...run, seen, infos }
}

/** Waits without end, except that of the run. */
async function ended(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

test('a generator yields records, one by one or in chunks', async () => {
  async function* numbers({ signal }: ReceiverContext<number>): AsyncGenerator<number> {
    yield 1
    yield* chunk([2, 3])
    yield* chunk<number>([])
    yield 4
    await ended(signal)
  }
  const { batch, seen, infos, ssc } = await started(numbers)
  await batch()
  expect(seen).toEqual([[1, 2, 3, 4]])
  expect(infos).toMatchObject([{ name: 'numbers', active: true, starts: 1 }])
  await ssc.stop({ graceful: false })
})

test('a record that is an array stays one record', async () => {
  const { batch, seen, ssc } = await started(async function* ({ signal }) {
    yield [1, 2]
    yield undefined
    yield null
    await ended(signal)
  })
  await batch()
  expect(seen).toEqual([[[1, 2], undefined, null]])
  await ssc.stop({ graceful: false })
})

test('next() is called only when there is room for more', async () => {
  let asked = 0
  async function* endless(): AsyncGenerator<string> {
    while (true) {
      asked++
      yield '.'.repeat(1_000)
    }
  }
  const { clock, batch, seen, ssc } = await started(endless, { maxHeldBytes: 10_000 })
  await clock.advance(900)
  expect(asked).toBe(10)
  await batch()
  await clock.settle()
  expect(asked).toBe(20)
  await batch()
  expect(seen.map((records) => records.length)).toEqual([10, 10])
  await ssc.stop({ graceful: false })
})

test('next() of a generator of chunks is called only when the chunk has room', async () => {
  let asked = 0
  async function* endless(): AsyncGenerator<string> {
    while (true) {
      asked++
      yield* chunk(Array.from({ length: 5 }, () => '.'.repeat(1_000)))
    }
  }
  const { clock, ssc } = await started(endless, { maxHeldBytes: 10_000 })
  await clock.advance(900)
  expect(asked).toBe(2)
  await ssc.stop({ graceful: false })
})

test('E14: a chunk carries a position for each partition of the source, and the next run sees them', async () => {
  const positions: unknown[] = []
  async function* resuming({ position, signal }: ReceiverContext<string>): AsyncGenerator<string> {
    positions.push(position)
    if (positions.length > 1) return ended(signal)
    yield* chunk(['a', 'b'], { position: { p0: 2n, p1: 7n } })
    yield* chunk(['c'], { position: { p0: 3n } })
    yield* chunk<string>([], { position: { p1: 9n } })
    throw new Error('connection lost')
  }
  const { clock, ssc } = await started(resuming)
  await clock.advance(2_000)
  expect(positions).toEqual([{}, { p0: 3n, p1: 9n }])
  await ssc.stop({ graceful: false })
})

test('a generator that throws is started again after the delay, and listeners see the attempts', async () => {
  let runs = 0
  const failure = new Error('connection lost')
  async function* flaky({ signal }: ReceiverContext<string>): AsyncGenerator<string> {
    yield `of run ${String(++runs)}`
    if (runs < 3) throw failure
    await ended(signal)
  }
  const { clock, seen, infos, batches, ssc } = await started(flaky, { restartDelay: milliseconds(100) })
  expect(runs).toBe(1)
  await clock.advance(99)
  expect(runs).toBe(1)
  await clock.advance(1)
  expect(runs).toBe(2)
  await clock.advance(200)
  expect(runs).toBe(3)
  await batches(1)
  expect(seen.flat()).toEqual(['of run 1', 'of run 2', 'of run 3'])
  expect(infos.map(({ active, starts, lastErrorMessage }) => [active, starts, lastErrorMessage])).toEqual([
    [true, 1, undefined],
    [false, 1, 'the source failed: connection lost'],
    [true, 2, 'the source failed: connection lost'],
    [false, 2, 'the source failed: connection lost'],
    [true, 3, 'the source failed: connection lost'],
  ])
  expect(infos.at(-1)?.lastError).toBe(failure)
  await ssc.stop({ graceful: false })
})

test('a generator that returns stops its receiver for good; what it gave is processed', async () => {
  let runs = 0
  async function* finite(): AsyncGenerator<number> {
    runs++
    yield 1
    yield 2
  }
  const { batches, seen, infos, log, ssc } = await started(finite)
  await batches(5)
  expect(runs).toBe(1)
  expect(seen).toEqual([[1, 2], [], [], [], []])
  expect(infos.at(-1)).toMatchObject({ active: false, starts: 1, lastErrorMessage: undefined })
  expect(log.filter((line) => line.startsWith('warn'))).toEqual([])
  await ssc.stop({ graceful: false })
})

test('return() is called at the stop, so that finally blocks run', async () => {
  const steps: string[] = []
  async function* careful(): AsyncGenerator<string> {
    try {
      while (true) {
        yield '.'.repeat(1_000)
        steps.push('next')
      }
    } finally {
      steps.push('released')
    }
  }
  const { ssc, seen } = await started(careful, { maxHeldBytes: 1_500 })
  await ssc.stop()
  // The second one waits for room when the stop comes; it is taken already, so it is processed.
  expect(seen.flat()).toHaveLength(2)
  // Nothing is asked for that would be refused.
  expect(steps).toEqual(['next', 'released'])
})

test('return() is called before the next run, too', async () => {
  const steps: string[] = []
  async function* restarting(context: ReceiverContext<string>): AsyncGenerator<string> {
    try {
      steps.push('run')
      if (steps.length === 1) context.restart('of its own will', undefined, 10)
      yield 'refused in the first run'
      await ended(context.signal)
    } finally {
      steps.push('released')
    }
  }
  const { clock, ssc } = await started(restarting)
  await clock.advance(10)
  expect(steps).toEqual(['run', 'released', 'run'])
  await ssc.stop({ graceful: false })
})

test('a generator that heeds the signal ends at once', async () => {
  async function* waiting({ clock, signal }: ReceiverContext<string>): AsyncGenerator<string> {
    while (true) {
      yield 'tick'
      await clock.sleep(3_600_000, signal)
    }
  }
  const { ssc, seen, infos } = await started(waiting)
  await ssc.stop()
  expect(seen).toEqual([['tick']])
  expect(infos.at(-1)).toMatchObject({ active: false, lastErrorMessage: undefined })
})

test('a generator that ignores the signal and hangs is left behind after the time-out', async () => {
  async function* stuck(): AsyncGenerator<string> {
    yield 'before'
    await new Promise(() => undefined)
  }
  const { ssc, clock, seen, log, end } = await started(stuck, {}, { stopTimeout: seconds(4) })
  const stopped = end()
  const stopping = ssc.stop()
  await clock.advance(1_000)
  await stopping
  expect(await stopped).toBeUndefined()
  expect(seen.flat()).toEqual(['before'])
  expect(log).toContain('warn: [stuck] onStop has not returned within 1000 ms and is left behind')
  expect(clock.sleeping).toBe(0)
})

test('a generator that fails while it is ended is reported, and the stop goes on', async () => {
  async function* rude(): AsyncGenerator<string> {
    try {
      while (true) yield '.'.repeat(1_000)
    } finally {
      throw new Error('already closed')
    }
  }
  const { ssc, infos } = await started(rude, { maxHeldBytes: 100 })
  await ssc.stop()
  expect(infos.map(({ lastErrorMessage }) => lastErrorMessage)).toContain('onStop failed: already closed')
})

test('the function itself may fail, at once or later: it is called again', async () => {
  let runs = 0
  const open = (): Promise<AsyncIterable<string>> => {
    if (++runs === 1) throw new Error('no address')
    if (runs === 2) return Promise.reject(new Error('refused'))
    return Promise.resolve(Readable.from(['at last']))
  }
  const { clock, batch, seen, infos, ssc } = await started(open, { restartDelay: milliseconds(100) })
  await clock.advance(300)
  await batch()
  expect(seen.flat()).toEqual(['at last'])
  expect(infos.map(({ lastErrorMessage }) => lastErrorMessage).slice(0, 2)).toEqual([
    'could not start: no address',
    'could not start: refused',
  ])
  await ssc.stop({ graceful: false })
})

test('what was opened too late is closed', async () => {
  const gate = new Gate()
  const stream = new PassThrough({ objectMode: true })
  const open = async (): Promise<Readable> => {
    await gate.opened
    return stream
  }
  const { ssc, clock } = await started(open, {}, { stopTimeout: seconds(4) })
  const stopping = ssc.stop()
  await clock.advance(1_000)
  await stopping
  gate.open()
  await until(() => stream.destroyed)
})

test.for([
  ['a promise of nothing', () => Promise.resolve(undefined as unknown as AsyncIterable<string>), 'returned undefined'],
  ['an array', () => ['a'] as unknown as AsyncIterable<string>, 'returned an object'],
  ['a stream of bytes', () => new PassThrough(), 'fromReadable(open, { decode })'],
] as const)('a function that returns %s is told what is wanted', async ([, open, message]) => {
  const { infos, ssc } = await started(open)
  expect(infos.at(-1)?.lastErrorMessage).toContain(message)
  expect(isSluiceError(infos.at(-1)?.lastError, 'ARGUMENT_INVALID')).toBe(true)
  await ssc.stop({ graceful: false })
})

test('several receivers of different forms are united', async () => {
  async function* letters(): AsyncGenerator<string> {
    yield 'a'
    yield 'b'
  }
  const { batch, seen, infos, ssc } = await started([letters, () => Readable.from(['c', 'd']), fromObject(['e'])])
  await batch()
  expect(seen).toEqual([['a', 'b', 'c', 'd', 'e']])
  expect(new Set(infos.map(({ receiver }) => receiver))).toEqual(new Set([0, 1, 2]))
  await ssc.stop({ graceful: false })
})

function fromObject(records: readonly string[]): AnyReceiver<unknown> {
  return {
    '~sluice': 'receiver/1',
    onStart: (context) => context.storeAll(records),
    onStop: () => undefined,
  }
}

test('a Readable in object mode gives its objects, and is destroyed at the stop', async () => {
  const stream = new PassThrough({ objectMode: true })
  const { clock, batch, seen, ssc } = await started(() => stream)
  stream.write({ id: 1 })
  stream.write({ id: 2 })
  await batch()
  stream.write({ id: 3 })
  await clock.settle()
  await ssc.stop()
  expect(seen).toEqual([[{ id: 1 }, { id: 2 }], [{ id: 3 }]])
  expect(stream.destroyed).toBe(true)
})

test('an idle Readable does not hold up the stop', async () => {
  const stream = new PassThrough({ objectMode: true })
  const { ssc, log } = await started(() => stream)
  // No time passes: a time-out would hang here.
  await ssc.stop()
  expect(stream.destroyed).toBe(true)
  expect(log.filter((line) => line.startsWith('warn'))).toEqual([])
})

test('a Readable is held back when there is no room', async () => {
  let read = 0
  const open = (): Readable =>
    new Readable({
      objectMode: true,
      highWaterMark: 1,
      read() {
        read++
        this.push('.'.repeat(1_000))
      },
    })
  const { clock, batch, ssc } = await started(open, { maxHeldBytes: 10_000 })
  await clock.advance(900)
  expect(read).toBeLessThanOrEqual(12)
  const before = read
  await batch()
  await clock.settle()
  expect(read).toBeGreaterThanOrEqual(before + 9)
  await ssc.stop({ graceful: false })
})

test('the error of a Readable starts it again', async () => {
  const streams = [new PassThrough({ objectMode: true }), new PassThrough({ objectMode: true })]
  let runs = 0
  const { clock, batch, seen, infos, ssc } = await started(() => streams[runs++]!, { restartDelay: milliseconds(10) })
  streams[0]!.write('before')
  await clock.settle()
  streams[0]!.destroy(new Error('ECONNRESET'))
  await clock.advance(10)
  expect(runs).toBe(2)
  streams[1]!.write('after')
  await batch()
  expect(seen).toEqual([['before', 'after']])
  expect(infos.map(({ lastErrorMessage }) => lastErrorMessage)).toContain('the source failed: ECONNRESET')
  // A stream that is gone may still fail: it does not end the process.
  streams[0]!.emit('error', new Error('late'))
  await ssc.stop({ graceful: false })
})

test('a Readable that is closed before its end is started again', async () => {
  let runs = 0
  const streams: PassThrough[] = []
  const open = (): Readable => {
    runs++
    const stream = new PassThrough({ objectMode: true })
    streams.push(stream)
    return stream
  }
  const { clock, infos, ssc } = await started(open, { restartDelay: milliseconds(10) })
  streams[0]!.destroy()
  await clock.advance(10)
  expect(runs).toBe(2)
  expect(infos.map(({ lastErrorMessage }) => lastErrorMessage)).toContain('the source failed: Premature close')
  await ssc.stop({ graceful: false })
})

/** Records of two bytes each. */
const pairs: DecoderFactory<string> = () => {
  let rest = ''
  return {
    write(bytes) {
      const text = rest + bytes.toString('latin1')
      const whole = text.length - (text.length % 2)
      rest = text.slice(whole)
      return text.slice(0, whole).match(/../gs) ?? []
    },
    end: () => (rest === '' ? [] : [rest]),
    drop: () => rest.length,
  }
}

test('fromReadable decodes bytes, wherever they are cut', async () => {
  const open = (): Readable =>
    Readable.from([Buffer.from('aab'), Buffer.from('bc'), Buffer.from('cd')], { objectMode: false })
  const { batch, seen, infos, ssc } = await started(fromReadable(open, { name: 'two bytes', decode: pairs }))
  await batch()
  expect(seen).toEqual([['aa', 'bb', 'cc', 'd']])
  expect(infos.at(-1)).toMatchObject({ name: 'two bytes', active: false, lastErrorMessage: undefined })
  await ssc.stop({ graceful: false })
})

test('fromReadable makes a decoder for each run, and tells what a broken stream dropped', async () => {
  const streams = [new PassThrough(), new PassThrough()]
  let runs = 0
  const receiver = fromReadable(() => streams[runs++]!, { decode: pairs })
  const { clock, batch, seen, infos, ssc } = await started(receiver, { restartDelay: milliseconds(10) })
  streams[0]!.write('aab')
  await clock.settle()
  streams[0]!.destroy(new Error('reset'))
  await clock.advance(10)
  streams[1]!.write('cc')
  await batch()
  expect(seen).toEqual([['aa', 'cc']])
  expect(infos.map(({ lastErrorMessage }) => lastErrorMessage)).toContain(
    'the source failed: reset; 1 bytes that are no whole record were dropped',
  )
  await ssc.stop({ graceful: false })
})

test('a decoder that throws, or says that it cannot go on, ends the run; the records before the damage are kept', async () => {
  let runs = 0
  const decode: DecoderFactory<string> = () => {
    const run = ++runs
    let failure: Error | undefined
    return {
      write(bytes) {
        if (run === 1) throw new Error('no such version')
        if (run === 2) failure = new Error('bad length')
        return [bytes.toString()]
      },
      end: () => [],
      get failure() {
        return failure
      },
    }
  }
  const open = (): Readable => Readable.from([Buffer.from('x')], { objectMode: false })
  const { clock, batch, seen, infos, ssc } = await started(fromReadable(open, { decode }), {
    restartDelay: milliseconds(10),
  })
  await clock.advance(50)
  await batch()
  expect(seen.flat()).toEqual(['x', 'x'])
  expect(infos.map(({ lastErrorMessage }) => lastErrorMessage)).toEqual(
    expect.arrayContaining(['the source failed: no such version', 'the source failed: bad length']),
  )
  await ssc.stop({ graceful: false })
})

test('fromReadable refuses to decode objects', async () => {
  const { infos, ssc } = await started(fromReadable(() => new PassThrough({ objectMode: true }), { decode: pairs }))
  expect(infos.at(-1)?.lastErrorMessage).toContain('leave out decode')
  await ssc.stop({ graceful: false })
})

test('a decoder reports problems to listeners', async () => {
  const decode: DecoderFactory<string> = ({ report }) => ({
    write(bytes) {
      report('skipped a line')
      return [bytes.toString()]
    },
    end: () => [],
  })
  const stream = new PassThrough()
  const { clock, infos, ssc } = await started(fromReadable(() => stream, { decode }))
  stream.write('x')
  await clock.settle()
  expect(infos.at(-1)).toMatchObject({ active: true, lastErrorMessage: 'skipped a line' })
  await ssc.stop({ graceful: false })
})

test('the back-off doubles up to the longest delay, and starts over after a run that went well', async () => {
  const starts: number[] = []
  const source = new EventEmitter()
  const { clock, ssc } = await started(
    async function* ({ clock: time, signal }: ReceiverContext<string>) {
      starts.push(time.monotonic())
      if (starts.length === 7) {
        yield 'data'
        await once(source, 'end', { signal })
      }
      throw new Error('refused')
    },
    { restartDelay: seconds(1), maxRestartDelay: seconds(8) },
  )
  await clock.advance(40_000)
  const pauses = starts.slice(1).map((at, i) => at - (starts[i] ?? 0))
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 8_000])
  source.emit('end')
  await clock.advance(1_000)
  expect(starts).toHaveLength(8)
  await clock.advance(2_000)
  expect(starts).toHaveLength(9)
  await ssc.stop({ graceful: false })
})

test('the back-off does not start over for a run that stored something and failed at once', async () => {
  let runs = 0
  const { clock, ssc } = await started(
    async function* () {
      runs++
      yield 'the record that kills'
      throw new Error('poison')
    },
    { restartDelay: seconds(1), maxRestartDelay: seconds(100) },
  )
  await clock.advance(15_000)
  expect(runs).toBe(5)
  await ssc.stop({ graceful: false })
})

test.for([
  [{ restartDelay: milliseconds(0), maxRate: 0 }, 'maxRate must be above 0'],
  [{ restartDelay: seconds(10), maxRestartDelay: seconds(5) }, 'maxRestartDelay must be at least restartDelay'],
] as const)('options that make no sense are refused: %o', ([options, message]) => {
  const { ssc } = harness()
  expect(() => ssc.receiverStream(() => Readable.from([]), options)).toThrowError(message)
})

test.for(['memory', 'memory-and-disk', 'disk'] as const)(
  'storage level %s gives back what was stored',
  async (level) => {
    const open = (): Readable => Readable.from(Array.from({ length: 1_000 }, (_, i) => ({ id: i, at: 10n ** 20n })))
    const { batch, seen, ssc } = await started(open, { storageLevel: level })
    await batch()
    expect(seen.flat()).toHaveLength(1_000)
    expect(seen[0]?.at(-1)).toEqual({ id: 999, at: 10n ** 20n })
    await ssc.stop({ graceful: false })
  },
)

test('blocks that do not fit in the memory budget spill, and nothing is lost', async () => {
  const open = (): Readable => Readable.from(Array.from({ length: 200 }, (_, i) => `${String(i)}:`.padEnd(10_000, '.')))
  const { batch, seen, ssc } = await started(open, { blockInterval: milliseconds(50) }, { memoryBudgetBytes: 100_000 })
  await batch()
  expect(seen.flat().map((text) => Number.parseInt(String(text), 10))).toEqual(Array.from({ length: 200 }, (_, i) => i))
  await ssc.stop({ graceful: false })
})

test.for([3_600_000, -3_600_000])(
  'the wall clock jumps by %i ms: receiving and batches go on at their pace',
  async (jump) => {
    let sent = 0
    const { clock, batch, seen, ssc } = await started(async function* ({
      clock: time,
      signal,
    }: ReceiverContext<number>) {
      while (true) {
        yield sent++
        await time.sleep(100, signal)
      }
    })
    await batch()
    clock.jumpTo(clock.now() + jump)
    for (let i = 0; i < 5; i++) await batch()
    await ssc.stop()
    expect(seen.flat()).toEqual(Array.from({ length: sent }, (_, i) => i))
    for (const records of seen.slice(0, 6)) expect(Math.abs(records.length - 10)).toBeLessThanOrEqual(1)
  },
)
