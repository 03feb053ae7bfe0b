/** Engines that break what state, windows, time and inputs promise. */
import type { BrokenEngine } from './broken-engine.js'

const OPERATOR = 'state/state-operator.js'
const TICKER = 'scheduler/ticker.js'
const RECEIVERS = 'input/receiver-stream.js'
const RUNNER = 'scheduler/batch-runner.js'

const notCurrent = {
  file: OPERATOR,
  find: 'if (time > this.#committed && (this.#batch === undefined || this.#batch === time))',
  replace: 'if (true)',
}

export const brokenStreams: readonly BrokenEngine[] = [
  {
    name: 'slice-from-newer-state',
    rule: 'E4',
    mistake: 'after a restart a slice of a window over state is made from the state of now',
    replacements: [
      {
        file: 'dstream/state-stream.js',
        find: '// What it gave is made from state that has gone on since (E4).\n    get isRecomputable() {\n        return false;',
        replace: 'get isRecomputable() {\n        return true;',
      },
      notCurrent,
    ],
    hunt: 'windows over state, killed',
    finds: /is missing|is wrong|there twice/,
  },
  {
    name: 'slices-not-kept',
    rule: 'E4',
    mistake: 'slices that cannot be made again are not in the log',
    replacements: [{ file: RUNNER, find: 'if (!this.#parts.log.isDurable)', replace: 'if (true)' }],
    hunt: 'windows over state, killed',
    finds: /is missing/,
  },
  {
    name: 'slices-let-go-at-once',
    rule: 'E4',
    mistake: 'slices are let go when their batch is committed, though a window still reads them',
    replacements: [
      { file: 'checkpoint/checkpoint.js', find: 'if (time > upTo)\n                continue;', replace: '' },
    ],
    hunt: 'tuned windows over state, killed',
    finds: /is missing/,
  },
  {
    name: 'state-evaluated-twice',
    rule: 'E5',
    mistake: 'each output that reads a state evaluates it',
    replacements: [
      {
        file: OPERATOR,
        find: 'let evaluation = this.#evaluations.get(partition);',
        replace: 'let evaluation;',
      },
    ],
    hunt: 'mapped state',
    finds: /is missing|is wrong/,
  },
  {
    name: 'overlay-not-rolled-back',
    rule: 'E5',
    mistake: 'the next try of an evaluation sees what the one that failed has written',
    replacements: [
      { file: OPERATOR, find: 'partition.rollback();\n            this.#evaluations', replace: 'this.#evaluations' },
    ],
    hunt: 'a function that fails',
    finds: /is missing|is wrong/,
  },
  {
    name: 'state-not-copied',
    rule: 'E6',
    mistake: 'a Map that is committed state is handed out as it is',
    replacements: [
      {
        file: 'state/state-partition.js',
        find: 'if (cell.touched)\n            return cell.nextCopies ? deepCopy(cell.next) : cell.next;\n        return cell.valueCopies ? deepCopy(cell.v) : cell.v;',
        replace: 'return cell.touched ? cell.next : cell.v;',
      },
    ],
    hunt: 'a function that fails',
    finds: /is missing|is wrong/,
  },
  {
    name: 'results-not-copied',
    rule: 'E6',
    mistake: 'two outputs of one state are given the same objects',
    replacements: [
      {
        file: 'state/state-partition.js',
        find: "cell.nextCopies = typeof next === 'object' && next !== null && !freezeDeep(next);",
        replace: 'cell.nextCopies = false;',
      },
    ],
    hunt: 'shared state',
    finds: /is missing|is wrong/,
  },
  {
    name: 'shuffle-in-order-of-completion',
    rule: 'E10',
    mistake: 'what shuffles give is merged in the order in which their tasks end',
    replacements: [
      {
        file: 'executor/job-runner.js',
        find: 'results[at] = await this.#attempts(pipelineOf(partition), partition, partitions, work, operator, job);',
        replace:
          'const result = await this.#attempts(pipelineOf(partition), partition, partitions, work, operator, job);\n            results[results.findIndex((each, i) => !(i in results))] = result;\n            void at;',
      },
    ],
    hunt: 'grouped',
    finds: /is missing|is wrong/,
  },
  {
    name: 'answers-as-they-come',
    rule: 'E10',
    mistake: 'mapAsync gives answers in the order in which they come',
    replacements: [
      {
        file: 'rdd/partition-functions.js',
        find: 'underWay.push(call);',
        replace:
          'underWay.push(call);\n            const many = underWay.splice(0);\n            underWay.push(...many.map(() => Promise.race(many)));',
      },
    ],
    hunt: 'asynchronous',
    finds: /not \[/,
  },
  {
    name: 'ids-count-everything',
    rule: 'E11',
    mistake: 'a map that is added to the program shifts the ids of its outputs',
    replacements: [
      {
        file: 'dstream/graph.js',
        find: 'const number = this.#counters.get(kind) ?? 0;',
        replace: 'const number = this.#ids.size;',
      },
    ],
    hunt: 'changed program',
    finds: /CHECKPOINT_CHANGED|there twice|is missing/,
  },
  {
    name: 'ticks-lost',
    rule: 'E12',
    mistake: 'ticks that are overdue are left out',
    replacements: [
      {
        file: TICKER,
        find: 'const time = wasSetForward && overdue < this.#intervalMs\n',
        replace: 'const time = wasSetForward || overdue >= this.#intervalMs\n',
      },
      { file: TICKER, find: 'Math.min(first, this.#last + intervalMs)', replace: 'first' },
    ],
    hunt: 'every tick',
    finds: /has no batch/,
  },
  {
    name: 'time-from-the-wall-clock',
    rule: 'E12',
    mistake: 'after a restart with the clock set back batches have times that were there already',
    replacements: [
      {
        file: TICKER,
        find: 'this.#last = resume?.last ?? this.zeroTime;',
        replace: 'this.#last = first - intervalMs;',
      },
    ],
    hunt: 'state, clock set',
    finds: /RDD_DROPPED/,
  },
  {
    name: 'time-follows-a-jump-back',
    rule: 'E12',
    mistake: 'batch times follow a wall clock that is set back',
    replacements: [
      {
        file: TICKER,
        find: 'const time = wasSetForward && overdue < this.#intervalMs\n            ? Math.max(next, lastTick(now, this.zeroTime, this.#intervalMs))\n            : next;',
        replace:
          'const time = lastTick(now, this.zeroTime, this.#intervalMs);\n        void next;\n        void wasSetForward;',
      },
    ],
    hunt: 'state, clock set',
    finds: /RDD_DROPPED/,
  },
  {
    name: 'window-goes-on-after-a-gap',
    rule: 'E12',
    mistake: 'after ticks that were left out a window subtracts only what leaves in its last step',
    replacements: [
      {
        file: 'dstream/state-stream.js',
        find: 'const last = this.#last ?? this.graph.zeroTime;\n        const start = time - this.#windowMs;',
        replace: 'const last = time - this.#slide;\n        const start = time - this.#windowMs;',
      },
    ],
    hunt: 'windows, ticks left out',
    finds: /is missing|is wrong|STATE_INVALID/,
  },
  {
    name: 'stop-forgets-what-came',
    rule: 'E12',
    mistake: 'a graceful stop does not plan what was received since the last tick',
    replacements: [
      {
        file: 'scheduler/scheduler.js',
        find: 'await this.#planGuarded(this.#ticker.take());',
        replace: '{}',
      },
    ],
    hunt: 'plain receiver, stopped',
    finds: /lost though nothing went wrong/,
  },
  {
    name: 'positions-not-compared',
    rule: 'E14',
    mistake: 'records that come again are stored again',
    replacements: [
      {
        file: 'input/supervisor.js',
        find: 'if (this.#isKnown(position))\n            return this.#flushed();\n        const full = this.#buffer.addAll(',
        replace: 'const full = this.#buffer.addAll(',
      },
    ],
    hunt: 'resending server',
    finds: /cover|there twice|is wrong|not \[/,
  },
  {
    name: 'positions-not-resumed',
    rule: 'E14',
    mistake: 'after a restart a receiver goes on from the last plan, not from the last record in the log',
    replacements: [{ file: RECEIVERS, find: 'received?.positions ?? []', replace: '[]' }],
    hunt: 'receiver, killed',
    finds: /hangs|cover|is missing|is wrong|not \[/,
  },
  {
    name: 'stored-before-it-is-synced',
    rule: 'E14',
    mistake: 'store resolves before its records are in the log',
    replacements: [
      {
        file: 'checkpoint/data-log.js',
        find: 'return this.#log.append(RECEIVED, encodeRecords([head, records]));',
        replace: 'return Promise.resolve(this.#log.note(RECEIVED, encodeRecords([head, records])));',
      },
    ],
    hunt: 'receiver, power lost',
    finds: /hangs/,
  },
  {
    name: 'loss-not-counted',
    rule: 'E15',
    mistake: 'what a plain receiver has lost is not told',
    replacements: [{ file: RECEIVERS, find: 'lost += records;', replace: '' }],
    hunt: 'plain receiver, killed',
    finds: /without a word/,
  },
  {
    name: 'store-never-waits',
    rule: 'E16',
    mistake: 'a receiver may store as much as it likes',
    replacements: [
      {
        file: 'input/room.js',
        find: 'if (this.#heldBytes <= this.#limitBytes)\n            return undefined;',
        replace: 'return undefined;',
      },
    ],
    hunt: 'bounded room',
    finds: /records are held/,
  },
]
