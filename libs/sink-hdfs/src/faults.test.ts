/** What may fail between us and real servers: connections at each step, processes, whole servers; and races. */
import { createServer } from 'node:http'
import { once } from 'node:events'
import { inspect } from 'node:util'
import type { AddressInfo } from 'node:net'
import { ListMultipartUploadsCommand, ListPartsCommand, S3Client } from '@aws-sdk/client-s3'
import { isSluiceError, newIdentity, systemClock, type FileSystem, type Sink } from '@sluice/core'
import {
  describeWithInstalled,
  describeWithServices,
  dfsAdmin,
  startProxy,
  startService,
  type Direction,
  type Proxy,
} from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { hdfs } from './hdfs/hdfs-file-system.js'
import { s3 } from './s3/s3-file-system.js'
import { committedFiles } from './sink/committed-files.js'
import { fileSink } from './sink/file-sink.js'
import { text } from './sink/format.js'
import { configOf, makeBucket } from './testing/s3-bucket.js'

const { signal } = new AbortController()
const MIB = 2 ** 20

async function* piecesOf(...pieces: readonly (Uint8Array | Promise<unknown>)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    const found = await piece
    if (found instanceof Uint8Array) yield found
  }
}

async function* failingAfter(piece: Uint8Array): AsyncGenerator<Uint8Array> {
  await Promise.resolve()
  yield piece
  throw new Error('the source failed')
}

/** A process that is told to stop may still give an answer or two. */
async function expectGivenUp(fileSystem: FileSystem, root: string): Promise<void> {
  let tries = 0
  const attempt = () =>
    fileSystem.create(`${root}/hangs-${String(tries++)}`, Buffer.from('x')).then(
      () => 'done',
      (error: unknown) => (error as { retryable?: boolean }).retryable,
    )
  await expect.poll(attempt, { timeout: 20_000 }).toBe(true)
}

async function namesIn(fileSystem: FileSystem, folder: string): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of fileSystem.list(folder)) names.push(name)
  return names.sort()
}

/** One batch of one partition, tried again as an output's policy does. */
async function batchWithRetries(make: () => Sink<string>, records: readonly string[]): Promise<number> {
  const id = { app: 'app', output: 'to-0', batchTime: 1_000, partitions: 1, planDigest: 'p', epoch: 1 }
  const quiet = () => undefined
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet }
  for (let attempt = 0; ; attempt++) {
    try {
      const sink = make()
      await sink.open?.({ ...id, lastPlanned: 1e15, logger, clock: systemClock, signal })
      const context = { signal, reject: quiet, settleRejects: () => Promise.resolve() }
      await sink.writePartition({ ...id, attempt, partition: 0 }, chunks(records), context)
      await sink.commitBatch?.({ ...id, attempt }, { offsets: {}, signal })
      return attempt
    } catch (error) {
      expect(isSluiceError(error), String(error)).toBe(true)
      if (attempt === 10) throw error
      await systemClock.sleep(50 * (attempt + 1))
    }
  }
}

async function* chunks(records: readonly string[]): AsyncGenerator<readonly string[]> {
  await Promise.resolve()
  yield records
}

interface Line {
  readonly proxies: readonly Proxy[]
  /** Through the proxies. Given up soon. */
  readonly faulty: FileSystem
  /** Past them. */
  readonly sound: FileSystem
  readonly root: string
}

const RECORDS = Array.from({ length: 40 }, (_, i) => `line ${String(i)}`)
const CUTS = 6

/** Breaks a batch at moments that are spread over all its bytes, and looks at what came of it. */
async function breakEverywhere({ proxies, faulty, sound, root }: Line, how: 'cutAfter' | 'dropAfter', cuts: number) {
  const bytesOf = () => proxies.map(({ passed }) => ({ ...passed }))
  const run = async (name: string): Promise<number> => {
    const path = `${root}/${name}`
    await sound.makeDirectory(path)
    const attempts = await batchWithRetries(
      () => fileSink({ path, fileSystem: faulty, format: text<string>() }),
      RECORDS,
    )
    const files = await committedFiles(path, sound)
    expect(files).toHaveLength(1)
    expect(Buffer.from(await sound.read(files[0]!.path)).toString()).toBe(RECORDS.map((line) => `${line}\n`).join(''))
    expect((await namesIn(sound, path)).filter((each) => each !== '_sluice')).toHaveLength(1)
    return attempts
  }
  const before = bytesOf()
  expect(await run('sound')).toBe(0)
  const after = bytesOf()
  let breaks = 0
  for (const [index, proxy] of proxies.entries()) {
    for (const direction of ['up', 'down'] as const satisfies readonly Direction[]) {
      const total = after[index]![direction] - before[index]![direction]
      expect(total).toBeGreaterThan(0)
      for (let cut = 0; cut < cuts; cut++) {
        proxy[how](Math.floor((total * (cut + 0.5)) / cuts), direction)
        // A dropped line is dead until new connections are made on another one.
        const healed =
          how === 'dropAfter'
            ? setTimeout(() => {
                proxy.passAgain()
                proxy.cut()
              }, 600)
            : undefined
        await run(`${how}-${String(index)}-${direction}-${String(cut)}`)
        clearTimeout(healed)
        proxy.passAgain()
        breaks++
      }
    }
  }
  expect(breaks).toBe(proxies.length * 2 * cuts)
}

