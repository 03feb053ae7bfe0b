/** The receiver behind `socketStream`: one connection for each of its runs, and the back-off between them. */
import type { Receiver, ReceiverContext } from '@sluice/core'
import { Backoff, jitterSource } from './backoff.js'
import { Connection } from './connection.js'
import type { DecoderFactory } from './decoder.js'
import { checkDecode, socketSettings } from './socket-stream.config.js'
import type { SocketReceiverOptions, SocketSettings } from './socket-stream.config.js'

/**
 * A receiver for `ssc.receiverStream`. Its `onStart` resolves when the connection stands, or when that failed and a
 * restart was asked for. Throws `ARGUMENT_INVALID`.
 */
export function socketReceiver<T>(options: SocketReceiverOptions<T>): Receiver<T> {
  checkDecode(options.decode)
  return new SocketReceiver(socketSettings(options), options.decode)
}

class SocketReceiver<T> implements Receiver<T> {
  readonly '~sluice' = 'receiver/1'
  readonly name: string
  readonly unpack: ((bytes: Uint8Array) => readonly T[]) | undefined
  readonly #settings: SocketSettings
  readonly #decode: DecoderFactory<T>
  // Lives as long as the receiver: each connection is a new run.
  #backoff: Backoff | undefined
  #connection: Connection<T> | undefined

  constructor(settings: SocketSettings, decode: DecoderFactory<T>) {
    this.name = `socket ${settings.address}`
    this.#settings = settings
    this.#decode = decode
    this.unpack = decode.packing?.unpack
  }

  onStart(context: ReceiverContext<T>): Promise<void> {
    const settings = this.#settings
    this.#backoff ??= new Backoff(settings, jitterSource(context.clock, settings.address, context.streamId))
    this.#connection = new Connection({ context, settings, decode: this.#decode, backoff: this.#backoff })
    return this.#connection.open()
  }

  onStop(): void {
    this.#connection?.close()
    this.#connection = undefined
  }
}
