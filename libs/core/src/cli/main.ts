#!/usr/bin/env node
/** The process of `sluice-checkpoint`. */
import { runCommand } from './command.js'

const { exitCode, stdout, stderr } = await runCommand(process.argv.slice(2))
process.stdout.write(stdout)
process.stderr.write(stderr)
// Not `exit`: a pipe may not have taken everything yet.
process.exitCode = exitCode
