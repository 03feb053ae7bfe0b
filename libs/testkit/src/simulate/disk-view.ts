/** A disk as one process sees it: each call is an event, at which the process may end and the disk may fail. */
import { SluiceError, type AppendFile, type DirectoryEntry, type FileSystem, type Random } from '@sluice/core'
import type { OperationFault } from './faults.js'
import type { FaultyOperation, Operate } from './operation.js'
import type { SimDisk } from './sim-disk.js'

const SLOWEST_MS = 10_000

export function diskView(operate: Operate, disk: SimDisk): FileSystem {
  // Of the time when the machine was started: after a loss of power it is another one.
  const real = disk.now
  const call = <T>(what: string, on: string, work: () => Promise<T>, tear?: () => Promise<unknown>): Promise<T> =>
    operate({ kind: 'disk', what, on }, work, {
      tear,
      faulty: (fault, random) => faultyCall(disk, what, work, fault, random),
    })
  return {
    '~sluice': 'file-system/1',
    name: 'simulated disk',
    supports: real.supports,
    create: (path, data, options) => call('create', path, () => real.create(path, data, options)),
    openAppend: async (path) => appendView(call, path, await call('openAppend', path, () => real.openAppend(path))),
    read: (path, range) => call('read', path, () => real.read(path, range)),
    stat: (path) => call('stat', path, () => real.stat(path)),
    async *list(path) {
      yield* await call('list', path, () => entriesOf(real, path))
    },
    makeDirectory: (path) => call('makeDirectory', path, () => real.makeDirectory(path)),
    rename: (from, to) => call('rename', to, () => real.rename(from, to)),
    link: (from, to) => call('link', to, () => real.link(from, to)),
    remove: (path) => call('remove', path, () => real.remove(path)),
    removeTree: (path) => call('removeTree', path, () => real.removeTree(path)),
    syncDirectory: (path) => call('syncDirectory', path, () => real.syncDirectory(path)),
  }
}

type Call = <T>(what: string, on: string, work: () => Promise<T>, tear?: () => Promise<unknown>) => Promise<T>

function appendView(call: Call, path: string, file: AppendFile): AppendFile {
  return {
    get sizeBytes() {
      return file.sizeBytes
    },
    append: (data) => {
      const torn = data.subarray(0, Math.floor(data.byteLength * 0.6))
      return call(
        'append',
        path,
        () => file.append(data),
        () => file.append(torn),
      )
    },
    sync: () => call('sync', path, () => file.sync()),
    close: () => call('close', path, () => file.close()),
  }
}

function faultyCall<T>(
  disk: SimDisk,
  what: string,
  work: () => Promise<T>,
  fault: OperationFault,
  random: Random,
): FaultyOperation {
  switch (fault) {
    case 'syncError':
      return { effect: () => disk.failing('EIO', work) }
    case 'diskFull':
      return { effect: () => disk.failing('ENOSPC', work) }
    case 'slowDisk':
      return { delayMs: random.next() * SLOWEST_MS }
    case 'lostAnswer':
      return {
        effect: async () => {
          await work()
          throw lostAnswer(what)
        },
      }
    default:
      return {}
  }
}

function lostAnswer(what: string): SluiceError {
  const message = `${what} was not answered (ETIMEDOUT); try again`
  return new SluiceError({ code: 'FILE_SYSTEM_FAILED', component: 'simulated-disk', message, retryable: true })
}

async function entriesOf(disk: FileSystem, path: string): Promise<DirectoryEntry[]> {
  const entries: DirectoryEntry[] = []
  for await (const entry of disk.list(path)) entries.push(entry)
  // No order is promised, so none may be relied upon.
  return entries.reverse()
}
