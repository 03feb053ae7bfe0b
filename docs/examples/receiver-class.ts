/** A receiver as a class: a subscription that calls back, and that can begin after a given message. */
import type { Receiver, ReceiverContext } from '@sluice/core'

interface Message {
  readonly offset: bigint
  readonly text: string
}

/** The client library of some broker. */
export interface Client {
  subscribe(options: {
    readonly after: bigint | undefined
    /** The broker sends no more before this has resolved. */
    onMessages(messages: readonly Message[]): Promise<void>
    onError(error: Error): void
  }): Promise<{ close(): Promise<void> }>
}

export class BrokerReceiver implements Receiver<string> {
  readonly '~sluice' = 'receiver/1'
  readonly name = 'broker'
  readonly #client: Client
  #subscription: { close(): Promise<void> } | undefined

  constructor(client: Client) {
    this.#client = client
  }

  async onStart(context: ReceiverContext<string>): Promise<void> {
    this.#subscription = await this.#client.subscribe({
      after: context.position['main'],
      async onMessages(messages) {
        const last = messages.at(-1)
        if (last === undefined) return
        const texts = messages.map(({ text }) => text)
        // Awaited: this is the back-pressure. It rejects when the run has ended, so that these are not acknowledged.
        await context.storeAll(texts, { position: { main: last.offset } })
      },
      onError(error) {
        context.restart('the subscription broke', error)
      },
    })
  }

  async onStop(): Promise<void> {
    await this.#subscription?.close()
    this.#subscription = undefined
  }
}
