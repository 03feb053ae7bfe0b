/** What the rules of several suites check with. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { isSluiceError, systemClock, type Logger } from '@sluice/core'

/** How long a rule waits for what must happen soon. Generous: it costs only where a rule is broken. */
const DEADLINE_MS = 10_000

/** The outcome of `work`; fails the test when it takes longer than the deadline. */
export async function within<T>(what: string, work: Promise<T>, deadlineMs = DEADLINE_MS): Promise<T> {
  const timer = new AbortController()
  const late = systemClock.sleep(deadlineMs, timer.signal).then(() => {
    throw new Error(`${what} has not ended within ${String(deadlineMs)} ms`)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    timer.abort()
    late.catch(() => undefined)
  }
}

/** Resolves when `condition` holds. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const end = systemClock.monotonic() + deadlineMs
  while (!(await condition())) {
    if (systemClock.monotonic() > end) throw new Error(`never came true: ${what}`)
    await systemClock.sleep(1)
  }
}

/** Lets `ms` of real time pass, in which something must not happen. */
export function quiet(ms: number): Promise<void> {
  return systemClock.sleep(ms)
}

/** An error of Sluice that says who, what, and what to do: `[component] problem; remedy`. */
export function assertHelpful(error: unknown): void {
  assert.ok(isSluiceError(error), `an error must be a SluiceError, not ${inspect(error)}`)
  assert.notEqual(error.component, '', 'an error names its component')
  assert.ok(
    error.message.startsWith(`[${error.component}] `),
    `the message begins with the component: ${error.message}`,
  )
  const problem = error.message.slice(error.component.length + 3)
  assert.match(problem, /\S[;?] *\S|\?$/, `the message says what to do, after a semicolon: ${error.message}`)
}

/** The rejection of `work`, which must be a helpful error of Sluice. */
export async function rejectsHelpfully(what: string, work: () => Promise<unknown>): Promise<void> {
  const outcome = await within(what, settled(work))
  assert.ok(outcome.rejected, `${what} must reject, and it succeeded`)
  assertHelpful(outcome.error)
}

export type Outcome = { readonly rejected: false } | { readonly rejected: true; readonly error: unknown }

/** How `work` ended; never rejects. */
export async function settled(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    await work()
    return { rejected: false }
  } catch (error) {
    return { rejected: true, error }
  }
}

/** Whether `error` is `cause` or was caused by it. */
export function causedBy(error: unknown, cause: unknown): boolean {
  for (let at = error; at !== undefined && at !== null; at = (at as { cause?: unknown }).cause) {
    if (at === cause) return true
    if (typeof at !== 'object') return false
  }
  return false
}

/** A record by its contents: equal ones have equal texts, bytes of whatever class, keys in whatever order. */
export function textOf(record: unknown): string {
  if (typeof record === 'string') return JSON.stringify(record)
  if (typeof record === 'bigint') return `${String(record)}n`
  if (typeof record !== 'object' || record === null) return inspect(record)
  if (record instanceof Uint8Array) return `bytes ${Buffer.from(record).toString('base64')}`
  if (Array.isArray(record)) return `[${record.map(textOf).join(', ')}]`
  if (record instanceof Map) return `Map ${textOf([...record])}`
  if (record instanceof Set) return `Set ${textOf([...record])}`
  const prototype: unknown = Object.getPrototypeOf(record)
  if (prototype !== Object.prototype && prototype !== null) return inspect(record, { depth: null })
  const fields = Object.entries(record).map(([key, value]) => `${JSON.stringify(key)}: ${textOf(value)}`)
  return `{${fields.sort().join(', ')}}`
}

const SHOWN = 5

function shown(texts: readonly string[]): string {
  const first = texts.slice(0, SHOWN).map((text) => (text.length > 80 ? `${text.slice(0, 80)}…` : text))
  return `${first.join(', ')}${texts.length > SHOWN ? `, … (${String(texts.length)})` : ''}`
}

/** How often each text occurs. */
export function countsOf(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return counts
}

/** The same records, in any order; with `atLeastOnce` some may be there several times. */
export function assertSameRecords(
  found: readonly unknown[],
  wanted: readonly unknown[],
  { atLeastOnce = false }: { readonly atLeastOnce?: boolean | undefined } = {},
): void {
  const have = countsOf(found.map(textOf))
  const want = countsOf(wanted.map(textOf))
  const missing = [...want].filter(([text, count]) => (have.get(text) ?? 0) < count).map(([text]) => text)
  assert.equal(missing.length, 0, `missing: ${shown(missing)}`)
  const foreign = [...have].filter(([text]) => !want.has(text)).map(([text]) => text)
  assert.equal(foreign.length, 0, `there, and should not be: ${shown(foreign)}`)
  if (atLeastOnce) return
  const twice = [...have].filter(([text, count]) => count > (want.get(text) ?? 0)).map(([text]) => text)
  assert.equal(twice.length, 0, `there more than once: ${shown(twice)}`)
}

/** The same records in the same order. */
export function assertSameOrder(found: readonly unknown[], wanted: readonly unknown[]): void {
  assert.equal(found.length, wanted.length, 'the number of records')
  const at = wanted.findIndex((record, i) => textOf(record) !== textOf(found[i]))
  assert.equal(at, -1, `record ${String(at)} is ${textOf(found[at])} and should be ${textOf(wanted[at])}`)
}

/** A logger that says nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** Something that happens when a test says so. */
export class Gate {
  readonly opened: Promise<void>
  open: () => void = () => undefined

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = resolve
    })
  }
}
