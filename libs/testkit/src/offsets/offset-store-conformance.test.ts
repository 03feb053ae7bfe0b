import { SluiceError, type OffsetStore, type StreamOffsets } from '@sluice/core'
import { expect, test } from 'vitest'
import { collectSuite } from '../suite/collect.js'
import { offsetStoreConformance } from './offset-store-conformance.js'

/** Where all stores of a test keep offsets. */
type Place = Map<string, Map<string, string>>

interface Faults {
  readonly keyOf?: (app: string, stream: string) => string
  /** Forgets what is not given. */
  readonly replaces?: boolean
  readonly fences?: boolean
  readonly isAlwaysOpen?: boolean
  readonly change?: (offset: string) => string
}

function memoryStore(place: Place, faults: Faults = {}): OffsetStore {
  const { keyOf = (app, stream) => JSON.stringify([app, stream]), fences = true, change = (offset) => offset } = faults
  let app: string | undefined = faults.isAlwaysOpen === true ? 'app' : undefined
  const known = new Map<string, Map<string, string>>()
  const at = (stream: string): [key: string, offsets: Map<string, string>] => {
    if (app === undefined)
      throw new SluiceError({ code: 'STOPPED', component: 'memory', message: 'not open; open it first' })
    const key = keyOf(app, stream)
    return [key, place.get(key) ?? new Map<string, string>()]
  }
  return {
    '~sluice': 'offset-store/1',
    name: 'memory',
    open: (context) => {
      app = context.appName
      return Promise.resolve()
    },
    load: async (stream): Promise<StreamOffsets> => {
      const [key, offsets] = await Promise.resolve(at(stream))
      known.set(key, new Map(offsets))
      return Object.fromEntries(offsets)
    },
    store: async (stream, given) => {
      const [key, offsets] = await Promise.resolve(at(stream))
      const mine = known.get(key) ?? new Map<string, string>()
      for (const partition of fences ? Object.keys(given) : [])
        if (offsets.get(partition) !== mine.get(partition))
          throw new SluiceError({ code: 'FENCED', component: 'memory', message: 'another run; stop one' })
      const kept = faults.replaces === true ? [] : [...offsets]
      const next = Object.entries(given).map(([partition, offset]) => [partition, change(offset)] as const)
      place.set(key, new Map([...kept, ...next]))
      for (const [partition, offset] of next) mine.set(partition, offset)
      known.set(key, mine)
    },
    close: () => {
      if (faults.isAlwaysOpen !== true) app = undefined
      return Promise.resolve()
    },
  }
}

async function failures(faults?: Faults, broken = true): Promise<string[]> {
  const results = await collectSuite((runner) => {
    offsetStoreConformance({
      ...runner,
      name: 'memory',
      open: () => {
        const place: Place = new Map()
        return { make: () => memoryStore(place, faults) }
      },
      broken: () => ({
        ...memoryStore(new Map()),
        open: () =>
          broken
            ? Promise.reject(new SluiceError({ code: 'CONNECTION_FAILED', component: 'memory', message: 'away; wait' }))
            : Promise.resolve(),
      }),
    })
  })
  return results.flatMap(({ name, outcome }) => (outcome === 'failed' ? [name] : []))
}

test('a right store passes', async () => {
  expect(await failures()).toEqual([])
})

const FENCED = 'a run that another one has overtaken is fenced, and changes nothing'
test.each<[what: string, faults: Faults, found: string]>([
  ['partitions that are not given are lost', { replaces: true }, 'partitions that are not given stay as they are'],
  ['names run into each other', { keyOf: (app, stream) => `${app}:${stream}` }, 'streams and applications are kept apart, whatever their names are'], // prettier-ignore
  ['applications share a stream', { keyOf: (_, stream) => stream }, 'streams and applications are kept apart, whatever their names are'], // prettier-ignore
  ['nobody is fenced', { fences: false }, FENCED],
  ['big offsets are rounded', { change: (offset) => (/^\d{16}/.test(offset) ? String(Number(offset)) : offset) }, 'names and offsets are any text'], // prettier-ignore
  ['it works without being opened', { isAlwaysOpen: true }, 'one that is not open, or closed, says so'],
])('it is found when %s', async (_, faults, found) => {
  expect(await failures(faults)).toContain(found)
})

test('it is found when a broken one opens', async () => {
  expect(await failures({}, false)).toEqual(['open of what cannot work rejects, and close does not'])
})
