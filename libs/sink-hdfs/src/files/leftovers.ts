/** What writers that died have left, on file systems that can tell. */
import type { FileSystem } from '@sluice/core'

export interface Leftovers {
  /** Removes what is unfinished below a folder and was to have such a name. Gives how many there were. */
  removeUnfinished(path: string, isOurs: (name: string) => boolean): Promise<number>
}

export function hasLeftovers(fileSystem: FileSystem): fileSystem is FileSystem & Leftovers {
  return typeof (fileSystem as Partial<Leftovers>).removeUnfinished === 'function'
}
