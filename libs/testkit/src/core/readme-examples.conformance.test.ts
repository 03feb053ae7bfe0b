/** The examples of the README. */
import { StreamingContext, textFileSink, type FileSystem } from '@sluice/core'
import { quotedBlock } from '@sluice/doc-blocks'
import { describe, expect, test } from 'vitest'
import {
  ABORT,
  awkwardTexts,
  memoryFileSystem,
  runWithAborts,
  simulate,
  sinkConformance,
  type Build,
} from '../index.js'

/** The lines of all parts. */
async function linesBelow(disk: FileSystem, path: string): Promise<string[]> {
  const stat = await disk.stat(path)
  if (stat?.kind !== 'directory') return []
  const lines: string[] = []
  for await (const { name, kind } of disk.list(path)) {
    if (kind === 'directory') lines.push(...(await linesBelow(disk, `${path}/${name}`)))
    else if (name.startsWith('part-'))
      lines.push(
        ...String(await disk.read(`${path}/${name}`))
          .split('\n')
          .slice(0, -1),
      )
  }
  return lines
}

function diskWithFile(): FileSystem {
  const disk = memoryFileSystem()
  void disk.create('/file', new Uint8Array(0))
  return disk
}

sinkConformance<string>({
  describe,
  test,
  name: 'text-file-sink',
  open: () => {
    const disk = memoryFileSystem()
    const sink = () => textFileSink<string>({ prefix: '/out/lines', fileSystem: disk })
    return { sink: sink(), reopen: sink, readBack: () => linesBelow(disk, '/out') }
  },
  record: (index) => `line ${String(index)}`,
  awkward: awkwardTexts,
  refused: 'none',
  broken: () => textFileSink({ prefix: '/file/out/lines', fileSystem: diskWithFile() }),
  skip: [
    { test: 'a late older batch is refused', reason: 'each batch has a folder of its own' },
    { test: 'E8: once a higher epoch has opened, a lower one can write no more', reason: 'files cannot fence' },
  ],
})

const { runs } = await runWithAborts([[1, 2], [3, ABORT, 4], [5]], (numbers) => numbers.map((n) => n * 2))

test('a crash ends the run, and another one goes on', () => {
  expect(runs).toEqual([
    { seen: [[2, 4]], abortedAt: 2_000 },
    { seen: [[6, 8], [10]], abortedAt: undefined },
  ])
})

const build: Build = (sim) => {
  const ssc = new StreamingContext(sim.options)
  sim.source(ssc, 'numbers', (i) => i).to(sim.sink('numbers'))
  return ssc
}

test('what was written in the end is what it should be', async () => {
  await simulate(build, { seed: 7, batches: 20, faults: { kill: 0.05, powerLoss: 0.05, lateWrite: 0.02 } })
})

test('these are the examples of the README', () => {
  quotedBlock('libs/testkit/README.md', 'sinkConformance', 'libs/testkit/src/core/readme-examples.conformance.test.ts')
  quotedBlock('libs/testkit/README.md', 'runWithAborts', 'libs/testkit/src/core/readme-examples.conformance.test.ts')
  quotedBlock('libs/testkit/README.md', 'simulate', 'libs/testkit/src/core/readme-examples.conformance.test.ts')
})
