/** Engines, and a store, that break what batches and their outputs promise. */
import type { BrokenEngine } from './broken-engine.js'

const LEDGER = 'testing/ledger-store.js'
const RUNNER = 'scheduler/batch-runner.js'
const REJECTS = 'scheduler/rejects.js'
const CHECKPOINT = 'checkpoint/checkpoint.js'

/** The start of a batch is awaited nowhere: with it the plan would have become durable. */
const planNotDurable = {
  file: CHECKPOINT,
  find: "await this.#append({ type: 'start', ...merged });",
  replace: "this.#note({ type: 'start', ...merged });",
}
const logBehindNotSeen = { file: LEDGER, find: ' || batchTime <= lastPlanned)', replace: ' || true)' }
export const startedByTheOldOwner = {
  file: CHECKPOINT,
  find: "await this.#append({ type: 'start', ...merged });\n        // A next owner that is there already has read the log without this entry: what the batch would write is not its batch.\n        await this.#parts.ownership.confirm();",
  replace: "await this.#append({ type: 'start', ...merged });",
}

export const brokenOutputs: readonly BrokenEngine[] = [
  {
    name: 'ledger-ignored',
    rule: 'E1',
    mistake: 'the store applies a partition again that is in its ledger',
    replacements: [
      { file: LEDGER, find: 'this.#begin(id, indexes !== undefined);', replace: 'this.#begin(id, true) ?? [];' },
    ],
    hunt: 'words, killed',
    finds: /there is .* and not/,
  },
  {
    name: 'epoch-in-the-ledger-key',
    rule: 'E1',
    mistake: 'each process has ledger entries of its own',
    replacements: [
      {
        file: LEDGER,
        find: 'const key = `${app}/${output}/${String(partition)}`;\n        const row',
        replace:
          'const key = `${app}/${output}/${String(partition)}`;\n        if (this.#ledger.get(key)?.epoch < epoch) return [];\n        const row',
      },
    ],
    hunt: 'words, killed',
    finds: /there is .* and not/,
  },
  {
    name: 'log-behind-sink-not-seen',
    rule: 'E1',
    mistake: 'a store that knows more than the log is written to; seen only where the log loses something',
    replacements: [planNotDurable, logBehindNotSeen],
    hunt: 'words, power lost',
    finds: /never committed/,
  },
  {
    name: 'plan-not-durable',
    rule: 'E1',
    mistake: 'outputs are written before the plan of their batch is durable',
    replacements: [planNotDurable],
    hunt: 'words, power lost',
    finds: /LOG_BEHIND_SINK/,
  },
  {
    name: 'commit-before-outputs',
    rule: 'E1',
    mistake: 'a batch is committed before its outputs are written',
    replacements: [
      {
        file: RUNNER,
        find: 'await this.#runOutputs(batch.plan, outputs, signal);',
        replace:
          'await this.#parts.log.commit(batch.plan.time);\n            await this.#runOutputs(batch.plan, outputs, signal);',
      },
    ],
    hunt: 'words, killed',
    finds: /there is .* and not/,
  },
  {
    name: 'next-batch-before-commit',
    rule: 'E2',
    mistake: 'the next batch may begin while the commit is under way',
    replacements: [
      {
        file: RUNNER,
        find: 'await this.#parts.log.commit(batch.plan.time);',
        replace: 'void this.#parts.log.commit(batch.plan.time).catch(() => undefined);',
      },
    ],
    hunt: 'state, killed',
    finds: /is missing|is wrong/,
  },
  {
    name: 'planned-again',
    rule: 'E3',
    mistake: 'a batch that is run again is planned again',
    replacements: [
      {
        file: 'scheduler/scheduler.js',
        find: 'this.#submit(batch.plan, batch.records);',
        replace: 'await this.#plan(batch.plan.time);',
      },
    ],
    hunt: 'words, killed',
    finds: /IDENTITY_CONFLICT|is missing|cover|is wrong/,
  },
  {
    name: 'side-data-not-recorded',
    rule: 'E3',
    mistake: 'side data are read again when a batch is run again',
    replacements: [
      {
        file: 'scheduler/batch-functions.js',
        find: 'operator in this.#recorded ? this.#recorded[operator] : await read()',
        replace: 'await read()',
      },
    ],
    hunt: 'side data, killed',
    finds: /two states of its side data/,
  },
  {
    name: 'fence-not-checked',
    rule: 'E8',
    mistake: 'the store lets a replaced owner write; seen only where that owner does not ask whether it is replaced',
    replacements: [
      startedByTheOldOwner,
      {
        file: LEDGER,
        find: 'if ((this.#fences.get(prefix) ?? -Infinity) > epoch)',
        replace: 'if (false)',
      },
      { file: LEDGER, find: 'if (row !== undefined && row.epoch > epoch)', replace: 'if (false)' },
    ],
    hunt: 'words, taken over',
    finds: /IDENTITY_CONFLICT|never committed|is wrong|is missing|there twice/,
  },
  {
    name: 'late-write-accepted',
    rule: 'E9',
    mistake: 'a write that timed out and lands after the next batch is applied',
    replacements: [
      {
        file: LEDGER,
        find: 'if (row === undefined || row.batchTime < batchTime)',
        replace: 'if (row === undefined || row.batchTime !== batchTime)',
      },
    ],
    hunt: 'words, late writes',
    finds: /there is .* and not/,
  },
  {
    name: 'all-outputs-again',
    rule: 'E13',
    mistake: 'outputs that are done are run again with the one that failed',
    replacements: [{ file: RUNNER, find: 'jobs.filter((job) => !done.has(job))', replace: 'jobs' }],
    hunt: 'one output fails',
    finds: /was another output that failed/,
  },
  {
    name: 'done-too-early',
    rule: 'E13',
    mistake: 'an output is marked as done before it is',
    replacements: [
      {
        file: RUNNER,
        find: "bus.post('onOutputStarted', started);",
        replace: "bus.post('onOutputStarted', started);\n        log.done(plan.time, output.id);",
      },
    ],
    hunt: 'words, stopped',
    finds: /there is .* and not/,
  },
  {
    name: 'rejects-lost',
    rule: 'E18',
    mistake: 'what a store refuses is left out, and written nowhere',
    replacements: [{ file: REJECTS, find: 'if (fresh.size === 0)', replace: 'if (true)' }],
    hunt: 'dead letters, killed',
    finds: /bad, .* is missing/,
  },
  {
    name: 'rejects-after-the-good',
    rule: 'E18',
    mistake: 'rejects are written after the good records are in the ledger',
    replacements: [
      {
        file: 'scheduler/output-writer.js',
        find: 'this.#policy.batchSize, signal), context);',
        replace: 'this.#policy.batchSize, signal), { ...context, settleRejects: () => Promise.resolve() });',
      },
    ],
    hunt: 'dead letters, killed',
    finds: /bad, .* is missing/,
  },
  {
    name: 'rejects-without-indexes',
    rule: 'E18',
    mistake: 'what was refused before is given to the store again, and refused again',
    replacements: [
      { file: REJECTS, find: 'new Set(await this.#sink.settledIndexes?.(letters))', replace: 'new Set()' },
      { file: LEDGER, find: '!settled.includes(indexes[i] ?? -1)', replace: 'true' },
    ],
    hunt: 'dead letters, killed',
    finds: /bad, .* there twice/,
  },
  {
    name: 'stray-action-not-awaited',
    rule: 'E25',
    mistake: 'a batch is committed while an action that nobody awaits runs',
    replacements: [
      {
        file: 'scheduler/batch-scope.js',
        find: 'return this.#watch(start());',
        replace: 'const action = start();\n        action.catch(() => undefined);\n        return action;',
      },
      { file: 'scheduler/batch-scope.js', find: 'void this.#watch(action);', replace: '{}' },
    ],
    hunt: 'not awaited, killed',
    finds: /is missing/,
  },
]
