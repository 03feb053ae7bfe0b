/** Notices promises that reject with nobody listening, which a test runner could not tell apart by test. */
import { systemClock } from '@sluice/core'

type Listener = (...args: unknown[]) => void

const watchers = new Set<unknown[]>()
let displaced: Listener[] = []

function onRejection(reason: unknown): void {
  for (const watcher of watchers) watcher.push(reason)
}

/**
 * What rejected unhandled while `work` ran. The runner's own listeners are set aside meanwhile: the suite reports it under
 * the rule's name.
 */
export async function watchRejections(work: () => Promise<void>): Promise<readonly unknown[]> {
  const seen: unknown[] = []
  begin(seen)
  try {
    await work()
    // Rejections are told after the microtasks of the turn in which they happen.
    for (let turn = 0; turn < 2; turn++) await systemClock.yield()
    return seen
  } finally {
    end(seen)
  }
}

function begin(seen: unknown[]): void {
  if (watchers.size === 0) {
    displaced = process.listeners('unhandledRejection') as Listener[]
    process.removeAllListeners('unhandledRejection')
    process.on('unhandledRejection', onRejection)
  }
  watchers.add(seen)
}

function end(seen: unknown[]): void {
  watchers.delete(seen)
  if (watchers.size > 0) return
  process.off('unhandledRejection', onRejection)
  for (const listener of displaced) process.on('unhandledRejection', listener)
  displaced = []
}
