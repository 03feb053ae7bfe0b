/**
 * Bugs of the engine that the simulator has found, each by the fewest faults that showed it. They are told by what the process
 * was doing, so that they mean the same in an engine that does other things before.
 */
import { expect, test } from 'vitest'
import type { FaultKind, InjectedFault } from './faults.js'
import { check } from './oracle.js'
import { Run, type RunOptions, type RunReport } from './run.js'
import { scenarios } from './scenarios/index.js'

interface Step extends Pick<InjectedFault, 'when' | 'pattern'> {
  readonly kind: FaultKind
  /** The operation at which it comes, as traces tell it. */
  readonly at: string
  /** Which of those since the step before, from 1. */
  readonly nth: number
}

async function afterFaults(name: string, options: Omit<RunOptions, 'trace'>, steps: readonly Step[]): Promise<void> {
  const scenario = scenarios.find((each) => each.name === name)!
  const run = (trace: readonly InjectedFault[]): Promise<RunReport> =>
    new Run(scenario.build, { ...options, trace }).run()
  const trace: InjectedFault[] = []
  for (const { at, nth, ...fault } of steps) {
    const { world } = await run(trace)
    const since = trace.at(-1)?.event ?? 0
    const found = world.ioEvents.filter(
      ({ event, label }) => event > since && `${label.kind} ${label.what} ${label.on}` === at,
    )
    expect(found.length, `operations ${at}`).toBeGreaterThanOrEqual(nth)
    trace.push({ event: found[nth - 1]!.event, ...fault })
  }
  const report = await run(trace)
  expect(report.world.trace.map(({ kind }) => kind)).toEqual(steps.map(({ kind }) => kind))
  expect(check(report, scenario)).toBeUndefined()
}

const powerIsLost: Step = { kind: 'powerLoss', when: 'before', pattern: 0, at: 'sink write words', nth: 2 }

test.each<[string, Step]>([
  ['fails', { kind: 'syncError', at: 'disk syncDirectory .', nth: 1 }],
  ['dies', { kind: 'kill', when: 'before', at: 'disk syncDirectory .', nth: 1 }],
])('E1: a start that %s before the name of the checkpoint is durable leaves that to the next one', (_how, step) =>
  afterFaults('word-count', { seed: 1, batches: 4 }, [step, powerIsLost]),
)

test('E7: an owner that is replaced while it opens its log does not take the empty folder for a new application', () =>
  afterFaults('word-count', { seed: 14, batches: 4 }, [
    { kind: 'kill', when: 'after', at: 'sink write words', nth: 1 },
    { kind: 'takeOver', when: 'after', at: 'disk stat ckpt/epochs/0000000003.json', nth: 1 },
    // The new owner has not opened its sinks when the old one wakes.
    { kind: 'slowDisk', at: 'disk openAppend ckpt/data-0000000003/records/0000000000000001-0000000003.log', nth: 1 },
  ]))

test('E14: a receiver that starts again is told the position of what is safe, not of what is being written', () =>
  afterFaults('reliable-receiver', { seed: 21_610, batches: 3 }, [
    { kind: 'slowDisk', at: 'disk sync ckpt/data-0000000001/batches/0000000000000001-0000000001.log', nth: 3 },
    { kind: 'diskFull', at: 'disk append ckpt/data-0000000001/records/0000000000000001-0000000001.log', nth: 7 },
  ]))

test.each([1, 2, 3])(
  'E7: a receiver that is replaced leaves nothing in the object log of its heir, though its place is free again: %i',
  (nth) =>
    afterFaults('reliable-receiver', { seed: 1, batches: 3, layout: 'objects' }, [
      { kind: 'takeOver', when: 'after', at: 'receiver deliver numbers', nth },
    ]),
)
