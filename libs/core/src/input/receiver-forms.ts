/** The forms in which a receiver may be written: an object, an async generator, a Node `Readable`. */
import type { Readable } from 'node:stream'
import { messageOf, requireArgument, SluiceError } from '../errors.js'
import type { Decoder, DecoderFactory } from './decoder.js'
import type { Receiver, ReceiverContext, SourcePosition } from './receiver.js'

/** What a receiver function returns: records one by one, or `yield* chunk(records)`; a `Readable` in object mode is one. */
export type RecordSource<T> = AsyncIterable<T>

/**
 * A receiver as a function. It is called for each run. `next()` of what it returns is called only when what came before is
 * safe and there is room; at the end of the run its `return()`, or `destroy()` of a `Readable`. When it ends, the receiver
 * stops for good; when it throws, it is started again after the stream's back-off.
 *
 * A generator that waits inside must heed `context.signal`: otherwise its `return()` waits as long, and it is left behind.
 */
export type ReceiverFunction<T> = (context: ReceiverContext<T>) => RecordSource<T> | Promise<RecordSource<T>>

/** Whatever is accepted where a receiver is asked for. */
export type AnyReceiver<T> = Receiver<T> | ReceiverFunction<T>

export interface ReadableReceiverOptions<T> {
  /** For messages and listeners. Default: the name of the function. */
  readonly name?: string | undefined
  /** Makes records of the bytes of a stream. Must be left out for a stream in object mode: its objects are the records. */
  readonly decode?: DecoderFactory<T> | undefined
}

/** Many records on their way through a generator. */
interface Chunk {
  readonly '~sluice': 'chunk/1'
  readonly records: readonly unknown[]
  readonly position: SourcePosition | undefined
}

/**
 * For generators: `yield* chunk(records)` gives many records at once, as `storeAll` does, which is much cheaper than one by
 * one. With the position of the last of them, where the source has positions.
 */
export function chunk<T>(
  records: readonly T[],
  { position }: { readonly position?: SourcePosition | undefined } = {},
): Iterable<T> {
  if (records.length === 0 && position === undefined) return []
  const marked: Chunk = { '~sluice': 'chunk/1', records, position }
  return [marked as T]
}

/**
 * A receiver of what a Node `Readable` gives; `open` is called for each run. At the end of the stream the receiver stops for
 * good; when the stream fails, it is started again after the stream's back-off.
 */
export function fromReadable<T>(
  open: (context: ReceiverContext<T>) => Readable | Promise<Readable>,
  { name, decode }: ReadableReceiverOptions<T> = {},
): Receiver<T> {
  requireArgument(typeof open === 'function', 'fromReadable', 'the argument must be a function that opens the stream')
  return new PullReceiver(open, name ?? open.name, decode)
}

/** The receiver behind any form. Throws `CONTRACT_VERSION` for what is none. */
export function receiverOf<T>(form: AnyReceiver<T>): Receiver<T> {
  if (typeof form === 'function') return new PullReceiver(form, form.name)
  const version: unknown = (form as Partial<Receiver<T>> | undefined)?.['~sluice']
  if (version === 'receiver/1') return form
  throw new SluiceError({
    code: 'CONTRACT_VERSION',
    component: 'receiverStream',
    message: `the receiver says it is '${String(version)}', and this core knows 'receiver/1'; give an object with '~sluice': 'receiver/1', onStart and onStop, or a function that returns an async iterable`,
  })
}

/** A source that is being read. */
interface Pull {
  readonly iterator: AsyncIterator<unknown>
  /** Ends it; what it waits for may still have to end. */
  close(): Promise<void>
}

class PullReceiver<T> implements Receiver<T> {
  readonly '~sluice' = 'receiver/1'
  readonly name: string | undefined
  readonly #open: ReceiverFunction<T>
  readonly #decode: DecoderFactory<T> | undefined
  /** Ends the current run. */
  #close: (() => Promise<void>) | undefined

  constructor(open: ReceiverFunction<T>, name: string, decode?: DecoderFactory<T>) {
    this.#open = open
    this.name = name === '' ? undefined : name
    this.#decode = decode
  }

