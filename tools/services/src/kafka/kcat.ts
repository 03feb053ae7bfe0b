/** `kcat`: a Kafka client that is not ours, in C, to check ours by. A program of the machine, no server. */
import type { ServiceModule } from '../service.js'
import { installPackage } from '../programs.js'
import { canRun } from './java.js'

export const kcatService: ServiceModule<{ command: string }> = {
  name: 'kcat',
  summary: 'the command kcat 1.7',
  environmentVariable: 'SLUICE_KCAT',
  fromEnvironment: (command) => ({ command }),
  missing: async () => ((await canRun('kcat', '-V')) ? undefined : 'there is no kcat on the PATH'),
  async fetch(progress) {
    if (await canRun('kcat', '-V')) return
    await installPackage('kcat', 'kcat', progress)
  },
  start: () => Promise.resolve({ command: 'kcat' }),
}
