/** Whether a program fits what the log holds (E11): by the ids of its states, inputs and outputs. */
import type { OutputStream, StatefulStream, StreamAtTimes } from '../dstream/output.js'
import type { StreamGraph } from '../dstream/graph.js'
import { SluiceError } from '../errors.js'
import type { InputStream } from '../input/input-stream.js'
import type { StateOperator } from '../state/state-operator.js'
import type { BatchTime } from '../time/duration.js'
import type { GraphRecord, StateRecord } from './entries.js'
import type { LogImage, LoggedBatch } from './log-image.js'

export interface Program {
  readonly graph: StreamGraph
  readonly inputs: readonly InputStream[]
}

/** What the user allows to be lost. */
export interface Concessions {
  /** Ids of states, inputs and outputs that are gone, and may be forgotten. */
  readonly dropState: readonly string[]
}

type Keyed = StatefulStream & { readonly state: StateOperator }

export function statesOf({ states }: StreamGraph): readonly Keyed[] {
  return states.filter((stream): stream is Keyed => stream.state !== undefined)
}

/** The program as the log remembers it. */
export function graphRecordOf(
  { graph, inputs }: Program,
  zeroTime: BatchTime,
  dropped: readonly string[],
): GraphRecord {
  return {
    batchIntervalMs: graph.batchInterval,
    zeroTime,
    states: statesOf(graph).map((stream) => ({
      id: stream.id,
      kind: stream.state.format.kind,
      path: pathOf(stream),
      version: stream.state.format.version,
      partitions: stream.state.partitions.length,
      was: stream.was,
    })),
    inputs: inputs.map(({ id }) => id),
    outputs: graph.outputs.map(({ id }) => id),
    dropped,
  }
}

function pathOf({ id, parents }: StreamAtTimes): string {
  const above = parents.map((parent) => pathOf(parent))
  return above.length > 1 ? `(${above.join(' + ')}) → ${id}` : [...above, id].join(' → ')
}

/** Of a kind that occurs more than once, each must have a name: else two of them, reordered, would swap what they hold. */
export function requireNames({ graph, inputs }: Program): void {
  const groups = new Map<string, string[]>()
  const unnamed = new Set<string>()
  const add = (group: string, id: string): void => {
    groups.set(group, [...(groups.get(group) ?? []), id])
    if (!graph.originOf(id).isNamed) unnamed.add(id)
  }
  for (const { id } of statesOf(graph)) add(graph.originOf(id).kind, id)
  for (const { id } of inputs) add(graph.originOf(id).kind, id)
  for (const { id } of graph.outputs) {
    const { kind } = graph.originOf(id)
    if (kind !== 'print') add(kind, id)
  }
  const wanting = [...groups].filter(([, ids]) => ids.length > 1 && ids.some((id) => unnamed.has(id)))
  if (wanting.length === 0) return
  const lines = wanting.map(([kind, ids]) => `${kind}: ${ids.filter((id) => unnamed.has(id)).join(', ')}`)
  throw new SluiceError({
    code: 'NAME_REQUIRED',
    component: 'checkpoint',
    message: `where a kind of operator occurs more than once, a checkpoint needs a name for each; give { name } to ${lines.join('; ')}`,
  })
}

/** The state operator of the program that takes over the state logged under `id`. */
export function heirOf(graph: StreamGraph, id: string): Keyed | undefined {
  const states = statesOf(graph)
  return states.find((stream) => stream.id === id) ?? states.find(({ was }) => was === id)
}

/** Throws `CHECKPOINT_CHANGED`, with a line for each thing that does not fit; gives warnings. */
export function checkGraph(program: Program, image: LogImage, { dropState }: Concessions): string[] {
  const before = image.graph
  if (before === undefined) return []
  const problems: string[] = []
  const warnings: string[] = []
  for (const state of before.states) checkState(program, state, dropState, problems, warnings)
  checkInputs(program, before, image, dropState, problems)
  for (const batch of image.uncommitted) checkBatch(program, batch, dropState, problems)
  checkInterval(program, before, image, problems)
  const known = new Set(before.states.map(({ id }) => id))
  for (const { id, was } of statesOf(program.graph)) {
    if (dropState.includes(id))
      warnings.push(`the state of ${id} is given up, as dropState says; take it out of dropState`)
    else if (!known.has(id) && (was === undefined || !known.has(was)))
      warnings.push(`${id} is new and starts without state`)
  }
  if (problems.length === 0) return warnings
  throw new SluiceError({
    code: 'CHECKPOINT_CHANGED',
    component: 'checkpoint',
    message: `the program does not fit its checkpoint; ${problems.join('; ')}`,
  })
}

