/** A source that can be read again, for tests: batch n has the n-th element of a script, also after a restart. */
import type { InputSource } from '../input/input.js'

export function scriptedSource<T>(script: readonly (readonly T[])[], name = 'script'): InputSource<T, number> {
  let next = 0
  return {
    '~sluice': 'input/1',
    name,
    replayable: true,
    start: ({ resumed }) => {
      next = (resumed?.head as number | undefined) ?? 0
      return Promise.resolve()
    },
    plan: () => {
      const index = next++
      return { data: index, records: script[index]?.length ?? 0, head: next }
    },
    partitions: (index) => [index],
    read: (index: number) => [script[index] ?? []],
  }
}