await describeWithServices({ describe, test }, ['s3'], 'S3', (values) => {
  const config = configOf(values.s3)
  const rootOf = async () => `s3://${await makeBucket(values.s3)}/faults/${newIdentity()}`
  const sound = s3({ config, partBytes: 5 * MIB }).fileSystem

  test.each(['cutAfter', 'dropAfter'] as const)(
    'E9: %s at any byte leaves one effect',
    async (how) => {
      const proxy = await startProxy({ target: new URL(values.s3.endpoint).host })
      try {
        const through = { ...config, endpoint: `http://${proxy.address}`, maxAttempts: 2 }
        const faulty = s3({ config: through, timeoutMs: 300 }).fileSystem
        await breakEverywhere(
          { proxies: [proxy], faulty, sound, root: await rootOf() },
          how,
          how === 'cutAfter' ? 2 * CUTS : 3,
        )
      } finally {
        await proxy.stop()
      }
    },
    120_000,
  )

  test('E23: of 20 writers that race for a name one wins; those who write the same have all won', async () => {
    const root = await rootOf()
    await sound.makeDirectory(root)
    const all = Array.from({ length: 20 }, (_, i) => i)
    const race = (name: string, identityOf: (i: number) => string) =>
      Promise.allSettled(
        all.map((i) =>
          sound.createFrom!(`${root}/${name}`, piecesOf(Buffer.from(identityOf(i))), { identity: identityOf(i) }),
        ),
      )
    const foreign = await race('foreign', (i) => `writer ${String(i)}`)
    expect(foreign.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const outcome of foreign)
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'IDENTITY_CONFLICT' })
    const winner = foreign.findIndex(({ status }) => status === 'fulfilled')
    expect(Buffer.from(await sound.read(`${root}/foreign`)).toString()).toBe(`writer ${String(winner)}`)
    const same = await race('same', () => 'the part')
    expect(same.filter(({ status }) => status === 'fulfilled')).toHaveLength(20)
  }, 60_000)

  test('a large file goes in parts, is not there before the last, and nothing stays of one that fails', async () => {
    const root = await rootOf()
    await sound.makeDirectory(root)
    const part = Buffer.alloc(5 * MIB, 'x')
    let seen: unknown
    const look = async () => {
      seen = await sound.stat(`${root}/large`)
    }
    async function* pieces(): AsyncGenerator<Uint8Array> {
      yield part
      yield part
      await look()
      yield Buffer.from('end')
    }
    await sound.createFrom!(`${root}/large`, pieces())
    expect(seen).toBeUndefined()
    expect(await sound.stat(`${root}/large`)).toMatchObject({ sizeBytes: 10 * MIB + 3 })
    const end = await sound.read(`${root}/large`, { start: 10 * MIB - 1, length: 10 })
    expect(Buffer.from(end).toString()).toBe('xend')
    const failing = sound.createFrom!(`${root}/failed`, failingAfter(part))
    await expect(failing).rejects.toMatchObject({ message: expect.stringContaining('the source failed') as string })
    expect(await namesIn(sound, root)).toEqual(['large'])
    expect(await uploadsBelow(root)).toEqual([])
  }, 60_000)

  async function uploadsBelow(root: string): Promise<{ key: string | undefined; parts: number }[]> {
    const client = new S3Client(config)
    const [, Bucket = '', Prefix = ''] = /^s3:\/\/([^/]*)\/(.*)$/.exec(root) ?? []
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix }))
    const uploads = Uploads.map(async ({ Key, UploadId }) => {
      const { Parts = [] } = await client.send(new ListPartsCommand({ Bucket, Key, UploadId }))
      return { key: Key, parts: Parts.length }
    })
    return Promise.all(uploads).finally(() => {
      client.destroy()
    })
  }

  test('the sink ends the uploads that a killed process has left, and no others', async () => {
    const root = await rootOf()
    await batchWithRetries(() => fileSink({ path: root, fileSystem: sound, format: text<string>() }), RECORDS)
    const [file] = await committedFiles(root, sound)
    const name = file?.path.split('/').at(-1) ?? ''
    const never = new Promise(() => undefined)
    const part = Buffer.alloc(5 * MIB)
    for (const each of [`x=1/${name.replace('00000', '00001')}`, 'x=1/of-others.txt'])
      void sound.makeDirectory(`${root}/x=1`).then(() => sound.createFrom!(`${root}/${each}`, piecesOf(part, never)))
    // A killed process sends nothing any more: neither do they when their part is there.
    const parts = async (): Promise<number[]> => (await uploadsBelow(root)).map((upload) => upload.parts)
    await expect.poll(parts, { timeout: 30_000 }).toEqual([1, 1])
    await batchWithRetries(() => fileSink({ path: root, fileSystem: sound, format: text<string>() }), RECORDS)
    expect(await uploadsBelow(root)).toEqual([{ key: expect.stringContaining('of-others') as string, parts: 1 }])
  }, 60_000)

  test.each([
    ['a bucket that is missing', {}, 's3://sluice-no-such-bucket/x', 'make the bucket'],
    [
      'a wrong secret',
      { credentials: { accessKeyId: 'sluice', secretAccessKey: 'WRONG-one' } },
      undefined,
      'check the secret',
    ],
    [
      'a wrong key',
      { credentials: { accessKeyId: 'nobody', secretAccessKey: 'WRONG-one' } },
      undefined,
      'check the access key',
    ],
    ['nobody there', { endpoint: 'http://127.0.0.1:9', maxAttempts: 1 }, undefined, 'is the server up'],
  ])('E: %s fails at the start, with the remedy and no secrets', async (_what, more, path, remedy) => {
    const { fileSystem } = s3({ config: { ...config, ...more } })
    const failed = await fileSystem.makeDirectory(path ?? (await rootOf())).catch((error: unknown) => error as Error)
    expect(failed).toMatchObject({ code: 'FILE_SYSTEM_FAILED', message: expect.stringContaining(remedy) as string })
    expect(inspect(failed, { depth: 20 })).not.toMatch(/WRONG-one|sluice-secret|Signature=/)
  })
})