  async onStart(context: ReceiverContext<T>): Promise<void> {
    const pull = pullOf(await this.#open(context), this.#decode !== undefined)
    // The run may have ended while this opened, and then nobody else would close it.
    if (context.signal.aborted) return pull.close()
    const decoder = this.#decode?.({ clock: context.clock, report: context.report.bind(context) })
    const pumping = decoder === undefined ? pump(pull, context) : pumpDecoded(pull, context, decoder)
    this.#close = async () => {
      await pull.close()
      await pumping
    }
  }

  async onStop(): Promise<void> {
    const close = this.#close
    this.#close = undefined
    await close?.()
  }
}

function pullOf(source: unknown, isDecoded: boolean): Pull {
  if (isReadable(source)) return pullReadable(source, isDecoded)
  const iterable = source as Partial<AsyncIterable<unknown>> | null | undefined
  const iterator = iterable?.[Symbol.asyncIterator]?.()
  if (iterator === undefined || isDecoded) {
    const wanted = isDecoded ? 'a Node Readable' : 'an async iterable: an async generator or a Node Readable'
    throw new SluiceError({
      code: 'ARGUMENT_INVALID',
      component: 'receiverStream',
      message: `the receiver function returned ${describe(source)}; it must return ${wanted}`,
    })
  }
  return { iterator, close: async () => void (await iterator.return?.()) }
}

function pullReadable(stream: Readable, isDecoded: boolean): Pull {
  // A stream that is being destroyed may still fail, which nobody wants to know any more.
  stream.on('error', () => undefined)
  if (stream.readableObjectMode === isDecoded) {
    stream.destroy()
    const message = isDecoded
      ? 'the stream is in object mode, so there is nothing to decode; leave out decode'
      : 'the stream gives bytes, cut anywhere; say how they become records: fromReadable(open, { decode })'
    throw new SluiceError({ code: 'ARGUMENT_INVALID', component: 'receiverStream', message })
  }
  const iterator = stream[Symbol.asyncIterator]()
  // `return()` of its iterator would wait for the next chunk, which may never come.
  return { iterator, close: () => Promise.resolve(void stream.destroy()) }
}

/** Also a stream of another copy of the class. */
function isReadable(source: unknown): source is Readable {
  const stream = source as Partial<Readable> | null | undefined
  return typeof stream?.readableObjectMode === 'boolean' && typeof stream.destroy === 'function'
}

async function pump<T>({ iterator }: Pull, context: ReceiverContext<T>): Promise<void> {
  const { signal } = context
  try {
    // What is asked for after the end of the run would be refused, and so be lost.
    while (!signal.aborted) {
      const { done, value } = await iterator.next()
      if (done === true) return context.stop()
      await (isChunk(value)
        ? context.storeAll(value.records as readonly T[], { position: value.position })
        : context.store(value as T))
    }
  } catch (error) {
    failed(context, error)
  }
}

async function pumpDecoded<T>({ iterator }: Pull, context: ReceiverContext<T>, decoder: Decoder<T>): Promise<void> {
  const { signal } = context
  let isEnded = false
  const store = async (records: readonly T[]): Promise<void> => {
    if (records.length > 0) await context.storeAll(records)
    if (decoder.failure !== undefined) throw decoder.failure
  }
  try {
    while (!signal.aborted && !isEnded) {
      const { done, value } = await iterator.next()
      if (done === true) isEnded = true
      else await store(decoder.write(bytesOf(value)))
    }
    if (!isEnded) return void dropped(decoder)
    await store(decoder.end())
    context.stop()
  } catch (error) {
    failed(context, error, isEnded ? 0 : dropped(decoder))
  }
}

function dropped(decoder: Decoder<unknown>): number {
  try {
    return decoder.drop?.() ?? 0
  } catch {
    // What it failed with before is what matters.
    return 0
  }
}

/** After the end of the run nobody wants to know. */
function failed(context: ReceiverContext<never>, error: unknown, droppedBytes = 0): void {
  if (context.signal.aborted) return
  const loss = droppedBytes === 0 ? '' : `; ${String(droppedBytes)} bytes that are no whole record were dropped`
  context.restart(`the source failed: ${messageOf(error)}${loss}`, error)
}

function isChunk(value: unknown): value is Chunk {
  return typeof value === 'object' && value !== null && (value as Partial<Chunk>)['~sluice'] === 'chunk/1'
}

function bytesOf(chunk: unknown): Buffer {
  if (Buffer.isBuffer(chunk)) return chunk
  return Buffer.from(chunk as string | Uint8Array)
}

function describe(value: unknown): string {
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
