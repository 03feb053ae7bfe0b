/** One configuration for every package: `vitest run` at the root runs all of them in one process summary. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import TestSummaryReporter from './tools/test-summary-reporter.js'

/** Workspace packages resolve to their sources by this condition of their `exports`, so tests need no build. */
const SOURCE_CONDITION = '@sluice/source'

/**
 * Vite replaces its defaults by what is given here, so they are repeated; but for `module`, which Node.js does not know: what
 * packages give for it is meant for bundlers.
 */
const conditions = [SOURCE_CONDITION, 'node', 'development|production']

const packageRoots = ['libs', 'apps']
  .map((folder) => join(import.meta.dirname, folder))
  .flatMap((folder) => readdirSync(folder).map((name) => ({ name, root: join(folder, name) })))
  .filter(({ root }) => existsSync(join(root, 'package.json')))

/** The examples of the documentation are run, too. */
const projectRoots = [
  ...packageRoots,
  ...['bench', 'docs'].map((name) => ({ name, root: join(import.meta.dirname, name) })),
  ...['doc-blocks', 'generators', 'services'].map((name) => ({ name, root: join(import.meta.dirname, 'tools', name) })),
]

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    pool: 'forks',
    maxWorkers: 2,
    // Servers that tests have started are stopped when all have ended.
    globalSetup: [join(import.meta.dirname, 'tools/services/src/global-setup.ts')],
    reporters: ['default', new TestSummaryReporter()],
    projects: projectRoots.map(({ name, root }) => ({
      extends: true as const,
      test: {
        name,
        root,
        include: ['src/**/*.test.ts', 'examples/**/*.test.ts'],
        testTimeout: 30_000,
        hookTimeout: 30_000,
      },
    })),
  },
})
