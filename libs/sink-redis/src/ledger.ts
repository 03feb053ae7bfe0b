/** What decides whether commands are run (E1, E8, E19): the ledger beside the keys, and what its answers mean. */
import type { BatchPartitionId, SinkContext } from '@sluice/core'
import type { Calls } from './connection.js'
import { redisError } from './errors.js'
import { LEDGER_PREFIX, type Command, type Mode } from './modes.js'
import { APPLY, APPLY_BLINDLY, CLAIM, SETTLE } from './scripts.js'
import { tagOf } from './slots.js'
import type { Word } from './values.js'

/** A place for ledgers. */
export interface Ledger {
  /** Name of the hash. */
  readonly key: string
  /** Whether the fence is there from the start; that of a cluster's further slots is made by the first write. */
  readonly isHome: boolean
}

/** The ledger of an output in a slot; undefined: all is in one server. */
export function ledgerOf(
  { app, output }: { app: string; output: string },
  slot: number | undefined,
  isHome: boolean,
): Ledger {
  const tag = slot === undefined ? '' : `{${tagOf(slot)}}:`
  return { key: `${LEDGER_PREFIX}${tag}${app}:${output}`, isHome }
}

/** Commands for one slot, in their order. */
export interface Chunk {
  readonly commands: readonly Command[]
  /** Place of the first one among those of this partition in this slot. */
  readonly start: number
  readonly total: number
  /** The places are these indexes of dead letters. */
  readonly places?: readonly number[] | undefined
}

export interface Refusal {
  readonly place: number
  readonly message: string
}

export interface Applied {
  /** How many of the commands have been run, or were before. */
  readonly count: number
  /** Whether a run before had run all, and the refused ones have their dead letters. */
  readonly isWhole: boolean
  /** Of this and earlier chunks. */
  readonly refused: readonly Refusal[]
}

/** How many replicas must have a write, and how long is waited for them. */
export interface ReplicaWait {
  readonly replicas: number
  readonly timeoutMs: number
}

/** The calls of one output. */
export class LedgerCalls {
  readonly #calls: Calls
  readonly #mode: Mode
  readonly #wait: ReplicaWait

  constructor(calls: Calls, mode: Mode, wait: ReplicaWait) {
    this.#calls = calls
    this.#mode = mode
    this.#wait = wait
  }

  /** Claims the fence. Throws `FENCED` for a newer owner's, `LOG_BEHIND_SINK` for a ledger ahead of the log. */
  async claim(ledger: Ledger, { output, epoch, lastPlanned }: SinkContext): Promise<void> {
    const last = lastPlanned === undefined ? '' : String(lastPlanned)
    const [status, held = ''] = await this.#run(CLAIM, [ledger.key], [String(epoch), last])
    if (status === 'fence') throw fenced({ output, epoch }, held)
    if (status !== 'ahead') return
    const log = lastPlanned === undefined ? 'has no batch' : `ends with batch ${last}`
    throw redisError(
      'LOG_BEHIND_SINK',
      `output ${output} has written batch ${held}, and the log ${log}; restore the log that belongs to this server, or write to another one`,
    )
  }

