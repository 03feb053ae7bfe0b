import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFileSystem } from '@sluice/core'
import { describe, test } from 'vitest'
import { fileSystemConformance, memoryFileSystem } from '../index.js'

fileSystemConformance({
  describe,
  test,
  name: 'local disk',
  open: async () => {
    const root = await mkdtemp(join(tmpdir(), 'sluice-fs-'))
    return { fileSystem: nodeFileSystem(), root, close: () => rm(root, { recursive: true, force: true }) }
  },
})

fileSystemConformance({
  describe,
  test,
  name: 'memory disk',
  open: async () => {
    const fileSystem = memoryFileSystem()
    await fileSystem.makeDirectory('/work')
    return { fileSystem, root: '/work' }
  },
})
