/** What will happen, in the order of its time; what happens at the same time comes in an order that the seed decides. */

/** Of what kind an event is: I/O of a process, a wait of a process, or something that nobody asked for. */
export type EventKind = 'disk' | 'source' | 'receiver' | 'sink' | 'call' | 'timer' | 'world'

export interface EventLabel {
  readonly kind: EventKind
  /** The call, e.g. `append`. */
  readonly what: string
  /** On what, e.g. a path. */
  readonly on: string
}

export interface Scheduled {
  /** Simulated milliseconds at which it happens. */
  readonly at: number
  /** Decides between events of the same time. */
  readonly tie: number
  readonly id: number
}

/** A heap. */
export class EventQueue<E extends Scheduled> {
  readonly #heap: E[] = []

  get size(): number {
    return this.#heap.length
  }

  /** In no order. */
  get all(): readonly E[] {
    return this.#heap
  }

  push(event: E): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as E
      if (!isBefore(event, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = event
  }

  pop(): E | undefined {
    const [first] = this.#heap
    const last = this.#heap.pop()
    if (first === undefined || last === undefined || first === last) return first
    this.#sink(last)
    return first
  }

  #sink(event: E): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as E, heap[child] as E)) child++
      if (!isBefore(heap[child] as E, event)) break
      heap[at] = heap[child] as E
      at = child
    }
    heap[at] = event
  }

  /** Takes out what does not pass. */
  retain(passes: (event: E) => boolean): void {
    const kept = this.#heap.filter(passes)
    this.#heap.length = 0
    for (const event of kept) this.push(event)
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  if (a.at !== b.at) return a.at < b.at
  return a.tie !== b.tie ? a.tie < b.tie : a.id < b.id
}
