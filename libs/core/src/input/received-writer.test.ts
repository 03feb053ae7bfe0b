import { expect, test } from 'vitest'
import { ReceivedWriter } from './received-writer.js'

test('E14: who waits until all is safe is told of what fails meanwhile', async () => {
  let fail: (error: Error) => void = () => undefined
  let begun: () => void = () => undefined
  const confirming = new Promise<void>((resolve) => {
    begun = resolve
  })
  const journal = {
    received: () => Promise.resolve(1),
    confirm: () => {
      begun()
      return new Promise<void>((_resolve, reject) => {
        fail = reject
      })
    },
    release: () => undefined,
  }
  const writer = new ReceivedWriter('numbers', journal)
  const stored = writer.store('numbers/0/1/0', 6)
  await confirming
  const flushed = writer.flushed()
  fail(new Error('somebody took over'))
  await expect(stored).rejects.toThrow('somebody took over')
  await expect(flushed).rejects.toThrow('somebody took over')
})
