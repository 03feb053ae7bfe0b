import { isSluiceError } from '@sluice/core'
import { crashableFileSystem, openEntryLog, type EntryLog, type OpenLog } from '@sluice/core/testing'
import { describe, expect, test } from 'vitest'
import { collectSuite } from '../suite/collect.js'
import { logConformance } from './log-conformance.js'

async function failures(openLog: OpenLog, append: boolean): Promise<string[]> {
  const results = await collectSuite((runner) => {
    logConformance({
      ...runner,
      name: 'patched log',
      openLog,
      open: async () => {
        const fileSystem = crashableFileSystem({ supports: { append } })
        await fileSystem.makeDirectory('/work')
        return { fileSystem, root: '/work' }
      },
    })
  })
  return results.flatMap(({ name, outcome }) => (outcome === 'failed' ? [name] : []))
}

/** The log, some of whose methods are replaced. */
function patched(patch: (log: EntryLog) => Partial<EntryLog>): OpenLog {
  return async (options, onEntry) => {
    const log = await openEntryLog(options, onEntry)
    const methods: EntryLog = {
      get nextSequence() {
        return log.nextSequence
      },
      get statistics() {
        return log.statistics
      },
      append: (type, payload) => log.append(type, payload),
      note: (type, payload) => log.note(type, payload),
      trim: (sequence) => log.trim(sequence),
      close: () => log.close(),
    }
    return Object.defineProperties(methods, Object.getOwnPropertyDescriptors(patch(log)))
  }
}

const layouts = [
  { layout: 'segments', append: true },
  { layout: 'objects', append: false },
]

test.each(layouts)('a right log passes, in $layout', async ({ append }) => {
  expect(await failures(openEntryLog, append)).toEqual([])
})

/** Where it finds damage, it begins in another folder. */
const openAnew: OpenLog = async (options, onEntry) => {
  try {
    return await openEntryLog(options, onEntry)
  } catch (error) {
    if (!isSluiceError(error, 'DATA_CORRUPT')) throw error
    return openEntryLog({ ...options, folder: `${options.folder}-anew` }, onEntry)
  }
}

const broken: [string, OpenLog, string][] = [
  [
    'that acknowledges before it writes',
    patched((log) => ({ append: (type, payload) => Promise.resolve(log.note(type, payload)) })),
    'what was acknowledged is there for the next owner, also if the log was never closed',
  ],
  [
    'that forgets the last entry',
    async (options, onEntry) => {
      let held: Parameters<typeof onEntry>[0] | undefined
      return openEntryLog(options, async (entry) => {
        if (held !== undefined) await onEntry(held)
        held = entry
      })
    },
    'entries are read in order by the next owner, with sequence, type and epoch',
  ],
  [
    'that does not wait for onEntry',
    (options, onEntry) => openEntryLog(options, (entry) => void Promise.resolve(onEntry(entry)).catch(() => undefined)),
    'the next entry is read when onEntry has resolved, and its rejection ends the opening',
  ],
  [
    'that numbers each life anew',
    async (options, onEntry) => {
      let sequence = 0
      const log = await openEntryLog(options, (entry) => onEntry({ ...entry, sequence: ++sequence }))
      const first = log.nextSequence
      return patchedSequence(log, first)
    },
    'sequences count up by one, as nextSequence says, and are never used twice',
  ],
  [
    'that syncs for each entry',
    patched((log) => {
      let last: Promise<unknown> = Promise.resolve()
      return {
        append: (type, payload) => {
          const appended = last.then(() => log.append(type, payload))
          last = appended.catch(() => undefined)
          return appended
        },
      }
    }),
    'appends that wait together share a sync',
  ],
  [
    'that loses what was only noted',
    patched((log) => ({ note: () => log.nextSequence })),
    'entries that were noted are durable with the next append, and at close',
  ],
  [
    'that trims too much',
    patched((log) => ({ trim: (sequence) => log.trim(sequence + 8) })),
    'trim forgets only entries below, and what is left is sound',
  ],
  [
    'that trims nothing',
    patched(() => ({ trim: () => Promise.resolve() })),
    'trim forgets only entries below, and what is left is sound',
  ],
  [
    'that takes entries after it was closed',
    patched((log) => {
      let closed = false
      return {
        append: (type, payload) => (closed ? Promise.resolve(1) : log.append(type, payload)),
        close: async () => {
          closed = true
          await log.close()
        },
      }
    }),
    'a closed log takes nothing more, and can be closed again',
  ],
  [
    'that does not look at epochs',
    (options, onEntry) => openEntryLog({ ...options, epoch: options.epoch + 10 * ++opened }, onEntry),
    'E7: an owner whose epoch is not above all others is FENCED',
  ],
  [
    'that claims success after a failed write',
    patched((log) => ({ append: (type, payload) => log.append(type, payload).catch(() => log.nextSequence) })),
    'E17: after a write that failed every call rejects with its cause, and a restart goes on',
  ],
  [
    'that begins anew where it finds damage',
    openAnew,
    'E17: a file that is lost from the middle is DATA_CORRUPT and named',
  ],
  [
    'that takes damage for an end',
    openAnew,
    'E17: a flipped bit is DATA_CORRUPT by file, or cost no more than the last group',
  ],
  [
    'that gives what it must not',
    (options, onEntry) => openEntryLog(options, (entry) => onEntry({ ...entry, payload: entry.payload.slice(0, 2) })),
    'payloads of any size and bytes come back as they were',
  ],
  [
    'that lets a replaced owner write',
    async (options, onEntry) => {
      const own = await openEntryLog(options, onEntry)
      newest = own
      return {
        get nextSequence() {
          return own.nextSequence
        },
        get statistics() {
          return own.statistics
        },
        append: (type, payload) => (newest ?? own).append(type, payload),
        note: (type, payload) => own.note(type, payload),
        trim: (sequence) => own.trim(sequence),
        close: () => own.close(),
      }
    },
    'E7: what an old owner writes after it was replaced is never read',
  ],
]
let opened = 0
let newest: EntryLog | undefined

function patchedSequence(log: EntryLog, first: number): EntryLog {
  return {
    get nextSequence() {
      return log.nextSequence - first + 1
    },
    get statistics() {
      return log.statistics
    },
    append: async (type, payload) => (await log.append(type, payload)) - first + 1,
    note: (type, payload) => log.note(type, payload) - first + 1,
    trim: (sequence) => log.trim(sequence + first - 1),
    close: () => log.close(),
  }
}

describe.each(layouts)('each broken log is caught by the rule that it breaks, in $layout', ({ append }) => {
  test.each(broken)('one %s', async (_what, openLog, rule) => {
    expect(await failures(openLog, append)).toContain(rule)
  })
})
