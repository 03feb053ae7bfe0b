/** The order-metrics job: `npm start` at the root of the repository, `npm start -- --help` for its options. */
import { isSluiceError } from '@sluice/core'
import { parseOptions, USAGE, UsageError } from './cli.js'
import { runJob } from './job.js'
import { RunError } from './results.js'

process.exitCode = await main(process.argv.slice(2))

/** Returns the exit code: 0 when the job came to its end, 2 when its options make no sense, 1 when it failed. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args)
    if (options === 'help') process.stdout.write(USAGE)
    else await runJob(options, process)
    return 0
  } catch (error) {
    process.stderr.write(`order-metrics: ${describe(error)}\n`)
    return error instanceof UsageError ? 2 : 1
  }
}

/** A message for whoever runs the job; of an error that nobody expected all that is known. */
function describe(error: unknown): string {
  if (error instanceof UsageError) return `${error.message}\nSee --help for the options.`
  if (error instanceof RunError || isSluiceError(error)) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
