import { describe, expect, it } from 'vitest'
import { parseOptions, UsageError } from './cli.js'

describe('parseOptions', () => {
  it('replays the sample in two minutes into a new folder when nothing is said', () => {
    expect(parseOptions([])).toEqual({
      source: { kind: 'replay', directory: undefined, speed: 260, loop: false },
      batchMs: 1_000,
      partitions: undefined,
      outDirectory: undefined,
      fresh: false,
    })
  })

  it('reads every option', () => {
    const args = '--data days --speed max --loop --batch 50 --partitions 3 --out results --fresh'
    expect(parseOptions(args.split(' '))).toEqual({
      source: { kind: 'replay', directory: 'days', speed: 'max', loop: true },
      batchMs: 50,
      partitions: 3,
      outDirectory: 'results',
      fresh: true,
    })
    expect(parseOptions(['--speed', '0.5'])).toMatchObject({ source: { speed: 0.5 } })
  })

  it.each([
    ['localhost:9999', 'localhost', 9_999],
    ['10.0.0.1:1', '10.0.0.1', 1],
    ['[::1]:9999', '::1', 9_999],
  ])('connects to %s', (text, host, port) => {
    expect(parseOptions(['--connect', text])).toMatchObject({ source: { kind: 'connect', host, port } })
  })

  it('asks for help', () => {
    expect(parseOptions(['--help'])).toBe('help')
    expect(parseOptions(['-h', '--batch', 'x'])).toBe('help')
  })

  it.each([
    [['--bach', '50'], "Unknown option '--bach'"],
    [['results'], "Unexpected argument 'results'"],
    [['--batch'], '--batch'],
    [['--batch', '9'], "--batch takes a whole number from 10, not '9'"],
    [['--batch', '1e3'], "--batch takes a whole number from 10, not '1e3'"],
    [['--partitions', '0'], "--partitions takes a whole number from 1, not '0'"],
    [['--speed', 'fast'], "--speed takes lines a second above 0, or max, not 'fast'"],
    [['--speed', '0'], '--speed takes'],
    [['--data', ''], '--data takes a folder'],
    [['--out', ''], '--out takes a folder'],
    [['--connect', 'localhost'], "--connect takes HOST:PORT, e.g. localhost:9999, not 'localhost'"],
    [['--connect', ':9999'], '--connect takes'],
    [['--connect', 'a:b:1'], '--connect takes'],
    [['--connect', 'localhost:0'], '--connect takes'],
    [['--connect', 'localhost:65536'], '--connect takes'],
    [['--connect', 'localhost:1', '--loop'], '--loop is about the replay'],
    [['--connect', 'localhost:1', '--speed', 'max'], '--speed is about the replay'],
    [['--connect', 'localhost:1', '--data', 'x'], '--data is about the replay'],
  ])('refuses %j', (args, message) => {
    expect(() => parseOptions(args)).toThrow(UsageError)
    expect(() => parseOptions(args)).toThrow(message)
  })
})
