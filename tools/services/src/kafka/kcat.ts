/** `kcat`: a Kafka client that is not ours, in C, to check ours by. A program of the machine, no server. */
import type { ServiceModule } from '../service.js'
import { ServiceError } from '../errors.js'
import { canRun, run } from './java.js'

export const kcatService: ServiceModule<{ command: string }> = {
  name: 'kcat',
  summary: 'the command kcat 1.7',
  environmentVariable: 'SLUICE_KCAT',
  fromEnvironment: (command) => ({ command }),
  missing: async () => ((await canRun('kcat', '-V')) ? undefined : 'there is no kcat on the PATH'),
  async fetch(progress) {
    if (await canRun('kcat', '-V')) return
    const isRoot = process.getuid?.() === 0
    if (!isRoot || !(await canRun('apt-get', '--version'))) {
      throw new ServiceError('kcat', 'only root can install it here; install the package kcat (or kafkacat)')
    }
    progress('kcat: installing the Debian package')
    const install = ['install', '-y', '-qq', '--no-install-recommends', 'kcat']
    try {
      await run('apt-get', install)
    } catch {
      // The lists of packages of a fresh image are old, or not there.
      await run('apt-get', ['update', '-qq'])
      await run('apt-get', install)
    }
  },
  start: () => Promise.resolve({ command: 'kcat' }),
}
