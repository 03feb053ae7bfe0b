/**
 * An application whose input, checkpoint and output are all on HDFS, or all on S3. It is killed at random moments, and so is the
 * server; what it leaves must equal a recomputation. It runs the built package: `tsc -b` comes first.
 *
 * `CHAOS_EVENTS` says how many times the application is killed, `CHAOS_RESTARTS` how often the server is, `CHAOS_SEED` which moments.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { newIdentity, seededRandom, type FileSystem, type Random, type SchemeFileSystem } from '@sluice/core'
import { describeWithInstalled, startService, type ServerProcess } from '@sluice/services'
import { describe, expect, test } from 'vitest'
import { hdfs } from './hdfs/hdfs-file-system.js'
import { s3 } from './s3/s3-file-system.js'
import { configOf, makeBucket } from './testing/s3-bucket.js'

const PACKAGE = fileURLToPath(new URL('../', import.meta.url))
const WORDS = ['to', 'be', 'or', 'not', 'that', 'is', 'the', 'question']
const FILE_LINES = 20
const FEED_MS = 120

/** Counts words, of each batch and of all, and says when a batch has been done. */
const APP = `
import { seconds, milliseconds, StreamingContext } from '@sluice/core'
const [root, fileSystemOf] = process.argv.slice(1)
const fileSystems = [await (0, eval)(fileSystemOf)()]
const ssc = new StreamingContext({ appName: 'chaos', batchInterval: milliseconds(200), checkpoint: root + '/ckpt', fileSystems, log: 'warn' })
ssc.addListener({ onBatchCompleted: () => process.stdout.write('batch\\n') })
const words = ssc.textFileStream(root + '/in', { newFilesOnly: false, remember: seconds(3600) })
  .flatMap((line) => line.split(' ')).map((word) => [word, 1])
words.reduceByKey((a, b) => a + b, { name: 'batch' }).saveAsTextFiles(root + '/words/w', '', { name: 'words' })
words.updateStateByKey((ones, total = 0) => ones.reduce((a, b) => a + b, total), { name: 'total' })
  .saveAsTextFiles(root + '/totals/t', '', { name: 'totals' })
await ssc.start()
await ssc.awaitTermination()
`

/** An app process, its end, and its batches. */
class App {
  readonly child: ChildProcess
  readonly ended: Promise<unknown>
  readonly #waiting: (() => void)[] = []

  constructor(root: string, fileSystemOf: string) {
    const args = ['--no-warnings', '--input-type=module', '--eval', APP, root, fileSystemOf]
    this.child = spawn(process.execPath, args, { cwd: PACKAGE, stdio: ['ignore', 'pipe', 'inherit'] })
    this.ended = once(this.child, 'exit')
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', () => {
      for (const resolve of this.#waiting.splice(0)) resolve()
    })
  }

  /** Resolves when a batch has been done, or when the process has ended. */
  async batch(): Promise<void> {
    await Promise.race([new Promise<void>((resolve) => this.#waiting.push(resolve)), this.ended])
  }
}

interface Place {
  readonly scheme: SchemeFileSystem
  /** Makes the same in the other process. */
  readonly source: string
  readonly root: string
  readonly server: ServerProcess
}

/** Puts one file after the other, until told to stop; what it has put is counted. */
async function feed(fileSystem: FileSystem, root: string, random: Random, isOver: () => boolean) {
  const expected = new Map<string, number>()
  for (let file = 0; !isOver(); file++) {
    const lines = Array.from({ length: FILE_LINES }, () => `${wordOf(random)} ${wordOf(random)}`)
    const path = `${root}/in/file-${String(file).padStart(6, '0')}`
    await untilDone(() => fileSystem.create(path, Buffer.from(`${lines.join('\n')}\n`)))
    for (const word of lines.flatMap((line) => line.split(' '))) expected.set(word, (expected.get(word) ?? 0) + 1)
    await sleep(FEED_MS)
  }
  return expected
}

function wordOf(random: Random): string {
  return WORDS[random.integer(WORDS.length)] ?? ''
}

/** The server may be gone for a while. */
async function untilDone(work: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await work()
      return
    } catch (error) {
      if ((error as { code?: string }).code === 'FILE_EXISTS') return
      if (tries === 100) throw error
      await sleep(200)
    }
  }
}

