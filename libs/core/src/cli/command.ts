/**
 * The command `sluice-checkpoint`: reads its arguments, calls what they ask for, and says what came of it.
 *
 * Exit codes: 0: done, and all is well; 1: the checkpoint is damaged, or what was asked for was refused or failed; 2: the
 * arguments are wrong, or there is no checkpoint in the folder.
 */
import { parseArgs } from 'node:util'
import { amendCheckpoint } from '../checkpoint/amend.js'
import { lookAtCheckpoint, type CheckpointLook } from '../checkpoint/look.js'
import { isSluiceError, messageOf } from '../errors.js'
import { jsonOf } from '../observe/format.js'
import { consoleLogger } from '../observe/logger.js'
import { nodeFileSystem } from '../storage/node-file-system.js'
import { schemeOf } from '../storage/paths.js'
import { systemClock } from '../time/system-clock.js'
import { amendText } from './amend-report.js'
import { inspectReport, inspectText } from './inspect-report.js'
import { verifyReport, verifyText } from './verify-report.js'

/** What the process is to print, and to end with. */
export interface Outcome {
  readonly exitCode: 0 | 1 | 2
  readonly stdout: string
  readonly stderr: string
}

const USAGE = `usage: sluice-checkpoint inspect DIR [--json]
       sluice-checkpoint verify DIR [--json]
       sluice-checkpoint amend DIR --batch TIME --drop INPUT [--drop INPUT …] [--json]

inspect  shows application, owner, batches, inputs, outputs and state; changes nothing, also while the application runs
verify   reads every frame of the logs and of the snapshots, and says where one is damaged; changes nothing
amend    lets a planned batch go on without an input that is gone: INPUT counts as empty in the batch TIME (milliseconds,
         as inspect shows it). The application must not be running.

exit code: 0 all is well, 1 damage, or the command was refused or failed, 2 wrong arguments or no checkpoint in DIR
`

/** Runs the command with the arguments behind its name. Never rejects. */
export async function runCommand(args: readonly string[]): Promise<Outcome> {
  const parsed = argumentsOf(args)
  if ('wrong' in parsed) {
    return parsed.wrong === undefined
      ? { exitCode: 0, stdout: USAGE, stderr: '' }
      : { exitCode: 2, stdout: '', stderr: `${parsed.wrong}\n\n${USAGE}` }
  }
  try {
    return await COMMANDS[parsed.command](parsed)
  } catch (error) {
    return {
      exitCode: isSluiceError(error, 'FILE_NOT_FOUND') ? 2 : 1,
      stdout: '',
      stderr: `${problemOf(error, parsed)}\n`,
    }
  }
}

type CommandName = 'inspect' | 'verify' | 'amend'

interface Arguments {
  readonly command: CommandName
  readonly folder: string
  readonly json: boolean
  readonly batch: number
  readonly drop: readonly string[]
}

const COMMANDS: Record<CommandName, (args: Arguments) => Promise<Outcome>> = {
  inspect: (args) => look(args, inspectReport, inspectText),
  verify: (args) => look(args, verifyReport, verifyText),
  amend,
}

async function look<R>(
  { folder, json }: Arguments,
  reportOf: (folder: string, look: CheckpointLook) => R,
  textOf: (report: R) => string,
): Promise<Outcome> {
  const looked = await lookAtCheckpoint(nodeFileSystem(), folder)
  const report = reportOf(folder, looked)
  const stdout = json ? `${jsonOf(report)}\n` : textOf(report)
  return { exitCode: looked.damage.length === 0 ? 0 : 1, stdout, stderr: '' }
}

async function amend({ folder, batch, drop, json }: Arguments): Promise<Outcome> {
  const logger = consoleLogger('info')
  const options = { fileSystem: nodeFileSystem(), folder, time: batch, drop, clock: systemClock, logger }
  const amended = await amendCheckpoint(options)
  return { exitCode: 0, stdout: json ? `${jsonOf(amended)}\n` : amendText(amended), stderr: '' }
}

function problemOf(error: unknown, { folder }: Arguments): string {
  if (!isSluiceError(error, 'FILE_NOT_FOUND')) return messageOf(error)
  return `[sluice-checkpoint] there is no checkpoint in ${folder} (${messageOf(error)}); name the folder given as \`checkpoint\``
}

/** `wrong` is undefined where only the usage is asked for. */
function argumentsOf(args: readonly string[]): Arguments | { readonly wrong: string | undefined } {
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse(args)
  } catch (error) {
    return { wrong: messageOf(error) }
  }
  const { values, positionals } = parsed
  if (values.help === true) return { wrong: undefined }
  const [command = '', folder, ...more] = positionals
  if (!isCommand(command)) return { wrong: command === '' ? 'a command is missing' : `there is no command ${command}` }
  if (folder === undefined || more.length > 0) return { wrong: `${command} takes one folder` }
  if (schemeOf(folder) !== undefined) return { wrong: `${folder}: only folders of a local disk can be read` }
  const { batch, drop = [], json = false } = values
  const wrong = wrongOptions(command, batch, drop)
  return wrong === undefined ? { command, folder, json, batch: Number(batch), drop } : { wrong }
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
      batch: { type: 'string' },
      drop: { type: 'string', multiple: true },
    },
  })
}

function wrongOptions(command: CommandName, batch: string | undefined, drop: readonly string[]): string | undefined {
  if (command !== 'amend') {
    return batch === undefined && drop.length === 0
      ? undefined
      : `--batch and --drop belong to amend, not to ${command}`
  }
  if (batch === undefined || !/^-?\d+$/.test(batch))
    return 'amend needs --batch TIME, in milliseconds as inspect shows it'
  return drop.length === 0 ? 'amend needs --drop INPUT, an id that inspect shows' : undefined
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name)
}
