import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cacheFolder } from './folders.js'
import { describeWithInstalled } from './index.js'
import { KAFKA_VERSION } from './kafka/jars.js'
import { identify } from './process-identity.js'

const ROOT = resolve(import.meta.dirname, '../../..')
const LONG_MS = 180_000

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command as users do, with a cache of its own, so that it does not touch what runs for the user. */
async function services(cache: string, ...args: string[]): Promise<Ended> {
  const env = { ...process.env, SLUICE_CACHE: cache, SLUICE_KAFKA: '', NO_COLOR: '1' }
  try {
    const { stdout, stderr } = await promisify(execFile)('npm', ['run', '-s', 'services', '--', ...args], {
      cwd: ROOT,
      env,
    })
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, stdout, stderr }
  }
}

/** What it has printed, which must be one line of JSON and nothing else. */
function jsonLine({ stdout, stderr, code }: Ended): Record<string, { bootstrap?: string; pids?: number[] }> {
  expect({ code, stderr }).toMatchObject({ code: 0 })
  expect(stdout).toMatch(/^\{.*\}\n$/)
  return JSON.parse(stdout) as Record<string, { bootstrap?: string; pids?: number[] }>
}

describe('npm run services', () => {
  let cache: string

  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'sluice-cli-'))
  })

  afterAll(async () => {
    await rm(cache, { recursive: true, force: true })
  })

  test('tells its usage on stderr', { timeout: LONG_MS }, async () => {
    const { code, stdout, stderr } = await services(cache, '--help')
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toContain('usage: npm run -s services -- COMMAND')
    expect(stderr).toContain('SLUICE_KAFKA_SASL')
    expect((await services(cache, 'begin')).code).toBe(2)
  })

  test('names what there is where a name is wrong or none is given', { timeout: LONG_MS }, async () => {
    const wrong = await services(cache, 'start', 'kafak')
    expect({ code: wrong.code, stdout: wrong.stdout }).toEqual({ code: 1, stdout: '' })
    expect(wrong.stderr).toContain("there is no 'kafak'; there are kafka, kafka3, kafka-sasl, kcat")
    expect((await services(cache, 'start')).stderr).toContain('name one at least')
  })
})

await describeWithInstalled({ describe, test }, ['kafka'], 'npm run services with Kafka', () => {
  let cache: string

  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'sluice-cli-'))
    const broker = `kafka-${KAFKA_VERSION}`
    await symlink(join(cacheFolder(), broker), join(cache, broker))
  })

  afterAll(async () => {
    await services(cache, 'stop')
    await rm(cache, { recursive: true, force: true })
  }, LONG_MS)

  test('starts, finds again and stops, and prints one JSON line each time', { timeout: LONG_MS }, async () => {
    expect(jsonLine(await services(cache, 'status'))).toEqual({})
    const started = jsonLine(await services(cache, 'start', 'kafka'))
    expect(Object.keys(started)).toEqual(['kafka'])
    const { bootstrap, pids } = started['kafka']!
    expect(bootstrap).toMatch(/^127\.0\.0\.1:\d+$/)
    expect(pids).toHaveLength(1)
    expect(await identify(pids![0]!)).toBeDefined()

    expect(jsonLine(await services(cache, 'status'))).toEqual(started)
    expect(jsonLine(await services(cache, 'start', 'kafka'))).toEqual(started)
    expect(jsonLine(await services(cache, 'stop', 'kafka'))).toEqual({ kafka: { stopped: pids } })
    expect(await identify(pids![0]!)).toBeUndefined()
    expect(jsonLine(await services(cache, 'status'))).toEqual({})
  })
})