await describeWithInstalled({ describe, test }, ['s3'], 'a server of S3 that hangs', () => {
  test('is given up in time, and used again when it goes on', async () => {
    const own = await startService('s3')
    try {
      const config = configOf(own.values)
      const { fileSystem } = s3({ config })
      const hasty = s3({ config: { ...config, maxAttempts: 1 }, timeoutMs: 500 }).fileSystem
      const root = `s3://${await makeBucket(own.values)}/x`
      await fileSystem.makeDirectory(root)
      await hasty.makeDirectory(root)
      await own.processes[0]?.pause()
      await expectGivenUp(hasty, root)
      await own.processes[0]?.resume()
      await fileSystem.create(`${root}/b`, Buffer.from('b'))
    } finally {
      await own.stop()
    }
  }, 60_000)
})

await describeWithServices({ describe, test }, ['hdfs'], 'HDFS', (values) => {
  const options = { nameNodes: values.hdfs.url, user: 'root' }
  const rootOf = () => `hdfs://cluster/faults/${newIdentity()}`
  const sound = hdfs(options).fileSystem

  test.each(['cutAfter', 'dropAfter'] as const)(
    'E9: %s at any byte, of NameNode or DataNode, leaves one effect',
    async (how) => {
      const nameNode = await startProxy({ target: new URL(values.hdfs.url).host })
      const dataNode = await startProxy()
      try {
        const faulty = hdfs({
          ...options,
          nameNodes: `http://${nameNode.address}`,
          timeoutMs: 300,
          dataNodeUrl: (url) => {
            dataNode.setTarget(new URL(url).host)
            return url.replace(new URL(url).host, dataNode.address)
          },
        }).fileSystem
        const line = { proxies: [nameNode, dataNode], faulty, sound, root: rootOf() }
        await breakEverywhere(line, how, how === 'cutAfter' ? CUTS : 2)
      } finally {
        await Promise.all([nameNode.stop(), dataNode.stop()])
      }
    },
    180_000,
  )

  test('E23: of 20 writers that race for a name one wins', async () => {
    const root = rootOf()
    await sound.makeDirectory(root)
    const tries = Array.from({ length: 20 }, (_, i) => sound.createFrom!(`${root}/a`, piecesOf(Buffer.from(String(i)))))
    const outcomes = await Promise.allSettled(tries)
    const winner = outcomes.findIndex(({ status }) => status === 'fulfilled')
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'FILE_EXISTS' })
    expect(Buffer.from(await sound.read(`${root}/a`)).toString()).toBe(String(winner))
    expect(await namesIn(sound, root)).toEqual(['a'])
  }, 60_000)

  test('a NameNode in standby, and one that is not there, are left for the next', async () => {
    let asked = 0
    const standby = createServer((_request, response) => {
      asked++
      const RemoteException = { exception: 'StandbyException', message: 'Operation category READ is not supported' }
      response.writeHead(403, { 'Content-Type': 'application/json' }).end(JSON.stringify({ RemoteException }))
    })
    standby.listen(0, '127.0.0.1')
    await once(standby, 'listening')
    try {
      const { port } = standby.address() as AddressInfo
      const nameNodes = ['http://127.0.0.1:9', `http://127.0.0.1:${String(port)}`, values.hdfs.url]
      const { fileSystem } = hdfs({ ...options, nameNodes })
      const root = rootOf()
      await fileSystem.makeDirectory(root)
      await fileSystem.create(`${root}/a`, Buffer.from('a'))
      expect(Buffer.from(await sound.read(`${root}/a`)).toString()).toBe('a')
      // The one that answered is asked first from then on.
      expect(asked).toBe(1)
    } finally {
      standby.close()
    }
  })

  test('what somebody else may not write is told with the remedy', async () => {
    const root = rootOf()
    await sound.makeDirectory(root)
    const { fileSystem } = hdfs({ ...options, user: 'alice' })
    await expect(fileSystem.makeDirectory(`${root}/x`)).rejects.toMatchObject({
      code: 'FILE_SYSTEM_FAILED',
      retryable: false,
      message: expect.stringMatching(/AccessControlException.*check the permissions, and the option user/) as string,
    })
  })
})

