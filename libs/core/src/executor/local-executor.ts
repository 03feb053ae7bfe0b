/** The default executor: tasks run in this process, on its event loop, in turns. */
import { StageCache, type StageMode } from '../rdd/compile.js'
import { performWork, type Task } from '../rdd/work.js'
import type { Executor, TaskServices } from './executor.js'
import { LoopPacer } from './pacer.js'
import { ServiceTaskEnv } from './task-env.js'

export interface LocalExecutorOptions {
  /** Default number of partitions. Default: 1, as one thread computes them all. */
  readonly parallelism?: number | undefined
  /** Tasks under way at the same time, which matters while they wait for I/O. Default: 4. */
  readonly slots?: number | undefined
  /** `'closures'` runs stages without generated code. Default: `'fused'`. */
  readonly stages?: StageMode | undefined
}

/** Runs tasks in this process. */
export function localExecutor(options: LocalExecutorOptions = {}): Executor {
  const stages = new StageCache(options.stages)
  let pacer: LoopPacer | undefined
  return {
    '~sluice': 'executor/1',
    name: 'local',
    parallelism: options.parallelism ?? 1,
    slots: options.slots ?? 4,
    run: (task, services) => runTask(task, services, stages, (pacer ??= new LoopPacer(services.clock))),
  }
}

/** Runs one task in this thread. */
export async function runTask(
  task: Task,
  services: TaskServices,
  stages: StageCache,
  pacer: LoopPacer,
): Promise<unknown> {
  const env = new ServiceTaskEnv(task.info, stages, pacer.forLoop(), services)
  pacer.begin()
  try {
    return await performWork(task, env)
  } finally {
    await env.end()
  }
}
