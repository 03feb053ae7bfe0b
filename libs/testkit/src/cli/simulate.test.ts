import { expect, test } from 'vitest'
import { main } from './simulate.js'

async function run(...args: string[]): Promise<{ code: number; text: string }> {
  const lines: string[] = []
  const code = await main(args, (line) => lines.push(line))
  return { code, text: lines.join('\n') }
}

test('one seed tells what happens in it, and the same again', async () => {
  const first = await run('--seed', '7', '--batches', '5')
  expect(first).toMatchObject({ code: 0, text: expect.stringMatching(/one-0 is started[^]*"seed":7/) })
  expect(await run('--seed', '7', '--batches', '5')).toEqual(first)
})

test('several seeds give totals, for people and for programs', async () => {
  const people = await run('--seed', '3', '--seeds', '4', '--batches', '4')
  expect(people).toMatchObject({
    code: 0,
    text: expect.stringMatching(/4 seeds, .* simulated hours, .* 0 failures\nfaults: /),
  })
  const { text } = await run('--seed', '3', '--seeds', '4', '--batches', '4', '--json')
  expect(JSON.parse(text)).toMatchObject({ seeds: 4, failures: [] })
})

test('crash points are counted', async () => {
  const { code, text } = await run('--crash-points', '--scenario', 'at-least-once', '--batches', '1')
  expect({ code, text }).toMatchObject({
    code: 0,
    text: expect.stringMatching(/1 scenarios, \d{3,} crash points, 0 failures$/),
  })
})

test('wrong arguments are told with the right ones', async () => {
  for (const args of [
    ['--seed', 'x'],
    ['--layout', 'tape', '--seed', '1'],
    ['--scenario', 'none', '--seed', '1'],
    ['--what'],
  ])
    expect(await run(...args)).toMatchObject({ code: 2, text: expect.stringMatching(/usage: npm run simulate/) })
})
