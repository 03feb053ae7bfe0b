/** A receiver as an async generator: polls pages of events, and goes on after the last one that was stored. */
import { chunk, type ReceiverContext } from '@sluice/core'

export interface Event {
  readonly id: number
  readonly text: string
}

export type FetchPage = (after: number, signal: AbortSignal) => Promise<readonly Event[]>

export function pollEvents(fetchPage: FetchPage) {
  return async function* events({ position, clock, signal }: ReceiverContext<Event>): AsyncGenerator<Event> {
    let after = Number(position['events'] ?? 0n)
    while (!signal.aborted) {
      // Whatever it throws starts this generator again after a pause.
      const page = await fetchPage(after, signal)
      after = page.at(-1)?.id ?? after
      // The next page is asked for when this one is safe and there is room.
      yield* chunk(page, { position: { events: BigInt(after) } })
      if (page.length === 0) await clock.sleep(1_000, signal)
    }
  }
}
