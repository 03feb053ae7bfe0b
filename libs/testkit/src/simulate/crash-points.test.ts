import { afterAll, describe, expect, test } from 'vitest'
import { crashPoints, type CrashPointsOptions } from './crash-points.js'
import { scenarios, type Scenario } from './scenarios/index.js'

const totals = { scenarios: 0, operations: 0, points: 0 }

afterAll(() => {
  const { scenarios, operations, points } = totals
  process.stdout.write(
    `${String(scenarios)} scenarios, ${String(operations)} operations, ${String(points)} crash points\n`,
  )
})

async function survives(scenario: Scenario, options: CrashPointsOptions): Promise<void> {
  const { operations, points, failures } = await crashPoints(scenario, options)
  totals.scenarios++
  totals.operations += operations
  totals.points += points
  expect(failures).toEqual([])
  expect(operations).toBeGreaterThan(20)
  expect(points).toBeGreaterThanOrEqual(3 * operations)
}

describe('a process that dies at any I/O operation loses and doubles nothing', () => {
  test.each(scenarios)('on a disk: $name', (scenario) => survives(scenario, {}), 600_000)

  const names = ['word-count', 'update-state', 'raw-window-over-state', 'reliable-receiver']
  const onObjects = scenarios.filter(({ name }) => names.includes(name))
  test.each(onObjects)('on an object store: $name', (scenario) => survives(scenario, { layout: 'objects' }), 600_000)

  const [smallest] = scenarios
  test(
    'and again at any operation after that',
    () => survives(smallest as Scenario, { batches: 1, pairs: true, within: 10 }),
    600_000,
  )
})
