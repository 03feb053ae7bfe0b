import { SluiceError, type FileSystem } from '@sluice/core'
import { memoryFileSystem } from '@sluice/core/testing'
import { describe, expect, test } from 'vitest'
import { collectSuite } from '../suite/collect.js'
import { fileSystemConformance } from './file-system-conformance.js'

/** A memory disk of which some methods are replaced. */
function patched(patch: (fs: FileSystem) => Partial<FileSystem>): () => FileSystem {
  return () => {
    const fs = memoryFileSystem()
    const methods = {
      create: fs.create.bind(fs),
      openAppend: fs.openAppend.bind(fs),
      read: fs.read.bind(fs),
      stat: fs.stat.bind(fs),
      list: fs.list.bind(fs),
      makeDirectory: fs.makeDirectory.bind(fs),
      rename: fs.rename.bind(fs),
      link: fs.link.bind(fs),
      remove: fs.remove.bind(fs),
      removeTree: fs.removeTree.bind(fs),
      syncDirectory: fs.syncDirectory.bind(fs),
    }
    return { '~sluice': 'file-system/1', name: 'patched disk', supports: fs.supports, ...methods, ...patch(fs) }
  }
}

async function failures(make: () => FileSystem): Promise<string[]> {
  const results = await collectSuite((runner) => {
    fileSystemConformance({
      ...runner,
      name: 'patched disk',
      open: async () => {
        const fileSystem = make()
        await fileSystem.makeDirectory('/work')
        return { fileSystem, root: '/work' }
      },
    })
  })
  return results.flatMap(({ name, outcome }) => (outcome === 'failed' ? [name] : []))
}

const unsupported = (): Promise<never> =>
  Promise.reject(
    new SluiceError({ code: 'FILE_SYSTEM_UNSUPPORTED', component: 'patched', message: 'cannot; use another' }),
  )

test('a right file system passes', async () => {
  expect(await failures(patched(() => ({})))).toEqual([])
})

test('one that can neither append nor rename nor link, and says so, passes', async () => {
  const make = patched(() => ({
    supports: { append: false, rename: false, link: false },
    openAppend: unsupported,
    rename: unsupported,
    link: unsupported,
  }))
  expect(await failures(make)).toEqual([])
})

describe('each broken file system is caught by the rule that it breaks', () => {
  test.each<[string, (fs: FileSystem) => Partial<FileSystem>, string]>([
    [
      'whose create replaces',
      (fs) => ({
        create: async (path, data) => {
          await fs.remove(path).catch(() => undefined)
          await fs.create(path, data)
        },
      }),
      'create of a name that is taken rejects with FILE_EXISTS and leaves the file as it was',
    ],
    [
      'whose create looks first and writes then',
      (fs) => ({
        create: async (path, data) => {
          if ((await fs.stat(path)) !== undefined) return fs.create(path, data)
          const file = await fs.openAppend(path)
          await file.append(data)
        },
      }),
      'of many creates of one name exactly one succeeds, and its contents stand',
    ],
    [
      'whose create shows half a file',
      (fs) => ({
        create: async (path, data) => {
          await fs.create(path, data.subarray(0, data.byteLength / 2))
          await new Promise((resolve) => setImmediate(resolve))
          const file = await fs.openAppend(path)
          await file.append(data.subarray(data.byteLength / 2))
        },
      }),
      'a file that is being created is not there, or it is there whole',
    ],
    [
      'that gives ranges by their end',
      (fs) => ({
        read: (path, range) =>
          fs.read(path, range && { start: range.start, length: Math.max(0, range.length - range.start) }),
      }),
      'read of a range gives these bytes, cut at the end of the file',
    ],
    [
      'that lists only the first page',
      (fs) => ({
        async *list(path) {
          let given = 0
          for await (const entry of fs.list(path)) if (given++ < 50) yield entry
        },
      }),
      'list can be left early and gives all of many entries',
    ],
    [
      'that lists what lies deeper',
      (fs) => ({
        async *list(path) {
          for await (const entry of fs.list(path)) {
            yield entry
            if (entry.kind === 'directory') yield* fs.list(`${path}/${entry.name}`)
          }
        },
      }),
      'list gives files and folders of this folder only',
    ],
    [
      'that throws the errors of the driver',
      () => ({ read: () => Promise.reject(Object.assign(new Error('ENOENT'), { code: 'ENOENT' })) }),
      'read of nothing rejects with FILE_NOT_FOUND',
    ],
    [
      'whose link replaces',
      (fs) => ({
        link: async (from, to) => {
          await fs.remove(to)
          await fs.link(from, to)
        },
      }),
      'E9: link to a name that is taken rejects with FILE_EXISTS and changes nothing',
    ],
    [
      'that declares what it cannot do',
      () => ({ openAppend: unsupported }),
      'openAppend makes an empty file where there is none',
    ],
    [
      'that begins anew instead of appending',
      (fs) => ({
        openAppend: async (path) => {
          await fs.remove(path)
          return fs.openAppend(path)
        },
      }),
      'what was appended can be read at once, and goes on at the end after opening again',
    ],
  ])('one %s', async (_what, patch, rule) => {
    expect(await failures(patched(patch))).toContain(rule)
  })
})