function checkState(
  { graph }: Program,
  state: StateRecord,
  dropState: readonly string[],
  problems: string[],
  warnings: string[],
): void {
  const { id, kind, path, version } = state
  const heir = heirOf(graph, id)
  if (heir === undefined) {
    if (dropState.includes(id)) return
    problems.push(
      `the state of ${id} (${path}) has no operator any more: give its operator the name '${id}', ` +
        `or say was: '${id}' where it has another one now, or give the state up with dropState: ['${id}']`,
    )
    return
  }
  if (dropState.includes(id)) return
  const { format } = heir.state
  if (format.kind !== kind) {
    problems.push(
      `${id} was ${kind} and is ${format.kind} now, which cannot read its state: run it as it was, or give the state up with dropState: ['${id}']`,
    )
  }
  if (format.version !== version && format.migrate === undefined) {
    problems.push(
      `${id} holds state of version ${String(version)}, and the program says ${String(format.version)}: give it migrate, or say dropState: ['${id}']`,
    )
  }
  const now = pathOf(heir)
  if (now !== path) warnings.push(`${id} keeps its state, and comes about in another way: ${path} before, ${now} now`)
}

function checkInputs(
  { inputs }: Program,
  before: GraphRecord,
  image: LogImage,
  dropState: readonly string[],
  problems: string[],
): void {
  const ids = new Set(inputs.map(({ id }) => id))
  for (const id of before.inputs) {
    if (ids.has(id) || dropState.includes(id)) continue
    const holds = image.head(id) !== undefined || image.uncommitted.some(({ plan }) => id in plan.inputs)
    if (!holds) continue
    problems.push(
      `the input ${id} is gone, and with it how far it was read: give the input the name '${id}', or say dropState: ['${id}']`,
    )
  }
}

/** A batch that is run again has the outputs that it had, with as many partitions (E11). */
function checkBatch(
  { graph }: Program,
  { plan, start, done }: LoggedBatch,
  dropState: readonly string[],
  problems: string[],
): void {
  const ids = new Set(graph.outputs.map(({ id }) => id))
  for (const id of Object.keys(start?.partitions ?? {})) {
    if (ids.has(id) || done.includes(id) || dropState.includes(id)) continue
    problems.push(
      `batch ${String(plan.time)} has begun to write to the output ${id}, which is gone: run the program as it was until that batch is committed, ` +
        `give the output the name '${id}', or leave it half written with dropState: ['${id}']`,
    )
  }
}

function checkInterval({ graph }: Program, before: GraphRecord, image: LogImage, problems: string[]): void {
  const { batchIntervalMs } = before
  if (graph.batchInterval === batchIntervalMs) return
  const was = `batchInterval was ${String(batchIntervalMs)} ms and is ${String(graph.batchInterval)} ms now`
  if (image.uncommitted.length > 0) {
    problems.push(
      `${was}, and ${String(image.uncommitted.length)} batches are not committed: run it as it was, and stop it gracefully`,
    )
  } else if (graph.streams.some(({ isSliced }) => isSliced)) {
    problems.push(`${was}, and windows hold slices of the old length: keep the interval, or use a new checkpoint`)
  }
}

/** Throws where a batch that is run again would have other partitions than when it first started (E3). */
export function requireSamePartitions(
  { start }: LoggedBatch,
  partitions: Readonly<Record<string, number>>,
  outputs: readonly OutputStream[],
): void {
  if (start === undefined) return
  for (const { id } of outputs) {
    const before = start.partitions[id]
    const now = partitions[id]
    if (before === undefined || now === undefined || before === now) continue
    throw new SluiceError({
      code: 'CHECKPOINT_CHANGED',
      component: id,
      message: `batch ${String(start.time)} began with ${String(before)} partitions and would have ${String(now)} now; run it with the number of before, at least until it is committed`,
    })
  }
}

/** Throws where `writeTo` would write a batch with other partitions than when it was first written (E25). */
export function requireSameOutput({ plan, outputs }: LoggedBatch, output: string, partitions: number): void {
  const before = outputs[output]
  if (before === undefined || before === partitions) return
  throw new SluiceError({
    code: 'CHECKPOINT_CHANGED',
    component: output,
    message: `batch ${String(plan.time)} was written with ${String(before)} partitions and would have ${String(partitions)} now; run it with the number of before, at least until it is committed`,
  })
}
