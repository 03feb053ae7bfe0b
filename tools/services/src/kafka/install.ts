/** Getting Kafka: its jars, then the class archive. */
import { copyFile, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf, ServiceError } from '../errors.js'
import { LaunchedProcess } from '../server-process.js'
import type { Progress } from '../service.js'
import { brokerLaunch, formatStorage, planBrokers } from './broker.js'
import { warmUp } from './client.js'
import { exists, NO_JAVA } from '../maven.js'
import { archiveFile, fetchJars } from './jars.js'
import { canRun, jdkCommand } from './java.js'

/** Gets the jars, then makes the class archive. */
export async function fetchKafka(progress: Progress): Promise<void> {
  if (!(await canRun(jdkCommand('java'), '-version'))) throw new ServiceError('kafka', `${NO_JAVA}; install one`)
  await fetchJars(progress)
  await makeArchive(progress)
}

/** Runs a broker once and keeps the classes it has loaded. Starts are slower without, so that failing is no error. */
async function makeArchive(progress: Progress): Promise<void> {
  if (await exists(archiveFile())) return
  progress('kafka: making the class archive, for quick starts')
  const folder = await mkdtemp(join(tmpdir(), 'sluice-kafka-archive-'))
  const archive = join(folder, 'kafka.jsa')
  try {
    const [plan] = await planBrokers({ folder, brokers: 1 })
    if (plan === undefined) return
    await formatStorage(plan)
    const launch = await brokerLaunch(plan, folder)
    const args = [`-XX:ArchiveClassesAtExit=${archive}`, ...launch.args]
    const broker = await LaunchedProcess.start({ ...launch, args })
    try {
      await broker.ready()
      await warmUp({ bootstrap: plan.address })
      // The archive is written at an orderly end only.
      await broker.terminate()
    } finally {
      await broker.kill()
    }
    // Across file systems a rename fails: the temporary folder may be on another one.
    const partial = `${archiveFile()}.partial`
    await copyFile(archive, partial)
    await rename(partial, archiveFile())
  } catch (error) {
    progress(`kafka: there is no class archive, so starts take longer (${messageOf(error)})`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
