/**
 * What a service of the tests is: a real server that this package can get, start, break and stop.
 *
 * A new one is a module of the shape {@link ServiceModule} and a line in `registry.ts`. What is the same for all stands once, in the
 * frame: who may start it, how it is found again, its lock, its folder, its end. The frame calls a module so:
 *
 * 1. `fromEnvironment`, alone, where the user has set the module's variable: nothing is started.
 * 2. `missing`, often and from several processes at once. It must be quick and change nothing.
 * 3. `fetch`, under a lock of all checkouts of the user, where something is missing and may be fetched.
 * 4. `start`, under a lock of this checkout for the shared instance, and without a lock for a test's own ones. Several instances
 *    may run at a time, so all ports and paths are of this call.
 */
import type { Launch, ServerProcess } from './server-process.js'

/** Tells people what goes on, a line at a time. Goes to stderr. */
export type Progress = (line: string) => void

/** What tests need to use a server: addresses, names, passwords. Kept as JSON, so it holds strings only. */
export type ServiceValues = Readonly<Record<string, string>>

export interface ServiceModule<Values extends ServiceValues = ServiceValues, Options extends object = object> {
  /** As users type it: lower case, with hyphens. */
  readonly name: string
  /** What it is, for the list of the command. */
  readonly summary: string
  /** The variable by which users name a server of their own, e.g. `SLUICE_KAFKA`. */
  readonly environmentVariable: string
  /** The values for what the user has written there. Throws where it cannot be understood. */
  fromEnvironment(value: string): Values
  /** What is not on this machine, as a clause (`Kafka 4.4.0 is not in the cache`), or undefined where all is there. */
  missing(): Promise<string | undefined>
  /**
   * Gets what is missing, in pinned versions, into the cache; half of it must never look like the whole. Also called when another
   * process has just got it, or all is there: then it does nothing.
   */
  fetch(progress: Progress): Promise<void>
  /**
   * Starts an instance and resolves when it can be used at once: it answers, and what is slow only the first time has been done.
   * When it rejects, the frame ends what was launched. Programs that need no server launch nothing.
   */
  start(context: StartContext, options: Partial<Options>): Promise<Values>
}

export interface StartContext {
  /** Empty and of this instance alone; it is removed when the instance is stopped. */
  readonly folder: string
  /** For its logs; it stays. */
  readonly logs: string
  readonly progress: Progress
  /** Starts a process of the instance. It is not ready yet: call `ready()`, of several after all are launched. */
  launch(launch: Launch): Promise<ServerProcess & { ready(): Promise<void> }>
}
