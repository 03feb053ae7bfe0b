import { describe, expect, test } from 'vitest'
import { inSlots } from './pool.js'

describe('inSlots', () => {
  test('runs every item once, in order, and no more at a time than there are slots', async () => {
    const begun: number[] = []
    let running = 0
    let most = 0
    await inSlots([10, 20, 30, 40, 50], 2, async (item, index) => {
      begun.push(item + index)
      most = Math.max(most, ++running)
      await Promise.resolve()
      running--
    })
    expect(begun).toEqual([10, 21, 32, 43, 54])
    expect(most).toBe(2)
  })

  test('begins nothing after a failure, waits for what runs, and rejects with the first failure', async () => {
    const ended: number[] = []
    const run = inSlots([0, 1, 2, 3], 2, async (item) => {
      if (item === 0) throw new Error('first')
      await new Promise((resolve) => setImmediate(resolve))
      ended.push(item)
    })
    await expect(run).rejects.toThrow('first')
    expect(ended).toEqual([1])
  })

  test('does nothing for no items', async () => {
    await inSlots([], 3, () => Promise.reject(new Error('never')))
  })
})
