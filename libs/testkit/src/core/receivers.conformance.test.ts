import { Readable } from 'node:stream'
import { chunk, fromReadable, SluiceError, type AnyReceiver, type Decoder, type ReceiverContext } from '@sluice/core'
import { describe, test } from 'vitest'
import { receiverConformance, receiverOf, type ReceiverTarget, type Skip } from '../index.js'

/** A log of lines that many can follow. */
class Feed {
  readonly log: string[] = []
  readonly followers = new Set<Follower>()
  broken = false

  /** What comes from now on; with `from`, from there. */
  follow(signal: AbortSignal, from = this.log.length): Follower {
    if (this.broken) throw cut()
    const follower = new Follower(signal, () => this.followers.delete(follower))
    this.followers.add(follower)
    if (from < this.log.length) follower.push({ records: this.log.slice(from), last: this.log.length - 1 })
    return follower
  }

  send(records: readonly string[]): void {
    this.log.push(...records)
    for (const follower of this.followers) follower.push({ records, last: this.log.length - 1 })
  }

  break(): void {
    this.broken = true
    for (const follower of this.followers) follower.fail(cut())
  }
}

interface Piece {
  readonly records: readonly string[]
  /** Position of the last of them. */
  readonly last: number
}

function cut(): SluiceError {
  return new SluiceError({ code: 'CONNECTION_FAILED', component: 'feed', message: 'the feed is gone; is it up?' })
}

class Follower {
  readonly #signal: AbortSignal
  readonly #queue: Piece[] = []
  readonly close: () => void
  #failure: Error | undefined
  #wake: () => void = () => undefined

  constructor(signal: AbortSignal, close: () => void) {
    this.#signal = signal
    this.close = close
    signal.addEventListener('abort', () => {
      this.#wake()
    })
  }

  push(piece: Piece): void {
    this.#queue.push(piece)
    this.#wake()
  }

  fail(error: Error): void {
    this.#failure = error
    this.#wake()
  }

  /** Undefined at the end of the run. */
  async next(): Promise<Piece | undefined> {
    while (this.#queue.length === 0) {
      if (this.#failure !== undefined) throw this.#failure
      if (this.#signal.aborted) return undefined
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return this.#queue.shift()
  }
}

const noPosition: Skip = {
  test: 'E14: a run goes on above the last safe position, without loss and without doubles',
  reason: 'what is yielded one by one carries no position; chunk(records, { position }) can',
}

function target(make: (feed: Feed) => AnyReceiver<string>): () => ReceiverTarget<string> {
  return () => {
    const feed = new Feed()
    return {
      receiver: receiverOf(make(feed)),
      send: async (records) => {
        // A generator begins to follow when its first record is asked for, a little after onStart.
        await new Promise((resolve) => setImmediate(resolve))
        feed.send(records)
      },
      held: () => feed.followers.size,
      break: () => {
        feed.break()
      },
      repair: () => {
        feed.broken = false
      },
    }
  }
}

async function* followed(follower: Follower): AsyncGenerator<Piece> {
  try {
    for (let next = await follower.next(); next !== undefined; next = await follower.next()) yield next
  } finally {
    follower.close()
  }
}

/** As those of Node: it ends when it is destroyed, and knows nothing of the run. */
function readableOf(
  feed: Feed,
  options: { objectMode: boolean },
  follower = feed.follow(new AbortController().signal),
): Readable {
  const readable = new Readable({
    ...options,
    read: () => undefined,
    destroy(error, done) {
      follower.close()
      done(error)
    },
  })
  follower.push = ({ records }) => {
    if (options.objectMode) for (const record of records) readable.push(record)
    else readable.push(records.map((record) => `${record}\n`).join(''))
  }
  follower.fail = (error) => readable.destroy(error)
  return readable
}

function lines(): Decoder<string> {
  let rest = ''
  return {
    write(bytes) {
      const parts = (rest + bytes.toString()).split('\n')
      rest = parts.pop() ?? ''
      return parts
    },
    end: () => [],
  }
}

const forms: readonly (readonly [string, (feed: Feed) => AnyReceiver<string>, readonly Skip[]])[] = [
  [
    'an async generator that yields records',
    (feed) =>
      async function* records({ signal }: ReceiverContext<string>) {
        for await (const piece of followed(feed.follow(signal))) yield* piece.records
      },
    [noPosition],
  ],
  [
    'an async generator that yields chunks with positions',
    (feed) =>
      async function* chunks({ signal, position }: ReceiverContext<string>) {
        const from = Number(position['feed'] ?? -1n) + 1
        for await (const { records, last } of followed(feed.follow(signal, from)))
          yield* chunk(records, { position: { feed: BigInt(last) } })
      },
    [],
  ],
  [
    'a function that takes its time to open',
    (feed) => async (context: ReceiverContext<string>) => {
      const follower = feed.follow(context.signal)
      await context.clock.sleep(2)
      return readableOf(feed, { objectMode: true }, follower)
    },
    [noPosition],
  ],
  ['a function that gives a Readable', (feed) => () => readableOf(feed, { objectMode: true }), [noPosition]],
  [
    'fromReadable with a decoder',
    (feed) => fromReadable(() => readableOf(feed, { objectMode: false }), { decode: lines }),
    [noPosition],
  ],
]

for (const [name, make, skip] of forms) {
  receiverConformance<string>({
    describe,
    test,
    name,
    open: target(make),
    record: (index) => `record ${String(index)}`,
    skip,
  })
}
