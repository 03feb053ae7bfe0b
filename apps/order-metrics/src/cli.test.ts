import { describe, expect, it } from 'vitest'
import { parseOptions, UsageError } from './cli.js'

describe('parseOptions', () => {
  it('replays the sample in two minutes into a new folder when nothing is said', () => {
    expect(parseOptions([])).toEqual({
      source: { kind: 'replay', directory: undefined, speed: 260, loop: false },
      batchMs: 1_000,
      windowMs: 300_000,
      limits: { orders: 10, cancellations: 2 },
      blacklistFile: undefined,
      partitions: undefined,
      outDirectory: undefined,
      checkpoint: undefined,
      takeOver: false,
      database: true,
      fresh: false,
    })
  })

  it('reads every option', () => {
    const args =
      '--data days --speed max --loop --batch 50 --partitions 3 --out results --fresh' +
      ' --window 60 --max-orders 5 --max-cancellations 0 --blacklist bad.txt --checkpoint log --take-over --no-database'
    expect(parseOptions(args.split(' '))).toEqual({
      source: { kind: 'replay', directory: 'days', speed: 'max', loop: true },
      batchMs: 50,
      windowMs: 60_000,
      limits: { orders: 5, cancellations: 0 },
      blacklistFile: 'bad.txt',
      partitions: 3,
      outDirectory: 'results',
      checkpoint: 'log',
      takeOver: true,
      database: false,
      fresh: true,
    })
    expect(parseOptions(['--speed', '0.5'])).toMatchObject({ source: { speed: 0.5 } })
  })

  it.each([
    ['localhost:9999', 'localhost', 9_999],
    ['10.0.0.1:1', '10.0.0.1', 1],
    ['[::1]:9999', '::1', 9_999],
  ])('connects to %s', (text, host, port) => {
    expect(parseOptions(['--connect', text])).toMatchObject({
      source: { kind: 'connect', host, port, sequenced: false },
    })
    const numbered = parseOptions(['--connect', text, '--sequenced'])
    expect(numbered).toMatchObject({ source: { host, port, sequenced: true } })
  })

  it.each([
    ['--window 1', 1_000],
    ['--window 1 --batch 300', 1_200],
    ['--window 5 --batch 60000', 60_000],
    ['--batch 70', 300_020],
    ['--window 1000000 --batch 999', 1_000_000_998],
  ])('rounds the window up to whole batches with %s', (args, windowMs) => {
    const options = parseOptions(args.split(' '))
    expect(options).toMatchObject({ windowMs })
    expect(options === 'help' || windowMs % options.batchMs).toBe(0)
  })

  it('reads a topic of Kafka', () => {
    expect(
      parseOptions('--kafka a:9092,b:9092 --topic orders --group metrics --until-idle 5'.split(' ')),
    ).toMatchObject({
      source: {
        kind: 'kafka',
        brokers: ['a:9092', 'b:9092'],
        topic: 'orders',
        group: 'metrics',
        untilIdleMs: 5_000,
        outTopic: undefined,
      },
    })
    expect(parseOptions(['--kafka', 'a:1', '--topic', 't'])).toMatchObject({
      source: { group: undefined, consumers: undefined, untilIdleMs: undefined },
    })
    expect(parseOptions('--kafka a:1 --topic t --group g --consumers 2'.split(' '))).toMatchObject({
      source: { group: 'g', consumers: 2 },
    })
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
    [['--window', '0'], "--window takes a whole number from 1 to 1000000, not '0'"],
    [['--window', '2.5'], "--window takes a whole number from 1 to 1000000, not '2.5'"],
    [['--window', '1000001'], '--window takes a whole number from 1 to 1000000'],
    [['--max-orders', 'many'], "--max-orders takes a whole number from 0, not 'many'"],
    [['--max-cancellations=-1'], "--max-cancellations takes a whole number from 0, not '-1'"],
    [['--blacklist', ''], '--blacklist takes a file, not an empty name'],
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
    [['--kafka', 'a:1'], '--kafka reads a topic; name it with --topic'],
    [['--kafka', 'a', '--topic', 't'], "--kafka takes HOST:PORT, e.g. localhost:9999, not 'a'"],
    [['--kafka', 'a:1', '--topic', 't', '--group', ''], '--group takes a name'],
    [['--kafka', 'a:1', '--topic', 't', '--consumers', '2'], '--consumers is about the members of a group; name it'],
    [['--kafka', 'a:1', '--topic', 't', '--group', 'g', '--consumers', '0'], '--consumers takes a whole number from 1'],
    [['--consumers', '2'], '--consumers is about --kafka; add that'],
    [['--kafka', 'a:1', '--topic', 't', '--out-topic', ''], '--out-topic takes a name'],
    [['--kafka', 'a:1', '--topic', 't', '--out-topic', 't'], '--out-topic is the topic that is read'],
    [['--out-topic', 't'], '--out-topic is about --kafka; add that'],
    [['--kafka', 'a:1', '--topic', 't', '--until-idle', '0'], '--until-idle takes a whole number from 1'],
    [['--kafka', 'a:1', '--topic', 't', '--loop'], '--loop is about the replay'],
    [['--kafka', 'a:1', '--topic', 't', '--connect', 'a:1'], 'leave one out'],
    [['--topic', 't'], '--topic is about --kafka; add that'],
  ])('refuses %j', (args, message) => {
    expect(() => parseOptions(args)).toThrow(UsageError)
    expect(() => parseOptions(args)).toThrow(message)
  })
})

it('a database server is named by a URL, and a wrong one is not repeated, as it may hold a password', () => {
  expect(parseOptions(['--sql', 'mysql://me:secret@db/shop'])).toMatchObject({ sql: 'mysql://me:secret@db/shop' })
  expect(parseOptions(['--mongo', 'mongodb://me:secret@db/'])).toMatchObject({ mongo: 'mongodb://me:secret@db/' })
  expect(() => parseOptions(['--mongo', 'http://me:secret@db'])).toThrow('--mongo takes mongodb://HOST:PORT')
  for (const wrong of ['secret', 'redis://me:secret@db/shop']) {
    const call = () => parseOptions(['--sql', wrong])
    expect(call).toThrow('--sql takes postgres: or mysql://')
    expect(call).not.toThrow('secret')
  }
})

it('reads where files go on HDFS and S3', () => {
  const places = { hdfs: 'http://namenode:9870/orders', s3: 's3://shop/orders' }
  expect(parseOptions(['--hdfs', places.hdfs, '--s3', places.s3])).toMatchObject(places)
  for (const wrong of ['hdfs://namenode/orders', 'http://namenode:9870', 'http://namenode:9870/', 'namenode:9870/x']) {
    expect(() => parseOptions(['--hdfs', wrong])).toThrow('--hdfs takes http://NAMENODE:9870/FOLDER')
  }
  for (const wrong of ['shop/orders', 's3://shop', 's3://me:secret@shop/orders']) {
    const call = () => parseOptions(['--s3', wrong])
    expect(call).toThrow('--s3 takes s3://BUCKET/FOLDER')
    expect(call).not.toThrow('secret')
  }
})
