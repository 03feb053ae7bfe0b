/** What can be done with a stream's batches. */
import { requireArgument } from '../errors.js'
import type { Rdd } from '../rdd/rdd.js'
import type { OpOptions } from '../rdd/types.js'
import { objectFileSink } from '../sink/object-file-sink.js'
import type { OutputOptions, Sink } from '../sink/sink.js'
import { textFileSink } from '../sink/text-file-sink.js'
import type { FileSystems } from '../storage/paths.js'
import type { BatchTime, Duration } from '../time/duration.js'
import { foreachOutput, printOutput, sinkOutput } from './outputs.js'
import type { StreamNode } from './stream-node.js'

/** What outputs need of the outside. */
export interface StreamEnvironment {
  readonly fileSystems: FileSystems
  stdout(text: string): void
}

type FilesOptions = OpOptions & { readonly skipEmpty?: boolean | undefined }

export abstract class DStreamOutputs<out T> {
  readonly '~sluice' = 'dstream/1'
  readonly node: StreamNode
  readonly environment: StreamEnvironment

  constructor(node: StreamNode, environment: StreamEnvironment) {
    this.node = node
    this.environment = environment
  }

  get slideDuration(): Duration {
    return this.node.slideDuration
  }

  foreachRDD(f: (rdd: Rdd<T>, time: BatchTime) => void | Promise<void>, options?: OpOptions): void {
    requireArgument(typeof f === 'function', 'foreachRDD', 'the argument must be a function')
    const id = this.node.graph.opId('foreachRDD', options)
    this.node.graph.addOutput(foreachOutput(this.node, id, f as Parameters<typeof foreachOutput>[2]))
  }

  print(options?: OpOptions & { readonly limit?: number | undefined }): void {
    const limit = options?.limit ?? 10
    const id = this.node.graph.opId('print', options)
    requireArgument(
      Number.isSafeInteger(limit) && limit >= 0,
      id,
      `limit must be a whole number of at least 0, not ${String(limit)}`,
    )
    this.node.graph.addOutput(
      printOutput(this.node, id, limit, (text) => {
        this.environment.stdout(text)
      }),
    )
  }

  saveAsTextFiles(prefix: string, suffix?: string, options?: FilesOptions): void {
    const { fileSystem, path } = this.environment.fileSystems.resolve(prefix)
    const { skipEmpty } = options ?? {}
    this.#addSink('saveAsTextFiles', textFileSink<T>({ prefix: path, suffix, skipEmpty, fileSystem }), options)
  }

  saveAsObjectFiles(prefix: string, suffix?: string, options?: FilesOptions): void {
    const { fileSystem, path } = this.environment.fileSystems.resolve(prefix)
    const { skipEmpty } = options ?? {}
    this.#addSink('saveAsObjectFiles', objectFileSink<T>({ prefix: path, suffix, skipEmpty, fileSystem }), options)
  }

  to(sink: Sink<T>, options?: OutputOptions<T>): void {
    this.#addSink('to', sink, options)
  }

  #addSink(kind: string, sink: Sink<T>, options: OutputOptions<T> | undefined): void {
    const { graph } = this.node
    // An output is known by where it writes to: another one before it must not change its id (E11).
    const where = `${encodeURIComponent(sink.name)}:${encodeURIComponent(sink.target)}`
    const id = graph.opId(`${kind}:${where}`, options)
    graph.addOutput(sinkOutput(this.node, id, sink as Sink<unknown>, options))
  }
}
