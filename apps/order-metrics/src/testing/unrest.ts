/** What runs of the app that are not left in peace have in common: waiting for batches and for ends, never for ever. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AppExit, RunningApp } from './run-app.js'

const DEADLINE_MS = 240_000
export const POLL_MS = 20
/** How many of the kills come before the process has committed anything, and after how long at most. */
export const EARLY_SHARE = 0.3
export const LONGEST_START_MS = 1_500

/** Waits until there are more batches than now in the results in `out`; rejects when the app ends before, or `also` rejects. */
export function nextBatch(app: RunningApp, out: string, also?: Promise<unknown>): Promise<void> {
  const before = batchesIn(out).length
  return until(() => batchesIn(out).length > before, app, also)
}

/** The same, but of batches with lines in them; also resolves when there will be none, as `producer` has ended. */
export function nextLines(app: RunningApp, out: string, producer?: Promise<unknown>): Promise<void> {
  const before = new Set(batchesIn(out))
  let isProduced = false
  void producer?.then(() => (isProduced = true)).catch(() => undefined)
  return until(
    () => isProduced || batchesIn(out).some((name) => !before.has(name) && hasLines(join(out, 'metrics', name))),
    app,
    producer,
  )
}

async function until(isTrue: () => boolean, app: RunningApp, also: Promise<unknown> | undefined): Promise<void> {
  let exit: AppExit | undefined
  void app.exited.then((ended) => (exit = ended))
  const hasMore = async (): Promise<void> => {
    while (!isTrue()) {
      if (exit !== undefined) throw endedByItself(exit)
      await sleep(POLL_MS)
    }
  }
  const more = within(hasMore(), 'a batch')
  await (also === undefined ? more : Promise.race([more, also.then(() => more)]))
}

function batchesIn(out: string): string[] {
  const metrics = join(out, 'metrics')
  if (!existsSync(metrics)) return []
  return readdirSync(metrics).filter((name) => existsSync(join(metrics, name, '_SUCCESS')))
}

function hasLines(batch: string): boolean {
  const parts = readdirSync(batch).filter((name) => name.startsWith('part-'))
  return parts.some((name) => /^\{"by":"all","name":"","lines":[1-9]/m.test(readFileSync(join(batch, name), 'utf8')))
}

/** Kills it, and rejects when something else ended it. */
export async function kill(app: RunningApp): Promise<void> {
  app.signal('SIGKILL')
  const exit = await within(app.exited, 'the end of a killed process')
  if (exit.signal !== 'SIGKILL') throw endedByItself(exit)
}

/** Resolves when the last process has come to its end as it should. */
export async function ended(app: RunningApp): Promise<void> {
  const { code, stderr } = await within(app.exited, 'the end of the run')
  if (code !== 0) throw new Error(`the last process ended with ${String(code)}\n${stderr}`)
}

function endedByItself(exit: AppExit): Error {
  return new Error(`a process ended by itself: ${JSON.stringify(exit, undefined, 1)}`)
}

export async function within<T>(work: Promise<T>, what: string): Promise<T> {
  const timer = new AbortController()
  const late = sleep(DEADLINE_MS, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`waited too long for ${what}`)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    timer.abort()
    late.catch(() => undefined)
  }
}
