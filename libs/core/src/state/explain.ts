/** What users are told when a function over state throws. */
import { isSluiceError } from '../errors.js'
import type { TaskEnv } from '../rdd/pipeline.js'
import { userFunctionFailed } from '../rdd/run.js'
import { explainFrozen } from './freeze.js'

/** The error with operator, batch, partition and record; a write to a committed value with its remedy. */
export function explainUserError(error: unknown, operator: string, env: TaskEnv, record: unknown): unknown {
  const explained = explainFrozen(error, operator)
  return isSluiceError(explained) ? explained : userFunctionFailed(error, operator, env.info, { record })
}
