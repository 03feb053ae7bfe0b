/** The error for damage in a log (E17). */
import { SluiceError } from '../errors.js'
import type { LogReport } from './entry-log.js'

/** `DATA_CORRUPT`, naming file, offset and remedy. */
export function damageError({ file, offset, reason }: NonNullable<LogReport['damage']>): SluiceError {
  const what = `${file} is damaged at byte ${String(offset)} (${reason}), where entries were durable`
  const message = `${what}; restore a copy of the checkpoint folder, and see what is left with \`sluice-checkpoint verify\``
  return new SluiceError({ code: 'DATA_CORRUPT', component: 'checkpoint-log', message })
}