/** Counts in the parts of finished folders, by folder. */
async function foldersOf(fileSystem: FileSystem, path: string): Promise<Map<string, Map<string, number>>> {
  const folders = new Map<string, Map<string, number>>()
  if ((await fileSystem.stat(path)) === undefined) return folders
  for await (const { name } of fileSystem.list(path)) {
    const folder = `${path}/${name}`
    const counts = new Map<string, number>()
    let isDone = false
    for await (const file of fileSystem.list(folder)) {
      if (file.name === '_SUCCESS') isDone = true
      if (!file.name.startsWith('part-')) continue
      for (const line of Buffer.from(await fileSystem.read(`${folder}/${file.name}`))
        .toString()
        .split('\n')) {
        const [, word = '', count] = /^\((.*),(\d+)\)$/.exec(line) ?? []
        if (word !== '') counts.set(word, (counts.get(word) ?? 0) + Number(count))
      }
    }
    if (isDone) folders.set(name, counts)
  }
  return folders
}

function summed(folders: ReadonlyMap<string, ReadonlyMap<string, number>>): Map<string, number> {
  const sum = new Map<string, number>()
  for (const counts of folders.values()) for (const [word, n] of counts) sum.set(word, (sum.get(word) ?? 0) + n)
  return sum
}

const total = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((a, b) => a + b, 0)

async function chaos(
  { scheme: { fileSystem }, source, root, server }: Place,
  defaults: { events: number; restarts: number },
) {
  const events = Number(process.env['CHAOS_EVENTS'] ?? defaults.events)
  const restarts = Number(process.env['CHAOS_RESTARTS'] ?? defaults.restarts)
  const seed = Number(process.env['CHAOS_SEED'] ?? 2026)
  const random = seededRandom(seed)
  for (const folder of ['in', 'words', 'totals']) await fileSystem.makeDirectory(`${root}/${folder}`)
  let over = false
  const feeding = feed(fileSystem, root, seededRandom(seed + 1), () => over)
  let app = new App(root, source)
  let restarted = 0
  for (let event = 0; event < events; event++) {
    // Some die in their start, the others in a batch.
    if (random.next() > 0.3) await app.batch()
    await sleep(random.integer(300))
    if (restarted < restarts && random.next() < restarts / events) {
      await server.restart()
      restarted++
    }
    app.child.kill('SIGKILL')
    await app.ended
    app = new App(root, source)
  }
  for (; restarted < restarts; restarted++) await server.restart()
  over = true
  const expected = await feeding
  const deadline = performance.now() + 60_000
  while (total(summed(await foldersOf(fileSystem, `${root}/words`))) < total(expected)) {
    if (performance.now() > deadline) break
    // Which gives up where a server is gone for too long, as it should.
    if (app.child.exitCode !== null) app = new App(root, source)
    await Promise.race([app.batch(), sleep(500)])
  }
  app.child.kill('SIGTERM')
  await app.ended
  const words = await foldersOf(fileSystem, `${root}/words`)
  expect(summed(words), `seed ${String(seed)}`).toEqual(expected)
  const totals = await foldersOf(fileSystem, `${root}/totals`)
  const newest = [...totals.keys()].sort().at(-1) ?? ''
  expect(totals.get(newest), `seed ${String(seed)}`).toEqual(expected)
  process.stderr.write(
    `chaos on ${fileSystem.name}: ${String(events)} kills, ${String(restarted)} restarts of the server, ` +
      `${String(totals.size)} batches, ${String(total(expected))} words, exact\n`,
  )
}

await describeWithInstalled({ describe, test }, ['s3'], 'S3', () => {
  test('E1, E7: input, checkpoint and output on S3 are exact, whoever is killed', async () => {
    const own = await startService('s3')
    try {
      const config = configOf(own.values)
      const options = `{ config: ${JSON.stringify(config)} }`
      await chaos(
        {
          scheme: s3({ config }),
          source: `async () => (await import('@sluice/sink-hdfs/s3')).s3(${options})`,
          root: `s3://${await makeBucket(own.values)}/chaos/${newIdentity()}`,
          server: own.processes[0]!,
        },
        { events: 2, restarts: 1 },
      )
    } finally {
      await own.stop()
    }
  }, 1_800_000)
})

await describeWithInstalled({ describe, test }, ['hdfs'], 'HDFS', () => {
  test('E1, E7: input, checkpoint and output on HDFS are exact, whoever is killed', async () => {
    const own = await startService('hdfs')
    try {
      const options = { nameNodes: own.values.url, user: 'root' }
      await chaos(
        {
          scheme: hdfs(options),
          source: `async () => (await import('@sluice/sink-hdfs')).hdfs(${JSON.stringify(options)})`,
          root: `hdfs://cluster/chaos/${newIdentity()}`,
          server: own.processes[0]!,
        },
        { events: 2, restarts: 0 },
      )
    } finally {
      await own.stop()
    }
  }, 1_800_000)
})