  /** Runs the commands that the guard has not. */
  async apply(ledger: Ledger, id: BatchPartitionId, chunk: Chunk): Promise<Applied> {
    const { commands, start, total, places } = chunk
    return this.#apply(ledger, id, `g${String(id.partition)}`, commands, {
      start,
      total,
      end: start + commands.length,
      strict: places === undefined,
      places,
    })
  }

  /** Says in the home ledger that a partition of several slots begins, or that it has ended: whether it had. */
  async mark(ledger: Ledger, id: BatchPartitionId, what: 'begin' | 'end', total: number): Promise<boolean> {
    // One more than there is to do, so that an empty one has a beginning, too.
    const all = total + 1
    const end = what === 'end' ? all : 0
    const { count } = await this.#apply(ledger, id, `h${String(id.partition)}`, [], {
      start: 0,
      total: all,
      end,
      strict: false,
    })
    return count >= all
  }

  async #apply(
    ledger: Ledger,
    id: BatchPartitionId,
    guard: string,
    commands: readonly Command[],
    at: { start: number; total: number; end: number; strict: boolean; places?: readonly number[] | undefined },
  ): Promise<Applied> {
    const { batchTime, partitions, planDigest, epoch } = id
    const args = [
      ...[batchTime, partitions, planDigest, epoch, guard, at.start, at.total, at.end].map(String),
      ...[ledger.isHome ? '' : '1', at.strict ? '1' : '', at.places === undefined ? '' : JSON.stringify(at.places)],
      ...this.#wordsOf(commands),
    ]
    const answer = await this.#run(APPLY, [ledger.key, ...this.#keysOf(commands)], args)
    return appliedOf(answer, id, at.total)
  }

  /** Runs commands without asking any ledger. */
  async applyBlindly(commands: readonly Command[], start: number, home: Word): Promise<readonly Refusal[]> {
    const keys = this.#keysOf(commands)
    const args = [String(start), ...this.#wordsOf(commands)]
    const answer = await this.#run(APPLY_BLINDLY, keys.length > 0 ? keys : [home], args)
    return refusalsOf(answer)
  }

  /** The dead letters of what was refused in this slot are written. */
  async settle(ledger: Ledger, { output, batchTime, partition, epoch }: BatchPartitionId): Promise<void> {
    const args = [String(epoch), String(batchTime), `g${String(partition)}`, ledger.isHome ? '' : '1']
    const [status, held = ''] = await this.#run(SETTLE, [ledger.key], args)
    if (status === 'fence') throw fenced({ output, epoch }, held)
  }

  /** The indexes stored with a partition of dead letters; none where it is not applied. */
  async settledIndexes(ledger: Ledger, id: BatchPartitionId): Promise<readonly number[]> {
    const guard = `g${String(id.partition)}`
    const fields = (await this.#calls.command(
      ledger.key,
      'HMGET',
      ledger.key,
      guard,
      `i${guard}`,
      'newest',
      'plan',
    )) as (string | null)[]
    const [held, indexes, newest, plan] = fields.map((field) => (field === null ? undefined : String(field)))
    const isOwn = held?.startsWith(`${String(id.batchTime)} `) === true && newest === String(id.batchTime)
    if (!isOwn || plan !== `${String(id.partitions)} ${id.planDigest}` || indexes === undefined) return []
    return (JSON.parse(indexes) as number[]).sort((a, b) => a - b)
  }

  #keysOf(commands: readonly Command[]): Word[] {
    return this.#mode.isKeyed ? commands.map(({ key }) => key) : []
  }

  #wordsOf(commands: readonly Command[]): Word[] {
    const { command, type, width, isKeyed, after } = this.#mode
    const words: Word[] = [String(commands.length), command, type, String(width), isKeyed ? '1' : '']
    words.push(after.length === 0 ? '[]' : JSON.stringify(after))
    for (const each of commands) {
      if (width === 0) words.push(String(each.words.length))
      if (!isKeyed) words.push(each.key)
      for (const word of each.words) words.push(word)
    }
    return words
  }

  /** What was written before it resolves is at as many replicas as are asked for. */
  async #run(...[script, keys, args]: Parameters<Calls['run']>): Promise<readonly string[]> {
    const { replicas, timeoutMs } = this.#wait
    if (replicas === 0) return (await this.#calls.run(script, keys, args)).answer
    const { answer, after } = await this.#calls.run(script, keys, args, ['WAIT', String(replicas), String(timeoutMs)])
    const have = Number(after[0])
    if (have >= replicas) return answer
    throw redisError(
      'CONNECTION_FAILED',
      `${String(have)} of ${String(replicas)} replicas have the write after ${String(timeoutMs)} ms; are they up? Else lower \`replicas\``,
      { retryable: true },
    )
  }
}

function appliedOf(answer: readonly string[], id: BatchPartitionId, total: number): Applied {
  const [status, first = '', second = ''] = answer
  const { output, batchTime, partition } = id
  switch (status) {
    case 'ok':
      return { count: Number(second), isWhole: first === 'whole', refused: refusalsOf(answer) }
    case 'fence':
      throw fenced(id, first)
    case 'conflict': {
      const what =
        Number(first) === batchTime ? 'with another plan or partition count' : `and now ${String(batchTime)} comes`
      throw redisError(
        'IDENTITY_CONFLICT',
        `output ${output} has written batch ${first}, ${what} (partition ${String(partition)}); was the clock set back, or a backup restored?`,
      )
    }
    case 'records':
      throw redisError(
        'IDENTITY_CONFLICT',
        `output ${output} has written ${first} of ${second} commands of partition ${String(partition)} of batch ${String(batchTime)}, and now there are ${String(total)}; make the batch deterministic with checkpoint() before the output`,
      )
    case 'gap':
      throw redisError(
        'CONNECTION_FAILED',
        `the server has lost what it had acknowledged of batch ${String(batchTime)}; it is written again`,
        { retryable: true },
      )
    default:
      throw redisError('OUTPUT_FAILED', `the server takes no writes now: ${first}; see its log and its memory`, {
        retryable: true,
      })
  }
}

function refusalsOf(answer: readonly string[]): Refusal[] {
  const refused: Refusal[] = []
  for (let at = 3; at < answer.length; at += 2)
    refused.push({ place: Number(answer[at]), message: answer[at + 1] ?? '' })
  return refused
}

function fenced({ output, epoch }: { output: string; epoch: number }, held: string) {
  if (Number(held) > epoch)
    return redisError(
      'FENCED',
      `output ${output} belongs to epoch ${held}, and this run is epoch ${String(epoch)}; another process has taken over and goes on`,
    )
  return redisError(
    'FENCED',
    `the fence of output ${output} is gone or older than this run: the server was restored, cleaned, or has lost it; start the application again`,
  )
}
