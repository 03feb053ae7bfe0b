import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFileSystem, type FileSystem } from '@sluice/core'
import { describe, test } from 'vitest'
import { crashableFileSystem, logConformance, memoryFileSystem } from '../index.js'

logConformance({
  describe,
  test,
  name: 'local disk',
  open: async () => {
    const root = await mkdtemp(join(tmpdir(), 'sluice-log-'))
    return { fileSystem: nodeFileSystem(), root, close: () => rm(root, { recursive: true, force: true }) }
  },
})

async function inMemory(fileSystem: FileSystem): Promise<{ fileSystem: FileSystem; root: string }> {
  await fileSystem.makeDirectory('/work')
  return { fileSystem, root: '/work' }
}

logConformance({ describe, test, name: 'memory disk', open: () => inMemory(memoryFileSystem()) })

logConformance({
  describe,
  test,
  name: 'memory disk that cannot append, as an object store',
  open: () => inMemory(crashableFileSystem({ supports: { append: false, rename: false, link: false } })),
})
