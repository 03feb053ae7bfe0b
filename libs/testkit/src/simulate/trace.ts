/** Traces as text, and the shortest one that still shows a failure. */
import { SluiceError } from '@sluice/core'
import { isFaultKind, type DeathTime, type InjectedFault } from './faults.js'

/** `102:powerLoss:before:1`: event, kind, and of a process fault when it came, and what survived. */
export function traceText(trace: readonly InjectedFault[]): string {
  return trace
    .map(({ event, kind, when, pattern }) =>
      [event, kind, when, pattern].filter((part) => part !== undefined).join(':'),
    )
    .join(',')
}

/** Throws `ARGUMENT_INVALID` for what {@link traceText} does not give. */
export function parseTrace(text: string): InjectedFault[] {
  return text
    .split(',')
    .filter((part) => part !== '')
    .map(parseFault)
}

const WHEN: readonly DeathTime[] = ['before', 'after', 'torn']

function parseFault(text: string): InjectedFault {
  const [event = '', kind = '', when, pattern] = text.split(':')
  const time = WHEN.find((each) => each === when)
  if (!/^\d+$/.test(event) || !isFaultKind(kind) || (when !== undefined && time === undefined)) {
    throw new SluiceError({
      code: 'ARGUMENT_INVALID',
      component: 'simulate',
      message: `'${text}' is no fault of a trace; give them as 102:powerLoss:before,107:syncError`,
    })
  }
  return { event: Number(event), kind, when: time, pattern: pattern === undefined ? undefined : Number(pattern) }
}

/** A run that fails, in short. */
export interface Failing {
  readonly batches: number
  readonly trace: readonly InjectedFault[]
  readonly problem: string
}

/** Tries a run again; undefined where it passes. */
export type Attempt = (batches: number, trace: readonly InjectedFault[]) => Promise<Failing | undefined>

/** Looks for the fewest batches, then for the fewest faults, that still fail, in at most `tries` runs. */
export async function shrink(first: Failing, attempt: Attempt, tries = 150): Promise<Failing> {
  let best = first
  let left = tries
  const better = async (batches: number, trace: readonly InjectedFault[]): Promise<boolean> => {
    if (left-- <= 0) return false
    const found = await attempt(batches, trace)
    if (found !== undefined) best = found
    return found !== undefined
  }
  for (let step = best.batches >> 1; step >= 1; step >>= 1)
    while (best.batches > step && (await better(best.batches - step, best.trace)));
  for (let size = best.trace.length >> 1; size >= 1; size >>= 1) {
    for (let at = best.trace.length - size; at >= 0; at -= size)
      await better(best.batches, [...best.trace.slice(0, at), ...best.trace.slice(at + size)])
  }
  return best
}
