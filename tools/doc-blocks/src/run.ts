/** Runs blocks: in the test's process as a module, or as a program in a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { blockNamed, ROOT, sourceOf, type Changes } from './blocks.js'

const OUT = join(ROOT, 'tools/doc-blocks/out')
const DEADLINE_MS = 60_000

/** The text of the one block of `page` that has `name`: for tests that run it in a way of their own. */
export function textOfBlock(page: string, name: string, changes?: Changes): string {
  return sourceOf(blockNamed(page, name), changes)
}

/**
 * Imports the one block of `page` that has `name` as a module, and gives its exports. Packages are those that the test has, from their
 * sources, with their state.
 */
export async function importBlock<T>(
  page: string,
  name: string,
  { changes }: { readonly changes?: Changes } = {},
): Promise<T> {
  const block = blockNamed(page, name)
  mkdirSync(OUT, { recursive: true })
  const folder = mkdtempSync(join(OUT, 'block-'))
  try {
    const file = join(folder, `block.${block.language}`)
    writeFileSync(file, sourceOf(block, changes))
    return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as T
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export interface RunOptions {
  readonly changes?: Changes
  /** What follows the block, in its module. */
  readonly last?: string
  /** Beside those of the test. */
  readonly env?: Readonly<Record<string, string>>
  /** Where it runs (default: in a folder of its own, that is gone afterwards). */
  readonly cwd?: string
  /**
   * Whether it has printed, on stdout or then on stderr, what is waited for: then it is stopped as by Ctrl-C, and must end well.
   * Default: it ends by itself.
   */
  readonly until?: (printed: string) => boolean
}

export interface Printed {
  readonly stdout: string
  readonly stderr: string
}

/** Runs the one block of `page` that has `name` as a program, with the packages as they are built. Rejects where it fails. */
export async function runBlock(page: string, name: string, options: RunOptions = {}): Promise<Printed> {
  const { outputText } = ts.transpileModule(`${textOfBlock(page, name, options.changes)}\n${options.last ?? ''}`, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
  })
  const folder = mkdtempSync(join(tmpdir(), 'sluice-block-'))
  try {
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    const file = join(folder, 'block.js')
    writeFileSync(file, outputText)
    return await runProgram(file, { cwd: folder, ...options })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function runProgram(file: string, { cwd, env = {}, until }: RunOptions & { cwd: string }): Promise<Printed> {
  const child = spawn(process.execPath, ['--no-warnings', file], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
  })
  const printed = { stdout: '', stderr: '' }
  let isStopped = false
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text
      if (isStopped || until?.(printed.stdout + printed.stderr) !== true) return
      isStopped = true
      child.kill('SIGINT')
    })
  }
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (code === 0 && isStopped === (until !== undefined)) return printed
  throw new Error(`it ended with ${String(code ?? signal)}:\n${printed.stdout}\n${printed.stderr}`)
}

/**
 * Passes if the one block of `page` that has `name` stands in `module`, a file of the repository that the calling test runs: then that
 * runs the block. White space may differ, and imports and lines of comment may be missing. Throws otherwise.
 */
export function quotedBlock(page: string, name: string, module: string): void {
  if (isQuoted(textOfBlock(page, name), readFileSync(join(ROOT, module), 'utf8'))) return
  throw new Error(`${module} has not the block of ${page} with ${name}`)
}

export function isQuoted(block: string, module: string): boolean {
  const collapse = (code: string): string =>
    code
      .replaceAll(/^import [^]*? from '.*'\n/gm, '')
      .replaceAll(/^\s*\/\/ .*\n/gm, '')
      .replaceAll(/\s+/g, ' ')
      .trim()
  return collapse(module).includes(collapse(block))
}
