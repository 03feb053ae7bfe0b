/** What every file system must do, as tests: `fileSystemConformance({ describe, test, name, open })`. */
import { defineSuite } from '../suite/runner.js'
import { fileRules } from './file-rules.js'
import { benchOf, type FileSystemConformanceOptions } from './file-system-bench.js'
import { nameRules } from './name-rules.js'

/**
 * Defines one test for each rule of the file system contract. The suite obeys `supports`: an operation that is not supported
 * must reject with `FILE_SYSTEM_UNSUPPORTED`.
 */
export function fileSystemConformance(options: FileSystemConformanceOptions): void {
  defineSuite(options, {
    title: `file system conformance: ${options.name}`,
    rules: [...fileRules, ...nameRules],
    skip: options.skip ?? [],
    async open() {
      const opened = await options.open()
      return { bench: benchOf(opened), close: () => opened.close?.() ?? Promise.resolve() }
    },
  })
}