await describeWithInstalled({ describe, test }, ['hdfs'], 'an HDFS that is broken', () => {
  test('E9, E23: DataNode killed in a write, NameNode restarted and hanging, safe mode', async () => {
    const own = await startService('hdfs')
    const [nameNode, dataNode] = own.processes
    const options = { nameNodes: own.values.url, user: 'root' }
    const patient = hdfs({ ...options, retryForMs: 90_000 }).fileSystem
    const hasty = hdfs({ ...options, timeoutMs: 500, retryForMs: 500 }).fileSystem
    const root = 'hdfs://cluster/broken'
    try {
      await patient.makeDirectory(root)
      // Killed while it is written to: nothing has the name, and the next try is as if nothing had been.
      const killed = async () => {
        await dataNode?.kill()
        return new Uint8Array(MIB)
      }
      async function* pieces(): AsyncGenerator<Uint8Array> {
        yield new Uint8Array(MIB)
        yield await killed()
        for (let i = 0; i < 16; i++) yield new Uint8Array(MIB)
      }
      await expect(hasty.createFrom!(`${root}/a`, pieces())).rejects.toMatchObject({ retryable: true })
      expect(await namesIn(patient, root)).toEqual([])
      const waiting = patient.create(`${root}/a`, Buffer.from('a'))
      await dataNode?.restart()
      await waiting
      // A restart is only a delay.
      const restarted = nameNode?.restart()
      await patient.create(`${root}/b`, Buffer.from('b'))
      await restarted
      expect(Buffer.from(await patient.read(`${root}/a`)).toString()).toBe('a')
      // One that hangs is given up.
      await nameNode?.pause()
      await expectGivenUp(hasty, root)
      await nameNode?.resume()
      // Safe mode: reads go on, writes wait, or say what it is.
      await dfsAdmin(own.values, '-safemode', 'enter')
      expect(Buffer.from(await hasty.read(`${root}/b`)).toString()).toBe('b')
      await expect(hasty.create(`${root}/d`, Buffer.from('d'))).rejects.toMatchObject({
        retryable: true,
        message: expect.stringMatching(/safe mode.*-safemode get/is) as string,
      })
      const creating = patient.create(`${root}/d`, Buffer.from('d'))
      await dfsAdmin(own.values, '-safemode', 'leave')
      await creating
      const names = await namesIn(patient, root)
      expect(names.filter((name) => !name.startsWith('hangs-'))).toEqual(['a', 'b', 'd'])
    } finally {
      await own.stop()
    }
  }, 400_000)
})
