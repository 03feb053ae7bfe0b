import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFileSystem } from '@sluice/core'
import { describe, test } from 'vitest'
import { crashableFileSystem, fileSystemConformance, memoryFileSystem } from '../index.js'

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

fileSystemConformance({
  describe,
  test,
  name: 'crashable disk',
  open: async () => {
    const fileSystem = crashableFileSystem()
    await fileSystem.makeDirectory('/work')
    return { fileSystem, root: '/work' }
  },
})

fileSystemConformance({
  describe,
  test,
  name: 'crashable disk without append, rename and link',
  open: async () => {
    const fileSystem = crashableFileSystem({ supports: { append: false, rename: false, link: false } })
    await fileSystem.makeDirectory('/work')
    return { fileSystem, root: '/work' }
  },
})
