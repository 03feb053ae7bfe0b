/** Runs a program in a simulated world in which things go wrong, and demands that nothing of it shows in what it wrote. */
import { SluiceError } from '@sluice/core'
import type { Contents, Expected } from './contents.js'
import { SimulationFailure } from './failure.js'
import type { FaultKind, Faults, InjectedFault } from './faults.js'
import { batchesOf, check, contentsOf, type Expectation } from './oracle.js'
import { expecting, Replay } from './replay.js'
import { Run, type Build, type PlannedStop, type RunReport } from './run.js'
import type { DiskLayout } from './sim-disk.js'
import { parseTrace, shrink, type Failing } from './trace.js'

export interface SimulateOptions {
  /** A whole number: the same one gives the same run, event by event. Default: 1. */
  readonly seed?: number | undefined
  /** Batch intervals in which records come; a few more run at the end. Default: 20. */
  readonly batches?: number | undefined
  /** Milliseconds between batches: `sim.options.batchInterval`. Default: 1,000. */
  readonly intervalMs?: number | undefined
  /** How often what goes wrong. Default: {@link someFaults}. */
  readonly faults?: Faults | undefined
  /** These faults instead, as a failure has printed them. */
  readonly trace?: string | undefined
  /** Whether the fewest faults are looked for that show a failure, by up to 150 more runs. Default: true. */
  readonly shrink?: boolean | undefined
  /** What the checkpoint stands on: a disk, or a store of objects that two machines share. Default: `local`. */
  readonly layout?: DiskLayout | undefined
  /** What the tables must hold, by plain code. Default: what the program writes when nothing goes wrong; with models, what these say. */
  readonly expected?: Expected | undefined
  /** Tables whose partitions must keep the order of their source's. Default: none. */
  readonly ordered?: readonly string[] | undefined
  /** What else is wrong with what stands outside of the processes. Default: nothing. */
  readonly verify?: Expectation['verify'] | undefined
  /** The application is stopped gracefully at some time, and started again. Default: only by faults. */
  readonly stop?: PlannedStop | undefined
  /** Takes each line that a process logs, and each fault, with the simulated time. Default: nobody. */
  readonly log?: ((line: string) => void) | undefined
}

export interface SimulationResult {
  readonly seed: number
  /** Batches that were committed. */
  readonly batches: number
  readonly events: number
  /** Processes that were started. */
  readonly processes: number
  readonly simulatedMs: number
  /** How often each fault came. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>
  /** What stands in each table, by batches. */
  readonly contents: Contents
}

/** What goes wrong with what the simulator brings along. */
export const engineFaults: Faults = {
  kill: 0.04,
  powerLoss: 0.03,
  pause: 0.02,
  takeOver: 0.02,
  clockJump: 0.02,
  changeProgram: 0.01,
  stop: 0.01,
  stopAtOnce: 0.01,
  tornWrite: 0.004,
  syncError: 0.003,
  diskFull: 0.003,
  slowDisk: 0.004,
  lostAnswer: 0.002,
  sinkFails: 0.02,
  sinkAppliesThenFails: 0.02,
  sinkHangs: 0.01,
  lateWrite: 0.02,
  sourceFails: 0.01,
  sourceHangs: 0.002,
  receiverDrops: 0.02,
  receiverHangs: 0.005,
}

/** A little of everything that an application must survive. */
export const someFaults: Faults = {
  ...engineFaults,
  callFails: 0.005,
  answerIsLost: 0.005,
  callHangs: 0.0005,
  lateCall: 0.0005,
}

/**
 * Runs the program that `build` makes: it is called anew for each process, must make its context with `sim.options`, and must
 * not start it. Processes and machines die, disks forget and fail, sinks and sources fail, hang and answer late, by `faults`
 * and `seed`; the program is started again until all records are through. Resolves when everything that it wrote to
 * `sim.sink`s is what it must be: exactly once in a ledger, at least once elsewhere, nothing else anywhere. Rejects with a
 * {@link SimulationFailure} that names the seed and the fewest faults found that still show it.
 */
export async function simulate(build: Build, options: SimulateOptions = {}): Promise<SimulationResult> {
  const { batches = 20, trace } = options
  const seed = requireSeed(options.seed)
  const first = await attempt(build, options, batches, trace === undefined ? undefined : parseTrace(trace))
  if (first.problem === undefined) return resultOf(first.report, seed)
  const failing = { batches, trace: [...first.report.world.trace], problem: first.problem }
  const shortest = options.shrink === false ? failing : await shrunk(build, options, failing)
  throw new SimulationFailure(seed, shortest, (text) => {
    const layout = options.layout === undefined ? '' : `, layout: '${options.layout}'`
    return `simulate(build, { seed: ${String(seed)}, batches: ${String(shortest.batches)}${layout}, trace: '${text}' })`
  })
}

interface Attempted {
  readonly report: RunReport
  readonly problem: string | undefined
}

async function attempt(
  build: Build,
  options: SimulateOptions,
  batches: number,
  trace: readonly InjectedFault[] | undefined,
): Promise<Attempted> {
  const { intervalMs, faults = someFaults, layout, ordered, verify, stop, log } = options
  const seed = requireSeed(options.seed)
  const report = await new Run(build, { seed, batches, intervalMs, faults, trace, layout, stop, log }).run()
  // Models cannot be told to give the same batches again: they judge by themselves.
  const isModelled = report.outside.models.size > 0
  const { expected = isModelled ? () => ({}) : await undisturbed(build, report) } = options
  const expectation: Expectation = { expected, ordered, verify }
  return { report, problem: check(report, expectation) }
}

/** What the program writes for the same batches when nothing goes wrong. */
async function undisturbed(build: Build, { outside, world, problem }: RunReport): Promise<Expected> {
  const batches = batchesOf(outside)
  if (problem !== undefined || batches.length === 0) return () => ({})
  const { intervalMs, history } = outside
  const replay = new Replay(batches, history.zeroTime, intervalMs)
  const again = await new Run(build, { seed: world.seed, batches: batches.length, intervalMs, replay }).run()
  if (again.problem !== undefined) throw undisturbedFailed(again.problem)
  const times = batches.map(({ time }) => time)
  return expecting(times, contentsOf(again.outside, batches))
}

function undisturbedFailed(problem: string): SluiceError {
  const message = `the program fails when nothing goes wrong: ${problem}; run it with runBatches first`
  return new SluiceError({ code: 'SIMULATION_FAILED', component: 'simulate', message })
}

function requireSeed(seed = 1): number {
  if (Number.isSafeInteger(seed)) return seed
  const message = `seed must be a whole number, not ${String(seed)}; give the one that a failure has printed`
  throw new SluiceError({ code: 'ARGUMENT_INVALID', component: 'simulate', message })
}

function shrunk(build: Build, options: SimulateOptions, failing: Failing): Promise<Failing> {
  return shrink(failing, async (batches, trace) => {
    const { problem } = await attempt(build, { ...options, log: undefined }, batches, trace)
    return problem === undefined ? undefined : { batches, trace, problem }
  })
}

function resultOf({ world, outside, processes }: RunReport, seed: number): SimulationResult {
  const batches = batchesOf(outside)
  const faults: Partial<Record<FaultKind, number>> = {}
  for (const { kind } of world.trace) faults[kind] = (faults[kind] ?? 0) + 1
  const contents = contentsOf(outside, batches)
  const { events, nowMs: simulatedMs } = world
  return { seed, batches: batches.length, events, processes, simulatedMs, faults, contents }
}
