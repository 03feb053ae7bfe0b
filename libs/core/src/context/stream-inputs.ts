/** Where streams come from: the methods of a streaming context that make one. */
import type { DStream, TransformOptions } from '../dstream/dstream.js'
import { DStreamImpl, self, transformStreams, unionStreams } from '../dstream/dstream-impl.js'
import type { StreamEnvironment } from '../dstream/dstream-outputs.js'
import type { StreamGraph } from '../dstream/graph.js'
import type { TransformFunction } from '../dstream/transform-stream.js'
import { requireArgument, SluiceError } from '../errors.js'
import { binaryRecords } from '../input/binary-records.js'
import type { PlannedFile } from '../input/file-names.js'
import { fileSource, type FileStreamOptions } from '../input/file-source.js'
import type { InputSource } from '../input/input.js'
import { SourceInputStream, type InputStream } from '../input/input-stream.js'
import { queueSource, type absent, type QueueOptions } from '../input/queue-source.js'
import { receiverOf, type AnyReceiver } from '../input/receiver-forms.js'
import { ReceiverStream, type ReceiverStreamOptions } from '../input/receiver-stream.js'
import type { ListenerBus } from '../observe/listener.js'
import type { Rdd } from '../rdd/rdd.js'
import type { OpOptions } from '../rdd/types.js'
import type { FileSystem } from '../storage/file-system.js'
import { readLines } from '../storage/text.js'
import type { BatchTime } from '../time/duration.js'
import type { SluiceContext } from './sluice-context.js'

export interface StreamInputsParts {
  readonly context: SluiceContext
  readonly graph: StreamGraph
  readonly bus: ListenerBus
  readonly stopTimeoutMs: number
  readonly environment: StreamEnvironment
}

/** Reads one file of a `fileStream`, in chunks of records. */
export type FileReader<T> = (file: PlannedFile, fileSystem: FileSystem) => AsyncIterable<readonly T[]>

export abstract class StreamInputs {
  readonly sluiceContext: SluiceContext
  protected readonly inputs: InputStream[] = []
  readonly #parts: StreamInputsParts

  constructor(parts: StreamInputsParts) {
    this.#parts = parts
    this.sluiceContext = parts.context
  }

  /**
   * A stream of what a receiver pushes, or several alike. A receiver is an object with `onStart` and `onStop`, or a function
   * that returns an async iterable: an async generator, a Node `Readable`.
   */
  receiverStream<T>(
    receiver: AnyReceiver<T> | readonly AnyReceiver<T>[],
    options: ReceiverStreamOptions = {},
  ): DStream<T> {
    const forms = Array.isArray(receiver) ? (receiver as readonly AnyReceiver<T>[]) : [receiver as AnyReceiver<T>]
    requireArgument(forms.length > 0, 'receiverStream', 'at least one receiver is needed')
    const { graph, bus, context, stopTimeoutMs } = this.#parts
    const receivers = forms.map((form) => receiverOf(form))
    const id = graph.opId('receiverStream', optionsWithName(options.name))
    // What remains of the time is for the batches of what the receiver stored.
    const environment = { blocks: context.engine.blocks, bus, stopTimeoutMs: Math.floor(stopTimeoutMs / 4) }
    return this.#input(new ReceiverStream(graph, id, this.inputs.length, receivers, options, environment))
  }

  /** A stream of a direct source: one that is asked what each batch covers. */
  inputStream<T>(source: InputSource<T>, options?: OpOptions): DStream<T> {
    const version: string = source['~sluice']
    if (version !== 'input/1') {
      throw new SluiceError({
        code: 'CONTRACT_VERSION',
        component: 'inputStream',
        message: `the source says it is '${version}', and this core knows 'input/1'; install versions that belong together`,
      })
    }
    const { graph } = this.#parts
    const id = graph.opId('inputStream', options)
    return this.#input(new SourceInputStream(graph, id, this.inputs.length, source))
  }

  /** Each array of `queue` becomes a batch; for tests and examples. */
  queueStream<T>(queue: readonly (readonly T[] | typeof absent)[], options: QueueOptions = {}): DStream<T> {
    return this.inputStream<T>(queueSource(queue, options), optionsWithName(options.name))
  }

  /** The lines of each new file of a folder; `.gz` is unpacked. Files must be moved into the folder whole. */
  textFileStream(directory: string, options?: FileStreamOptions): DStream<string> {
    return this.fileStream(directory, (file, fileSystem) => readLines(fileSystem, file.path), options)
  }

  /** The records that `read` makes of each new file of a folder. */
  fileStream<T>(directory: string, read: FileReader<T>, options: FileStreamOptions = {}): DStream<T> {
    const { fileSystem, path } = this.#parts.context.engine.fileSystems.resolve(directory)
    const source = fileSource<T>({ fileSystem, directory: path, options, read: (file) => read(file, fileSystem) })
    return this.inputStream<T>(source, optionsWithName(options.name))
  }

  /** Each new file of a folder cut into records of `recordLength` bytes. A file of another length fails its batch. */
  binaryRecordsStream(directory: string, recordLength: number, options?: FileStreamOptions): DStream<Uint8Array> {
    requireArgument(
      Number.isSafeInteger(recordLength) && recordLength >= 1,
      'binaryRecordsStream',
      `recordLength must be a whole number of bytes of at least 1, not ${String(recordLength)}`,
    )
    return this.fileStream(directory, (file, fileSystem) => binaryRecords(fileSystem, file, recordLength), options)
  }

  /** The records of all streams, one after another. All need the same slide. */
  union<S extends readonly [DStream<unknown>, ...DStream<unknown>[]]>(
    ...streams: S
  ): DStream<S[number] extends DStream<infer T> ? T : never> {
    const nodes = streams.map((stream) => self(stream).node)
    return unionStreams(nodes, this.#parts.environment)
  }

  /** A stream made batch by batch from the RDDs of several, in the driver. */
  transform<U, D = undefined>(
    streams: readonly [DStream<unknown>, ...DStream<unknown>[]],
    f: (rdds: readonly Rdd<never>[], time: BatchTime, sideData: D) => Rdd<U> | Promise<Rdd<U>>,
    options?: TransformOptions<D>,
  ): DStream<U> {
    requireArgument(typeof f === 'function', 'transform', 'the argument must be a function')
    const nodes = streams.map((stream) => self(stream).node)
    const apply: TransformFunction = (rdds, time, side) => f(rdds, time, side as D)
    return transformStreams<U>(nodes, this.#parts.environment, apply, 'transform', options)
  }

  #input<T>(stream: InputStream): DStream<T> {
    this.inputs.push(stream)
    return new DStreamImpl<T>(stream, this.#parts.environment)
  }
}

function optionsWithName(name: string | undefined): OpOptions | undefined {
  return name === undefined ? undefined : { name }
}
