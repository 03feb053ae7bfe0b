/** Empty databases, kept in the cache: making one takes seconds, copying one does not. */
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder } from '../folders.js'
import { run } from '../kafka/java.js'
import { isThere } from '../programs.js'

/** Makes `folder` by `make`, or as a copy of what that has made before under the same name. */
export async function fromTemplate(name: string, folder: string, make: () => Promise<void>): Promise<void> {
  const template = join(cacheFolder(), 'templates', name)
  if (await isThere(template)) {
    await run('cp', ['-a', template, folder])
    return
  }
  await make()
  const top = join(cacheFolder(), 'templates')
  await mkdir(top, { recursive: true })
  const partial = await mkdtemp(join(top, '.partial-'))
  try {
    await run('cp', ['-a', folder, join(partial, 'data')])
    await rename(join(partial, 'data'), template)
  } catch {
    // Another one has put it there meanwhile.
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}
