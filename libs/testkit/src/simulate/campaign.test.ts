import { expect, test } from 'vitest'
import { totalsText } from '../cli/simulate.js'
import { campaign } from './campaign.js'

/** In CI a thousand seeds or three minutes, whichever is first; elsewhere a tenth of both. */
const part = process.env['CI'] === undefined ? 0.1 : 1

test('whatever goes wrong, nothing is lost, nothing is doubled and nothing hangs', async () => {
  const totals = await campaign({ firstSeed: 1, seeds: 1_000 * part, mostMs: 180_000 * part })
  process.stdout.write(`${totalsText(totals)}\n`)
  expect(totals.failures).toEqual([])
  expect(totals.seeds).toBeGreaterThan(0)
}, 600_000)
