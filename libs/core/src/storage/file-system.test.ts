import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import { fileSystemSuite } from './file-system.suite.js'
import { memoryFileSystem } from './memory-file-system.js'
import { nodeFileSystem } from './node-file-system.js'

fileSystemSuite({ describe, test }, 'local disk', async () => {
  const root = await mkdtemp(join(tmpdir(), 'sluice-fs-'))
  return { fileSystem: nodeFileSystem(), root, close: () => rm(root, { recursive: true, force: true }) }
})

fileSystemSuite({ describe, test }, 'memory disk', async () => {
  const fileSystem = memoryFileSystem()
  await fileSystem.makeDirectory('/work')
  return { fileSystem, root: '/work', close: () => Promise.resolve() }
})
