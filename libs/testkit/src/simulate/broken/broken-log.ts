/** Engines that break what the log promises, and who owns it. */
import type { BrokenEngine } from './broken-engine.js'
import { startedByTheOldOwner } from './broken-outputs.js'

const SEGMENTS = 'checkpoint/segment-log.js'
const READER = 'checkpoint/segment-reader.js'
const CHECKPOINT = 'checkpoint/checkpoint.js'

export const brokenLogs: readonly BrokenEngine[] = [
  {
    name: 'ownership-not-confirmed',
    rule: 'E7',
    mistake: 'an owner never asks whether it has been replaced',
    replacements: [{ file: 'checkpoint/ownership.js', find: 'if (!(await this.#isOwner()))', replace: 'if (false)' }],
    hunt: 'receiver, taken over',
    finds: /hangs/,
  },
  {
    name: 'acknowledged-by-the-old-owner',
    rule: 'E7',
    mistake: 'a receiver is told that its records are safe by an owner that was replaced',
    replacements: [{ file: 'input/received-writer.js', find: 'await this.#journal.confirm();', replace: '' }],
    hunt: 'receiver, taken over often',
    finds: /cover/,
  },
  {
    name: 'started-by-the-old-owner',
    rule: 'E7',
    mistake: 'a batch is begun by an owner that was replaced',
    replacements: [startedByTheOldOwner],
    hunt: 'appended words, taken over',
    finds: /is wrong|not \[/,
  },
  {
    name: 'committed-by-the-old-owner',
    rule: 'E7',
    mistake: 'what a commit lets go is let go by an owner that was replaced',
    replacements: [
      {
        file: CHECKPOINT,
        find: "await this.#append({ type: 'commit', time });\n        await ownership.confirm();",
        replace: "await this.#append({ type: 'commit', time });",
      },
    ],
    hunt: 'releasing source, taken over',
    finds: /INPUT_MISSING/,
  },
  {
    name: 'old-owner-is-read',
    rule: 'E7',
    mistake: 'what an owner wrote after it was replaced is read as part of the log',
    replacements: [{ file: READER, find: 'const bytes = end?.bytes ?? 0;', replace: 'const bytes = file.sizeBytes;' }],
    hunt: 'words, taken over',
    finds: /DATA_CORRUPT/,
  },
  {
    name: 'no-sync',
    rule: 'E17',
    mistake: 'the log is not synced',
    replacements: [{ file: SEGMENTS, find: 'await this.#open.file.sync();', replace: '' }],
    hunt: 'words, power lost',
    finds: /LOG_BEHIND_SINK|cover|is missing|IDENTITY_CONFLICT/,
  },
  {
    name: 'no-directory-sync',
    rule: 'E17',
    mistake: 'the name of a new segment is not made durable',
    replacements: [
      {
        file: SEGMENTS,
        find: 'await fileSystem.syncDirectory(folder);\n        const open = await openSegment(options, first);',
        replace: 'const open = await openSegment(options, first);',
      },
    ],
    hunt: 'words, power lost',
    finds: /LOG_BEHIND_SINK|cover|is missing|DATA_CORRUPT/,
  },
  {
    name: 'no-directory-sync-of-the-checkpoint',
    rule: 'E17',
    mistake: 'the name of the folder of the logs is not made durable',
    replacements: [
      {
        file: 'checkpoint/ownership.js',
        find: 'await fileSystem.makeDirectory(path);\n    await fileSystem.syncDirectory(folder);',
        replace: 'await fileSystem.makeDirectory(path);',
      },
    ],
    hunt: 'words, power lost',
    finds: /LOG_BEHIND_SINK|cover|is missing|DATA_CORRUPT/,
  },
  {
    name: 'failed-sync-forgotten',
    rule: 'E17',
    mistake: 'after a sync that failed the log goes on',
    replacements: [
      { file: 'checkpoint/group-log.js', find: 'this.#failure = error;', replace: '' },
      {
        file: 'checkpoint/group-log.js',
        find: 'this.#fail(toError(error), waiters);\n            return;',
        replace: '',
      },
    ],
    hunt: 'words, syncs fail',
    finds: /LOG_BEHIND_SINK|cover|is missing|DATA_CORRUPT|IDENTITY_CONFLICT/,
  },
  {
    name: 'torn-tail-not-cut',
    rule: 'E17',
    mistake: 'a write that was cut by a crash counts as damage',
    replacements: [
      { file: READER, find: 'if (found.some(({ synced }) => synced >= expected))', replace: 'if (found.length > 0)' },
    ],
    hunt: 'words, killed',
    finds: /DATA_CORRUPT/,
  },
  {
    name: 'damage-skipped',
    rule: 'E17',
    mistake: 'damage counts as a torn tail, and what was durable is cut',
    replacements: [
      { file: READER, find: 'if (found.some(({ synced }) => synced >= expected))', replace: 'if (false)' },
    ],
    hunt: 'appended words, bits flip',
    finds: /never committed|is missing|is wrong/,
  },
  {
    name: 'checksum-not-compared',
    rule: 'E17',
    mistake: 'what a frame holds is believed',
    replacements: [
      {
        file: 'checkpoint/frame.js',
        find: 'if (crc32(bytes.subarray(at + CHECKED_FROM, at + size), seed) !== crc)',
        replace: 'if (false)',
      },
    ],
    hunt: 'appended words, bits flip',
    finds: /never committed|is missing|is wrong/,
  },
  {
    name: 'log-trimmed-before-the-snapshot',
    rule: 'E4',
    mistake: 'the log is dropped before the snapshot that stands for it is durable',
    replacements: [
      {
        file: CHECKPOINT,
        find: 'const base = await writeSnapshot(',
        replace: 'await log.trim(sequence);\n        const base = await writeSnapshot(',
      },
    ],
    hunt: 'tuned state, killed',
    finds: /DATA_CORRUPT/,
  },
  {
    name: 'blocks-trimmed-too-early',
    rule: 'E4',
    mistake: 'what receivers stored is dropped from the log before its batch is committed',
    replacements: [
      {
        file: 'checkpoint/data-log.js',
        find: 'const [oldest = this.#log.nextSequence] = this.#held.values();',
        replace: 'const oldest = this.#log.nextSequence;',
      },
    ],
    hunt: 'tuned receiver, killed',
    finds: /INPUT_MISSING|cover|DATA_CORRUPT/,
  },
  {
    name: 'missing-block-is-empty',
    rule: 'E15',
    mistake: 'a block of a reliable receiver that is not there counts as empty; seen only where one is not read back',
    replacements: [
      {
        file: 'checkpoint/open-checkpoint.js',
        find: 'return sequence > through || planned.has(block);',
        replace: 'return sequence > through;',
      },
      {
        file: 'input/receiver-stream.js',
        find: 'if (this.isReliable && !isCommitted && !isDropped)',
        replace: 'if (false)',
      },
    ],
    hunt: 'receiver, killed',
    finds: /is missing|not \[/,
  },
]
