import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Instances } from './instances.js'
import { isCi, obtain, type ObtainOptions } from './obtain.js'
import type { ServiceModule } from './service.js'
import { describeWithInstalled, describeWithServices, service, startService } from './testing.js'

/** A service that can be missing, and launches nothing. */
function scripted(has: { installed: boolean; fetchable?: boolean; startable?: boolean }) {
  const calls: string[] = []
  let isThere = has.installed
  const module: ServiceModule = {
    name: 'scripted',
    summary: '',
    environmentVariable: 'SLUICE_SCRIPTED',
    fromEnvironment(value) {
      if (value === 'nonsense') throw new Error('it makes no sense')
      return { url: value }
    },
    missing: () => Promise.resolve(isThere ? undefined : 'it is not in the cache'),
    fetch() {
      calls.push('fetch')
      if (has.fetchable === false) return Promise.reject(new Error('no network'))
      isThere = true
      return Promise.resolve()
    },
    start() {
      calls.push('start')
      return has.startable === false ? Promise.reject(new Error('no room')) : Promise.resolve({ url: 'started' })
    },
  }
  return { module, calls }
}

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-obtain-'))
  vi.stubEnv('SLUICE_CACHE', folder)
  vi.stubEnv('CI', '')
  for (const name of ['SLUICE_SCRIPTED', 'SLUICE_KAFKA', 'SLUICE_KCAT']) vi.stubEnv(name, '')
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

describe('who asks for a service', () => {
  const ask = (module: ServiceModule, options: Partial<ObtainOptions> = {}) => {
    const progress = () => undefined
    return obtain(module, { instances: new Instances(folder, progress), holder: 'user', progress, ...options })
  }

  test('gets the one that the user has named, and nothing is started', async () => {
    vi.stubEnv('SLUICE_SCRIPTED', 'their://own')
    const { module, calls } = scripted({ installed: false })
    expect(await ask(module)).toEqual({ values: { url: 'their://own' } })
    expect(calls).toEqual([])
  })

  test('is told which variable makes no sense', async () => {
    vi.stubEnv('SLUICE_SCRIPTED', 'nonsense')
    const { module } = scripted({ installed: true })
    await expect(ask(module)).rejects.toThrow('SLUICE_SCRIPTED cannot be used: it makes no sense')
  })

  test('gets a new one where all is there', async () => {
    const { module, calls } = scripted({ installed: true })
    expect(await ask(module)).toEqual({ values: { url: 'started' } })
    expect(calls).toEqual(['start'])
  })

  test('is told the command where something is missing on a machine of a developer, and nothing is fetched', async () => {
    const { module, calls } = scripted({ installed: false })
    const missing = 'needs scripted: it is not in the cache; npm run services -- install scripted'
    expect(await ask(module)).toEqual({ missing })
    expect(calls).toEqual([])
  })

  test('in CI has it fetched and started', async () => {
    vi.stubEnv('CI', 'true')
    const { module, calls } = scripted({ installed: false })
    expect(await ask(module)).toEqual({ values: { url: 'started' } })
    expect(calls).toEqual(['fetch', 'start'])
  })

  test('in CI fails where it cannot be fetched', async () => {
    vi.stubEnv('CI', 'true')
    const { module } = scripted({ installed: false, fetchable: false })
    await expect(ask(module)).rejects.toThrow('it is not in the cache, and cannot be fetched: no network')
  })

  test.each(['', 'true'])('fails where it cannot be started, CI being "%s"', async (ci) => {
    vi.stubEnv('CI', ci)
    const { module } = scripted({ installed: true, startable: false })
    await expect(ask(module)).rejects.toThrow('no room')
  })

  test.each([
    ['true', true],
    ['1', true],
    ['', false],
    ['false', false],
    ['0', false],
  ])('CI=%s is CI: %s', (value, expected) => {
    vi.stubEnv('CI', value)
    expect(isCi()).toBe(expected)
  })
})

describe('a test file that asks for what is missing', () => {
  /** Notes what a test file registers, and runs nothing of it. */
  function notingFunctions() {
    const noted: string[] = []
    const describeNoting = (title: string, body: () => void) => {
      noted.push(title)
      body()
    }
    return { noted, functions: { describe: describeNoting, test: { skip: (title: string) => noted.push(title) } } }
  }

  const NEEDS = /^needs kafka: Kafka [\d.]+ is not in the cache; npm run services -- install kafka$/

  test('has one skipped test in place of its tests, named by what is missing and the command', async () => {
    const { noted, functions } = notingFunctions()
    await describeWithServices(functions, ['kafka'], 'with a broker', () => noted.push('ran'))
    expect(noted).toEqual(['with a broker', expect.stringMatching(NEEDS)])
  })

  test('has them skipped also where it would start its own', async () => {
    const { noted, functions } = notingFunctions()
    await describeWithInstalled(functions, ['kafka'], 'with its own', () => noted.push('ran'))
    expect(noted).toEqual(['with its own', expect.stringMatching(NEEDS)])
    await expect(startService('kafka')).rejects.toThrow('npm run services -- install kafka')
  })

  test('has a single test skipped with the command as its note', async () => {
    const notes: (string | undefined)[] = []
    const skip = (note?: string) => {
      notes.push(note)
      throw new Error('skipped')
    }
    await expect(service('kafka', { skip })).rejects.toThrow('skipped')
    expect(notes).toEqual([expect.stringMatching(NEEDS)])
    await expect(service('kafka')).rejects.toThrow('npm run services -- install kafka')
  })

  test('runs against the servers that the user has named', async () => {
    vi.stubEnv('SLUICE_KAFKA', '10.0.0.1:9092,10.0.0.2:9092')
    vi.stubEnv('SLUICE_KCAT', '/opt/kcat')
    const { noted, functions } = notingFunctions()
    await describeWithServices(functions, ['kafka', 'kcat'], 'with theirs', ({ kafka, kcat }) => {
      noted.push(kafka.bootstrap, kcat.command)
    })
    expect(noted).toEqual(['with theirs', '10.0.0.1:9092,10.0.0.2:9092', '/opt/kcat'])
  })

  test('fails where the address of theirs is none', async () => {
    vi.stubEnv('SLUICE_KAFKA', 'kafka')
    await expect(service('kafka')).rejects.toThrow("SLUICE_KAFKA cannot be used: 'kafka' is not of the form host:port")
  })
})
