/** A receiver that stores bytes: the lines of whatever program listens to it, decoded by the task that reads them. */
import { countLines, unpackLines, type Receiver, type ReceiverContext } from '@sluice/core'

/** Calls back with bytes that end where a line ends; gives no more before the promise has resolved. */
export type Feed = (onLines: (bytes: Uint8Array) => Promise<void>) => { close(): void }

export class LineFeedReceiver implements Receiver<string> {
  readonly '~sluice' = 'receiver/1'
  readonly unpack = unpackLines
  readonly #feed: Feed
  #open: { close(): void } | undefined

  constructor(feed: Feed) {
    this.#feed = feed
  }

  onStart(context: ReceiverContext<string>): void {
    this.#open = this.#feed((bytes) => context.storePacked(bytes, { records: countLines(bytes) }))
  }

  onStop(): void {
    this.#open?.close()
    this.#open = undefined
  }
}
