/** What both layouts of the log share: the folder, and the errors that name it. */
import { SluiceError } from '../errors.js'
import { dirnameOf } from '../storage/paths.js'
import type { LogLocation, LogReport } from './entry-log.js'

export const LOG_COMPONENT = 'checkpoint-log'

/** Makes the folder where it is missing. Its name is durable then, also where somebody made it who died before it was. */
export async function ensureFolder({ fileSystem, folder }: LogLocation): Promise<void> {
  await fileSystem.makeDirectory(folder)
  await fileSystem.syncDirectory(dirnameOf(folder))
}

/** `DATA_CORRUPT`, naming file, offset and remedy (E17). */
export function damageError({ file, offset, reason }: NonNullable<LogReport['damage']>): SluiceError {
  const what = `${file} is damaged at byte ${String(offset)} (${reason}), where entries were durable`
  const message = `${what}; restore a copy of the checkpoint folder, and see what is left with \`sluice-checkpoint verify\``
  return new SluiceError({ code: 'DATA_CORRUPT', component: LOG_COMPONENT, message })
}

/** `FENCED`: an owner of a newer epoch has written in the folder (E7). */
export function newerOwnerError(folder: string, epoch: number, own: number): SluiceError {
  const message = `${folder} was written in epoch ${String(epoch)}, and this owner has ${String(own)}; it must end, the new owner goes on`
  return new SluiceError({ code: 'FENCED', component: LOG_COMPONENT, message })
}
