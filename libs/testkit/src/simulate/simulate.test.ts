import { StreamingContext } from '@sluice/core'
import { expect, test } from 'vitest'
import { SimulationFailure } from './failure.js'
import type { Build } from './run.js'
import { wordCount } from './scenarios/word-count.js'
import { simulate } from './simulate.js'

const counting: Build = (sim) => {
  const ssc = new StreamingContext(sim.options)
  sim
    .source(ssc, 'words', (_i, random) => 'abc'[random.integer(3)] ?? 'a')
    .map((word) => [word, 1 as number] as const)
    .updateStateByKey<number>((ones, sum = 0) => sum + ones.length)
    .to(sim.sink('counts'))
  return ssc
}

test('a program whose state is in the engine writes the same whatever goes wrong', async () => {
  const result = await simulate(counting, { seed: 4, batches: 10 })
  expect(result).toMatchObject({ seed: 4 })
  expect(Object.keys(result.faults).length).toBeGreaterThan(0)
  expect(result.contents['counts']?.at(-1)?.length).toBe(3)
  const sum = (result.contents['counts']?.at(-1) as [string, number][]).reduce((all, [, n]) => all + n, 0)
  expect(sum).toBe(40)
})

test('a run is a function of its seed', async () => {
  const runs = [3, 3, 5].map(async (seed) => {
    const lines: string[] = []
    const result = await simulate(wordCount.build, { ...wordCount, seed, log: (line) => lines.push(line) })
    return { lines, result }
  })
  const [one, again, other] = await Promise.all(runs)
  expect(again).toEqual(one)
  expect(other?.lines).not.toEqual(one?.lines)
})

/** Totals outside of the engine's state: another process begins them anew. */
const forgetful: Build = (sim) => {
  const ssc = new StreamingContext(sim.options)
  const totals = new Map<string, number>()
  sim
    .source(ssc, 'words', (_i, random) => 'abc'[random.integer(3)] ?? 'a')
    .map((word) => {
      totals.set(word, (totals.get(word) ?? 0) + 1)
      return [word, totals.get(word)] as const
    })
    .to(sim.sink('totals'))
  return ssc
}

test('a program that keeps totals in a variable is found out, by few faults, and the trace shows it again', async () => {
  const failure = await simulate(forgetful, { seed: 1 }).then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(failure).toBeInstanceOf(SimulationFailure)
  const { trace, batches, message } = failure as SimulationFailure
  expect(trace.length).toBeLessThanOrEqual(1)
  expect(batches).toBeLessThan(20)
  const [, text] = /trace: '([^']*)'/.exec(message) ?? []
  await expect(simulate(forgetful, { seed: 1, batches, trace: text })).rejects.toMatchObject({
    code: 'SIMULATION_FAILED',
    problem: expect.stringMatching(/totals, batch/),
  })
})
