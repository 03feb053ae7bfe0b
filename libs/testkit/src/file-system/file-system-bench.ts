/** What the rules for file systems work with: an empty folder. */
import assert from 'node:assert/strict'
import { isSluiceError, type ErrorCode, type FileSystem } from '@sluice/core'
import { assertHelpful } from '../suite/checks.js'
import type { Rule, Skip, SuiteRunner } from '../suite/runner.js'

/** A file system under test and an existing, empty folder in it that nobody else uses. */
export interface OpenedFileSystem {
  readonly fileSystem: FileSystem
  readonly root: string
  /** Called after the test, also after a failed one. Removes the folder. */
  close?(): Promise<void>
}

export interface FileSystemConformanceOptions extends SuiteRunner {
  /** Names the suite, e.g. `local disk`. */
  readonly name: string
  /** Called once for each test. */
  readonly open: () => OpenedFileSystem | Promise<OpenedFileSystem>
  readonly skip?: readonly Skip[] | undefined
}

export interface FileSystemBench {
  readonly fs: FileSystem
  /** A path below the empty folder. */
  at(...names: string[]): string
  /** Makes a file with this text. */
  write(name: string, text: string): Promise<string>
  text(path: string): Promise<string>
  /** What `list` gives, sorted: `file a`, `directory d`. */
  names(path: string): Promise<string[]>
}

export type FileSystemRule = Rule<FileSystemBench>
export type Define = (name: string, run: (bench: FileSystemBench) => Promise<void>) => void

/** The rules that groups define. */
export function rulesOf(...groups: readonly ((define: Define) => void)[]): FileSystemRule[] {
  const rules: FileSystemRule[] = []
  for (const group of groups) group((name, run) => void rules.push({ name, run }))
  return rules
}

export function benchOf({ fileSystem, root }: OpenedFileSystem): FileSystemBench {
  const bench: FileSystemBench = {
    fs: fileSystem,
    at: (...names) => [root, ...names].join('/'),
    write: async (name, text) => {
      await fileSystem.create(bench.at(name), bytes(text))
      return bench.at(name)
    },
    text: async (path) => textOf(await fileSystem.read(path)),
    names: async (path) => {
      const names: string[] = []
      for await (const entry of fileSystem.list(path)) names.push(`${entry.kind} ${entry.name}`)
      return names.sort()
    },
  }
  return bench
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text)
}

export function textOf(data: Uint8Array): string {
  return Buffer.from(data).toString()
}

/** The rejection is an error of Sluice with this code, and its message names the path. */
export async function rejects(code: ErrorCode, path: string, work: () => Promise<unknown>): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(isSluiceError(error), `an error of Sluice, not ${String(error)}`)
    assertHelpful(error)
    assert.equal(error.code, code, error.message)
    assert.ok(error.message.includes(path), `the message names ${path}: ${error.message}`)
    return true
  })
}

/** Runs the test where the operation is supported; elsewhere the operation must say that it is not. */
export async function whereSupported(
  bench: FileSystemBench,
  what: keyof FileSystem['supports'],
  attempt: () => Promise<unknown>,
  run: () => Promise<void>,
): Promise<void> {
  if (bench.fs.supports[what]) return run()
  await assert.rejects(attempt, (error: unknown) => isSluiceError(error, 'FILE_SYSTEM_UNSUPPORTED'))
}
