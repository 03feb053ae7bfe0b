/** What users are told when a function over state throws. */
import { isSluiceError } from '../errors.js'
import type { TaskEnv } from '../rdd/pipeline.js'
import { userFunctionFailed } from '../rdd/run.js'

/** The error with operator, batch, partition and record; one of the engine as it is. */
export function explainUserError(error: unknown, operator: string, env: TaskEnv, record: unknown): unknown {
  return isSluiceError(error) ? error : userFunctionFailed(error, operator, env.info, { record })
}
